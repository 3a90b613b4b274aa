"""Which model directories each setting leads to, and what is said when they are not there."""

from pathlib import Path
from typing import Any

import pytest

from xingji.runtime import models
from xingji.runtime.models import PART_OF, ModelsMissing, find
from xingji.runtime.registry import NONE, HubName, Locked, Store, digest, official, read

PARTS = tuple(PART_OF.values())
REPOS = {PART_OF[entry.runs_on.role]: entry.repo for entry in official().values()}


def fill(root: Path, *folders: str, weights: str = "model.pt") -> Path:
    for folder in folders:
        path = root / folder
        path.mkdir(parents=True)
        (path / "config.yaml").write_text("model: X\n")
        (path / weights).write_bytes(b"weights")
    return root


@pytest.fixture(autouse=True)
def minipack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = fill(tmp_path / "package" / "minipack", *PARTS)
    monkeypatch.setattr(models, "MINIPACK", root)
    return root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "modelscope", tmp_path / "huggingface")


def put_there(store: Store, *parts: str, hub: HubName = "modelscope") -> None:
    """Models as somebody might copy them there by hand."""
    for entry in official().values():
        source = dict(entry.sources()).get(hub)
        if PART_OF[entry.runs_on.role] in parts and source is not None:
            fill(store.folder(hub, source.repo), ".")


def lock(store: Store) -> None:
    """Record what lies there, as the download does."""
    locks = {}
    for id, entry in official().items():
        folder = store.folder("modelscope", entry.repo)
        files = {path.name: digest(path) for path in folder.iterdir()}
        locks[id] = Locked(hub="modelscope", repo=entry.repo, revision="v1", files=files)
    store.lock(locks)


@pytest.mark.parametrize("wanted", ["auto", "official"])
@pytest.mark.parametrize("locked", [True, False])
def test_official_models_are_taken_where_they_are(store: Store, wanted: str, locked: bool) -> None:
    put_there(store, *PARTS)
    if locked:
        lock(store)
    found = find(wanted, store)
    assert (found.source, found.minipack, found.names) == ("official", False, REPOS)
    assert found.paths == {part: store.folder("modelscope", repo) for part, repo in REPOS.items()}
    assert all(path.is_absolute() for path in found.paths.values())


def test_a_part_may_come_from_the_other_hub(store: Store) -> None:
    put_there(store, "punc", "vad")
    put_there(store, "paraformer", "sensevoice", hub="huggingface")
    found = find("official", store)
    assert found.paths["paraformer"].is_relative_to(store.huggingface)
    assert found.paths["punc"].is_relative_to(store.modelscope)


@pytest.mark.parametrize("parts", [(), ("vad",), ("vad", "paraformer", "punc")], ids=len)
def test_auto_falls_back_to_the_mini_pack(store: Store, minipack: Path, parts: tuple[str, ...]) -> None:
    put_there(store, *parts)
    found = find("auto", store)
    assert (found.source, found.minipack) == ("minipack", True)
    assert found.paths == {part: minipack / part for part in PARTS}
    assert found.names == {part: f"minipack/{part}" for part in PARTS}


def test_official_alone_never_falls_back(store: Store) -> None:
    put_there(store, "vad", "punc", "paraformer")
    with pytest.raises(ModelsMissing) as caught:
        find("official", store)
    assert REPOS["sensevoice"] in str(caught.value)
    assert REPOS["vad"] not in str(caught.value)


@pytest.mark.parametrize(
    "harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"weig")], ids=["gone", "cut"]
)
def test_what_was_downloaded_whole_and_is_not_any_more_counts_as_missing(store: Store, harm: Any) -> None:
    put_there(store, *PARTS)
    lock(store)
    harm(store.folder("modelscope", REPOS["vad"]) / "model.pt")
    assert find("auto", store).minipack
    with pytest.raises(ModelsMissing, match=REPOS["vad"]):
        find("official", store)


@pytest.mark.parametrize("wanted", ["auto", "official"])
def test_a_lock_that_cannot_be_read_is_told_to_the_operator(store: Store, wanted: str) -> None:
    store.modelscope.mkdir()
    (store.modelscope / "models.lock.json").write_text("{")
    with pytest.raises(ModelsMissing, match=r"models\.lock\.json"):
        find(wanted, store)


def test_the_mini_pack_is_taken_though_official_models_are_there(store: Store) -> None:
    put_there(store, *PARTS)
    assert find("minipack", store).minipack


def test_a_directory_of_ones_own(tmp_path: Path, store: Store) -> None:
    root = fill(tmp_path / "mine", *PARTS, weights="model.safetensors")
    found = find(str(root), store)
    assert (found.source, found.minipack) == ("directory", False)
    assert found.paths == {part: root / part for part in PARTS}


def test_where_nobody_streams_that_part_is_not_missed(tmp_path: Path, store: Store) -> None:
    rest = [part for part in PARTS if part != "paraformer"]
    registry = read(streaming=NONE)
    put_there(store, *rest)
    mine = fill(tmp_path / "mine", *rest)
    for wanted in ("official", "minipack", str(mine)):
        found = find(wanted, store, registry)
        assert set(found.paths) == set(found.names) == set(rest) and not found.streams
    assert find("minipack", store).streams


@pytest.mark.parametrize("left_out", ["config.yaml", "model.pt"])
@pytest.mark.parametrize("wanted", ["auto", "minipack", "directory"])
def test_a_part_that_is_not_whole_is_named(store: Store, minipack: Path, wanted: str, left_out: str) -> None:
    (minipack / "punc" / left_out).unlink()
    with pytest.raises(ModelsMissing) as caught:
        find(str(minipack) if wanted == "directory" else wanted, store)
    assert "punc" in str(caught.value)
    assert "vad" not in str(caught.value)
    assert str(minipack) not in str(caught.value)


def test_a_directory_that_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelsMissing, match="vad、paraformer、punc、sensevoice"):
        find(str(tmp_path / "nowhere"), store)
