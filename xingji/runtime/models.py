"""Which model directories are in use: the official ones, the embedded mini pack, or a directory of the user's."""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .registry import Entry, Locked, Registry, RegistryError, Store, damaged, read

log = logging.getLogger(__name__)

PART_OF = {"vad": "vad", "streaming": "paraformer", "punctuation": "punc", "segment": "sensevoice"}

ROOT = Path(__file__).resolve().parents[2]
MINIPACK = ROOT / "xingji" / "minipack"


class ModelsMissing(Exception):
    """The models that were asked for are not there. Its text is for the operator."""


@dataclass(frozen=True, slots=True)
class ModelSet:
    source: str  # official, minipack, directory
    paths: dict[str, Path]
    names: dict[str, str]

    @property
    def minipack(self) -> bool:
        return self.source == "minipack"

    @property
    def streams(self) -> bool:
        return PART_OF["streaming"] in self.paths


def find(wanted: str, store: Store, registry: Registry | None = None) -> ModelSet:
    """``wanted``: auto, official, minipack or a directory with a part for each model that workers load. Raises
    ModelsMissing, RegistryError."""
    registry = registry or read()
    parts = [PART_OF[entry.runs_on.role] for entry in registry.loaded().values()]
    if wanted == "minipack":
        return _directory("minipack", MINIPACK, parts)
    if wanted in ("auto", "official"):
        entries, found = _official(store, registry)
        if found.keys() == entries.keys():
            part = {id: PART_OF[entry.runs_on.role] for id, entry in entries.items()}
            names = {part[id]: entry.repo for id, entry in entries.items()}
            return ModelSet("official", {part[id]: path for id, path in found.items()}, names)
        if wanted == "official":
            missing = "、".join(entries[id].repo for id in entries if id not in found)
            raise ModelsMissing(f"官方模型还没有下载：{missing}（official models are not downloaded）")
        return _directory("minipack", MINIPACK, parts)
    return _directory("directory", Path(wanted), parts)


def embedded(id: str, registry: Registry, store: Store) -> Path:
    """Where a model lies that a worker is to run though it is not one of its usual ones. Raises ModelsMissing."""
    entry = registry.entries[id]
    try:
        found = _place(entry, store.locked().get(id), store)
    except RegistryError as error:
        raise ModelsMissing(str(error)) from error
    if found is None:
        raise ModelsMissing(f"{id} 还没有下载：python download_models.py --model {id}（it is not downloaded）")
    return found.resolve()


def download(store: Store, registry: Registry | None = None) -> None:
    """Run ``download_models.py`` if an official model is not here. What fails is in its output and the log only."""
    entries, found = _official(store, registry)
    if found.keys() == entries.keys():
        return
    log.info("downloading official models", extra={"missing": sorted(entries.keys() - found.keys())})
    caches = {"MODELSCOPE_CACHE": str(store.modelscope.resolve()), "HF_HOME": str(store.huggingface.resolve())}
    status = subprocess.run(
        [sys.executable, str(ROOT / "download_models.py")],
        env=os.environ | caches,
        stdin=subprocess.DEVNULL,
        stdout=2,  # standard error, where the log goes
    ).returncode
    if status != 0:
        log.warning("official models are not downloaded", extra={"status": status})


def _official(store: Store, registry: Registry | None) -> tuple[dict[str, Entry], dict[str, Path]]:
    """What the workers load of the official models, and the directories of those that are here whole."""
    entries = (registry or read()).loaded()
    try:
        locks = store.locked()
    except RegistryError as error:
        raise ModelsMissing(str(error)) from error
    places = {id: _place(entry, locks.get(id), store) for id, entry in entries.items()}
    return entries, {id: path.resolve() for id, path in places.items() if path is not None}


def _place(entry: Entry, locked: Locked | None, store: Store) -> Path | None:
    if locked is not None:
        folder = store.folder(locked.hub, locked.repo)
        return None if damaged(folder, locked, digests=False) else folder
    by_hand = (store.folder(hub, source.repo) for hub, source in entry.sources())
    holds = _holds_transformers if "config.json" in entry.runs_on.files else _holds_model
    return next((folder for folder in by_hand if holds(folder)), None)


def _directory(source: str, root: Path, parts: Sequence[str]) -> ModelSet:
    paths = {part: (root / part).resolve() for part in parts}
    missing = [part for part, path in paths.items() if not _holds_model(path)]
    if missing:
        raise ModelsMissing(f"模型目录里缺少：{'、'.join(missing)}（missing in the model directory）")
    return ModelSet(source, paths, {part: f"{source}/{part}" for part in parts})


def _holds_transformers(path: Path) -> bool:
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def _holds_model(path: Path) -> bool:
    return (path / "config.yaml").is_file() and any(path.glob("model.*"))
