"""What ``make setup`` fetches for the demo of VAD in the browser is what is on the list; without npm all else works."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support import ROOT
from tools import vad_web

FILES = {"package/dist/a.js": b"good", "package/dist/b.wasm": b"more", "package/dist/unwanted.js": b"not on the list"}


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stub that packs FILES, and writes down what it was asked for."""
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    bin = tmp_path / "bin"
    bin.mkdir()
    stub = bin / "npm"
    stub.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncp {archive} "$4"/\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    return tmp_path / "asked"


def listing(folder: Path, **digests: str) -> Path:
    path = folder / "list.json"
    files = {f"dist/{name}": digest for name, digest in digests.items()}
    path.write_text(json.dumps([{"package": "some", "version": "1.2.3", "files": files}]))
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_listed_files_and_no_others_once(tmp_path: Path, npm: Path) -> None:
    wanted, target = listing(tmp_path, **{"a.js": digest(b"good"), "b.wasm": digest(b"more")}), tmp_path / "target"
    for _ in range(2):
        assert vad_web.main(wanted, target) == 0
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a.js": b"good", "b.wasm": b"more"}
    (asked,) = npm.read_text().splitlines()
    assert asked.startswith("pack some@1.2.3 ")


def test_a_wrong_digest_keeps_nothing(tmp_path: Path, npm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vad_web.main(listing(tmp_path, **{"a.js": digest(b"bad")}), tmp_path / "target") == 1
    assert list((tmp_path / "target").iterdir()) == []
    assert "摘要不符" in capsys.readouterr().out


def test_no_npm_or_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = listing(tmp_path, **{"a.js": digest(b"good")})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vad_web.main(wanted, tmp_path / "target") == 1
    assert "没有 npm" in capsys.readouterr().out
    stub = tmp_path / "npm"
    stub.write_text("#!/bin/sh\nexit 1\n")
    stub.chmod(0o755)
    assert vad_web.main(wanted, tmp_path / "target") == 1
    assert "取不到 some@1.2.3" in capsys.readouterr().out


def test_setup_goes_on_without_them() -> None:
    rule = (ROOT / "Makefile").read_text("utf-8").split(".venv/.vad-web: ")[1].split("\n\n")[0]
    command = (
        rule.splitlines()[1].strip().replace("$(BIN)/python -m tools.vad_web", "false").replace("$@", "/nowhere/x")
    )
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_what_is_fetched_is_not_committed() -> None:
    assert subprocess.run(
        ["git", "check-ignore", "-q", str(vad_web.TARGET / "bundle.min.js")], cwd=ROOT, check=False
    ).returncode in (0, 128)  # 128: this is no clone
