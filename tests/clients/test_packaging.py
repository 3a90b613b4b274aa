"""The Python client stands by itself: its folder alone, the packages it names, the versions that are tested here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

FOLDER = ROOT / "clients" / "python"
PIN = re.compile(r"^([\w-]+)==(\S+)$", re.M)
OWN = {"sounddevice"}  # nothing here has a microphone


def test_pins_are_those_that_are_tested() -> None:
    ours = dict(PIN.findall((ROOT / "requirements.txt").read_text("utf-8")))
    pins = dict(PIN.findall((FOLDER / "requirements.txt").read_text("utf-8")))
    assert pins and {name: version for name, version in pins.items() if name not in OWN}.items() <= ours.items()
    assert set(pins) >= OWN


def test_the_folder_alone_is_enough(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.py"):
        shutil.copy(file, tmp_path)
    program = (
        "import sys, AsrClient\n"
        "taken = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not taken & {'xingji', 'flask', 'numpy', 'av', 'sounddevice'}, taken\n"
        "assert not [name for name in AsrClient.__all__ if not hasattr(AsrClient, name)]\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    shown = subprocess.run([sys.executable, "app.py", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and "--protocol" in shown.stdout


def test_the_demo_without_a_microphone_says_so() -> None:
    program = "import sys; sys.modules['sounddevice'] = None; sys.argv = ['app.py']; import app; sys.exit(app.main())"
    done = subprocess.run([sys.executable, "-c", program], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "sounddevice" in done.stderr and "Traceback" not in done.stderr


def test_the_windows_start() -> None:
    data = (FOLDER / "start.bat").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") and data.isascii()
    assert b"app.py %*" in data and b"-r requirements.txt" in data
    labels = {line[1:] for line in data.split() if line.startswith(b":")}
    assert set(re.findall(rb"goto (\w+)", data)) <= labels


def test_the_server_leaves_the_client_alone_and_the_other_way_round() -> None:
    program = (
        "import sys, runpy\n"
        "sys.argv = ['x', '--help']\n"
        "try: runpy.run_module('xingji.client', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('xingji')))\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "['xingji', 'xingji.client', 'xingji.client.formats']"
