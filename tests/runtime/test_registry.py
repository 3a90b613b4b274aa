"""``models.json`` and the lock say what they must, or the error names the field."""

import json
from pathlib import Path
from typing import Any

import pytest

from xingji.runtime.models import PART_OF
from xingji.runtime.registry import LOCK, REGISTRY, Digest, Locked, RegistryError, Store, damaged, digest, official


def text() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(REGISTRY.read_text("utf-8"))
    return entries


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "models.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_the_four_official_models() -> None:
    entries = official()
    assert {entry.role for entry in entries.values()} == set(PART_OF)
    assert entries["sensevoice"].modelscope.repo == "iic/SenseVoiceSmall"
    for entry in entries.values():
        hubs = [hub for hub, _ in entry.sources()]
        assert hubs == ["modelscope", "huggingface"][: 2 if entry.huggingface else 1]


@pytest.mark.parametrize(
    ("id", "field", "value"),
    [
        ("vad", "role", "detector"),
        ("vad", "engine", "os:system"),
        ("vad", "engine", "xingji.engines.fsmn_vad"),
        ("vad", "modelscope", None),
        ("vad", "licence", ""),
        ("punc", "languages", []),
        ("punc", "languages", "zh"),
        ("punc", "default", "yes"),
        ("punc", "colour", "red"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, id: str, field: str, value: object) -> None:
    entries = text()
    entries[id][field] = value
    with pytest.raises(RegistryError, match=rf"^models\.json: {id}\.{field}: "):
        official(written(tmp_path, entries))


@pytest.mark.parametrize("repo", ["../../etc/x", "a/..", "../b", "a/b/c", "a", "/a/b", "a\\b/c"])
def test_a_repository_cannot_lead_elsewhere(tmp_path: Path, repo: str) -> None:
    entries = text()
    entries["vad"]["modelscope"]["repo"] = repo
    with pytest.raises(RegistryError, match=r"vad\.modelscope\.repo"):
        official(written(tmp_path, entries))


def test_one_default_for_each_role(tmp_path: Path) -> None:
    entries = text()
    entries["vad-two"] = entries["vad"]
    with pytest.raises(RegistryError, match="2 models of role vad"):
        official(written(tmp_path, entries))
    entries["vad-two"] = entries["vad"] | {"default": False}
    assert "vad-two" not in official(written(tmp_path, entries))
    del entries["punc"]
    with pytest.raises(RegistryError, match="0 models of role punctuation"):
        official(written(tmp_path, entries))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"VAD": {}}'])
def test_no_registry_at_all(tmp_path: Path, content: str) -> None:
    with pytest.raises(RegistryError, match=r"^models\.json: "):
        official(written(tmp_path, content))
    with pytest.raises(RegistryError, match=r"^absent\.json: "):
        official(tmp_path / "absent.json")


def test_the_lock_is_what_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "ms", tmp_path / "hf")
    assert store.locked() == {}
    one = Locked(hub="modelscope", repo="a/b", revision="v1", files={"model.pt": Digest(size=1, sha256="0" * 64)})
    store.lock({"vad": one})
    assert store.locked() == {"vad": one}
    assert [path.name for path in store.modelscope.iterdir()] == [LOCK]


@pytest.mark.parametrize("name", ["../model.pt", "a/b", ".hidden", ""])
def test_a_lock_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path, tmp_path)
    files = {name: {"size": 1, "sha256": "0" * 64}}
    content = {"vad": {"hub": "modelscope", "repo": "a/b", "revision": "v1", "files": files}}
    (tmp_path / LOCK).write_text(json.dumps(content))
    with pytest.raises(RegistryError, match=r"vad\.files"):
        store.locked()


def test_damage_is_seen_by_size_and_by_digest(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    locked = Locked(hub="modelscope", repo="a/b", revision="v1", files={"model.pt": digest(path)})
    assert damaged(tmp_path, locked, digests=True) == []
    path.write_bytes(b"Weights")
    assert damaged(tmp_path, locked, digests=False) == []
    assert damaged(tmp_path, locked, digests=True) == ["model.pt"]
    path.write_bytes(b"weight")
    assert damaged(tmp_path, locked, digests=False) == ["model.pt"]
    path.unlink()
    assert damaged(tmp_path, locked, digests=False) == ["model.pt"]
