"""Fetch what the demo page ``clients/web/vad.html`` needs: vad-web, its model and ONNX Runtime's WebAssembly (13 MB).

Run ``python -m tools.vad_web``; ``make setup`` does. The packages come through npm, so from the registry that it is
set up for; only the files that ``clients/web/vad-web.json`` names are kept, and only with the digests it gives, in
``clients/web/vad-web/``, which git ignores. Exit status 1 where they could not be had: all else works without them.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "clients" / "web" / "vad-web.json"
TARGET = ROOT / "clients" / "web" / "vad-web"
PATIENCE_S = 300


class Missing(Exception):
    """Why a package could not be had, for people."""


def main(listing: Path = LIST, target: Path = TARGET) -> int:
    try:
        for package in json.loads(listing.read_text("utf-8")):
            if not all(right(target / Path(name).name, digest) for name, digest in package["files"].items()):
                fetch(package, target)
    except Missing as error:
        print(f"浏览器判停的示例页用不了，其余不受影响：{error}")
        print("The demo of VAD in the browser will not work; nothing else needs these files.")
        return 1
    return 0


def right(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def fetch(package: dict[str, Any], target: Path) -> None:
    """Put the package's files into ``target``; raises Missing."""
    name = f"{package['package']}@{package['version']}"
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("没有 npm（npm is not installed）")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", name, "--pack-destination", folder, "--fetch-retries=1", "--loglevel=error"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE_S)
            (archive,) = Path(folder).glob("*.tgz")
        except (subprocess.SubprocessError, ValueError) as error:
            raise Missing(f"npm 取不到 {name}（npm could not get it）") from error
        target.mkdir(exist_ok=True)
        with tarfile.open(archive) as tar:
            for inside, digest in package["files"].items():
                place = Path(folder) / Path(inside).name
                source = tar.extractfile(f"package/{inside}")
                assert source is not None, "a list that names folders"
                place.write_bytes(source.read())
                if not right(place, digest):
                    raise Missing(f"{name} 里的 {inside} 摘要不符（its digest is not the one on the list）")
                shutil.move(place, target / place.name)


if __name__ == "__main__":
    sys.exit(main())
