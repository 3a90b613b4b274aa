"""The image without a container engine: a folder that holds what the Dockerfile copies runs the server."""

import fnmatch
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT, SPEECH, Server
from tests.test_deploy import dockerfile, image_environment


def sent_to_the_build(path: str) -> bool:
    """Does ``.dockerignore`` let this file through? The last line that matches it or a folder above it decides."""
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    names = [path, *map(str, Path(path).parents)][:-1]
    allowed = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        if any(fnmatch.fnmatch(f"/{name}" if pattern[:3] == "**/" else name, pattern) for name in names):
            allowed = rule.startswith("!")
    return allowed


def copied() -> dict[Path, str]:
    """Each file that the Dockerfile copies, and where to."""
    found = {}
    for word, rest in dockerfile():
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                here = sorted(ROOT.glob(source))
                assert here, f"the Dockerfile copies {source}, which is not there"
                for item in here:
                    for file in [item] if item.is_file() else sorted(p for p in item.rglob("*") if p.is_file()):
                        inside = file.relative_to(item) if item.is_dir() else Path(item.name)
                        if sent_to_the_build(str(file.relative_to(ROOT))):
                            found[file] = str(Path(target) / inside)
    return found


def test_the_copied_files_are_all_that_the_server_needs(models: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    for file, target in copied().items():
        (app / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, app / target)
    assert not list(app.rglob("__pycache__"))
    for folder in ("models_cache", "hf_cache", "logs", "config", "jobs"):
        (app / folder).mkdir()
    environment = {name: value.replace("/app/", f"{app}/") for name, value in image_environment().items()}
    ours = {name: environment[name] for name in ("XINGJI_LOG_DIR", "MODELSCOPE_CACHE", "HF_HOME")}
    with Server(tmp_path, (sys.executable, "-m", "gunicorn", "asr_api_server:app"), app, **ours) as server:
        assert "星纪" in server.get("/").content.decode()
        assert server.get("/openapi.json").status_code == 200
        assert server.get("/clients/web/AsrClient.js").status_code == 200, "the page uses it"
        helped = subprocess.run(
            [sys.executable, "-m", "xingji.client", "--help"], cwd=app, capture_output=True, text=True
        )
        assert (helped.returncode, helped.stdout[:6]) == (0, "usage:"), helped.stderr
        with (SPEECH / "question.wav").open("rb") as file:
            assert server.post("/api/asr/transcribe", files={"file": file}).json()["data"]["text"]
        assert (app / "logs" / "xingji.log").is_file()
        loaded = Path(f"/proc/{server.worker_pids()['stream']}/cwd").resolve()
        assert loaded == app, "the workers run what was copied too"
