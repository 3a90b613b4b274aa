"""What the server does about official models when it starts: look, download if it may, look again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xingji import app
from xingji.runtime import models
from xingji.runtime.models import PART_OF, ModelSet, download, find
from xingji.runtime.registry import Digest, Locked, Registry, Store, official
from xingji.settings import Settings


def put(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: X\n")
    (folder / "model.pt").write_bytes(b"weights")


@pytest.fixture(autouse=True)
def minipack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in PART_OF.values():
        put(tmp_path / "minipack" / part)
    monkeypatch.setattr(models, "MINIPACK", tmp_path / "minipack")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Every official model, copied there by hand."""
    store = Store(tmp_path / "ms", tmp_path / "hf")
    for entry in official().values():
        put(store.folder("modelscope", entry.repo))
    return store


@pytest.mark.parametrize(("size", "source"), [(7, "official"), (8, "minipack")], ids=["whole", "cut short"])
def test_a_model_lies_where_the_lock_says(store: Store, size: int, source: str) -> None:
    files = {"model.pt": Digest(size=size, sha256="0" * 64)}
    store.lock({"vad": Locked(hub="huggingface", repo="funasr/x", revision="main", files=files)})
    assert find("auto", store).source == "minipack", "what lies elsewhere is not what was downloaded"
    put(store.folder("huggingface", "funasr/x"))
    found = find("auto", store)
    assert found.source == source
    if source == "official":
        assert found.paths["vad"] == store.folder("huggingface", "funasr/x")


def test_a_model_that_is_still_growing_is_missing(store: Store) -> None:
    repo = official()["vad"].repo
    stage = store.stage("modelscope", repo)
    stage.parent.mkdir(parents=True)
    store.folder("modelscope", repo).rename(stage)
    assert find("auto", store).minipack


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command in place of ours that writes down its environment and fails."""
    told = tmp_path / "told.json"
    (tmp_path / "download_models.py").write_text(
        f"import json, os, sys\njson.dump(dict(os.environ), open({str(told)!r}, 'w'))\nsys.exit(3)\n"
    )
    monkeypatch.setattr(models, "ROOT", tmp_path)
    return told


def test_a_failed_download_is_only_a_warning(store: Store, command: Path, caplog: pytest.LogCaptureFixture) -> None:
    (store.folder("modelscope", official()["vad"].repo) / "model.pt").unlink()
    download(store)
    told = json.loads(command.read_text())
    assert (told["MODELSCOPE_CACHE"], told["HF_HOME"]) == (str(store.modelscope), str(store.huggingface))
    assert [(record.levelname, vars(record)["status"]) for record in caplog.records] == [("WARNING", 3)]


def test_nothing_is_downloaded_that_is_here(store: Store, command: Path) -> None:
    download(store)
    assert not command.exists()


def test_the_gateway_does_not_load_what_only_children_need() -> None:
    heavy = ["torch", "funasr", "librosa", "modelscope", "modelscope_hub", "huggingface_hub"]
    code = f"import sys, xingji.app; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("allowed", "wanted", "steps"),
    [
        (False, "auto", ["find", "pool"]),
        (True, "auto", ["download", "find", "pool"]),
        (True, "official", ["download", "find", "pool"]),
        (True, "minipack", ["find", "pool"]),
        (True, "/models", ["find", "pool"]),
    ],
)
def test_downloading_comes_first_where_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: bool, wanted: str, steps: list[str]
) -> None:
    done: list[str] = []

    class NoPool:
        def __init__(self, *_: Any, **__: Any) -> None:
            done.append("pool")

        def close(self) -> None: ...

    def found(wanted: str, store: Store, registry: Registry) -> ModelSet:
        done.append("find")
        return ModelSet("official", {}, {})

    monkeypatch.setattr(app, "download", lambda store, registry: done.append("download"))
    monkeypatch.setattr(app, "find", found)
    monkeypatch.setattr(app, "Pool", NoPool)
    app.init_models(Settings(download=allowed, models=wanted))
    assert done == steps
