"""``models.json`` and the lock say what they must, or the error names the field."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xingji.runtime.models import PART_OF
from xingji.runtime.registry import (
    LOCK,
    NONE,
    REGISTRY,
    Digest,
    Locked,
    RegistryError,
    Source,
    Store,
    damaged,
    digest,
    official,
    read,
)


def text() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(REGISTRY.read_text("utf-8"))
    return entries


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "models.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_the_four_official_models() -> None:
    entries = official()
    assert {entry.runs_on.role for entry in entries.values()} == set(PART_OF)
    assert entries["sensevoice"].repo == "iic/SenseVoiceSmall"
    for entry in entries.values():
        hubs = [hub for hub, _ in entry.sources()]
        assert hubs == ["modelscope", "huggingface"][: 2 if entry.huggingface else 1]


def test_every_entry_of_ours_says_what_it_is() -> None:
    for id, entry in read().entries.items():
        assert entry.role == entry.runs_on.role and entry.description and entry.licence, id
        assert entry.modelscope is not None and "." in entry.description
    assert read().entries["Qwen/Qwen2-Audio-7B-Instruct"].extra.instruction


@pytest.mark.parametrize(
    ("id", "field", "value"),
    [
        ("vad", "role", "detector"),
        ("vad", "engine", "os:system"),
        ("vad", "engine", "xingji.engines.fsmn_vad"),
        ("vad", "engine", None),
        ("vad", "name", ""),
        ("vad", "load", "sometimes"),
        ("vad", "licence", ""),
        ("punc", "languages", []),
        ("punc", "languages", "zh"),
        ("punc", "default", "yes"),
        ("punc", "supports_realtime", 1),
        ("punc", "colour", "red"),
        ("sensevoice", "models", "iic/SenseVoiceSmall"),
        ("sensevoice", "capabilities", ["words"]),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, id: str, field: str, value: object) -> None:
    content = text()
    content["models"][id][field] = value
    with pytest.raises(RegistryError, match=rf"^models\.json: models\.{id}\.{field}: ") as caught:
        official(written(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("id", "change", "said"),
    [
        ("vad", {"engine": "whisper"}, r"models\.vad\.engine: there is no engine whisper, only fsmn_vad, "),
        ("vad", {"role": "segment"}, r"models\.vad: role: engine fsmn_vad is of role vad$"),
        ("vad", {"modelscope": None, "huggingface": None}, r"models\.vad: modelscope: "),
        ("vad", {"load": "lazy"}, r"models\.vad: load: "),
        ("qwen3-asr-0.6b", {"models": {}}, r"models\.qwen3-asr-0\.6b: models\.offline: "),
        ("qwen3-asr-0.6b", {"models": {"offline": "a/b", "realtime": "x"}}, r"0\.6b\.models\.realtime: no streaming"),
        ("qwen3-asr-0.6b", {"extra_kwargs": {"vllm_port": "8000"}}, r"0\.6b\.extra_kwargs\.vllm_port: "),
        ("qwen3-asr-0.6b", {"extra_kwargs": {"vllm_host": "http://x/y"}}, r"0\.6b\.extra_kwargs\.vllm_host: "),
        ("qwen3-asr-0.6b", {"default": True}, r"0\.6b\.default: sensevoice is the default of role segment already$"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path: Path, id: str, change: dict[str, Any], said: str) -> None:
    content = text()
    content["models"][id] |= change
    with pytest.raises(RegistryError, match=r"^models\.json: .*" + said) as caught:
        official(written(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("repo", ["../../etc/x", "a/..", "../b", "a/b/c", "a", "/a/b", "a\\b/c"])
def test_a_repository_cannot_lead_elsewhere(tmp_path: Path, repo: str) -> None:
    content = text()
    content["models"]["vad"]["modelscope"]["repo"] = repo
    with pytest.raises(RegistryError, match=r"vad\.modelscope\.repo"):
        official(written(tmp_path, content))


def test_one_default_for_each_role(tmp_path: Path) -> None:
    content = text()
    entries = content["models"]
    entries["vad-two"] = entries["vad"]
    with pytest.raises(RegistryError, match=r"vad-two\.default: vad is the default of role vad already"):
        official(written(tmp_path, content))
    entries["vad-two"] = entries["vad"] | {"default": False}
    assert "vad-two" not in official(written(tmp_path, content))
    del entries["punc"]
    with pytest.raises(RegistryError, match="none of role punctuation is the default"):
        official(written(tmp_path, content))


def test_somebody_can_always_transcribe_without_a_server(tmp_path: Path) -> None:
    content = text()
    del content["models"]["sensevoice"]
    content["models"]["qwen3-asr-1.7b"]["default"] = True
    with pytest.raises(RegistryError, match="none of role segment can be loaded by workers"):
        official(written(tmp_path, content))


# What other servers of this kind read, keys of theirs included.
FOREIGN = {
    "models": {
        "qwen3-asr-1.7b": {
            "name": "Qwen3-ASR-1.7B",
            "engine": "qwen3",
            "description": "经 vLLM",
            "languages": ["zh", "en", "de"],
            "default": True,
            "supports_realtime": False,
            "models": {"offline": "Qwen/Qwen3-ASR-1.7B"},
            "extra_kwargs": {"vllm_host": "gpu-1", "vllm_port": 8001, "max_model_len": 16384},
        }
    }
}


def test_a_file_of_the_well_known_shape_is_laid_over_ours(tmp_path: Path) -> None:
    registry = read(str(written(tmp_path, FOREIGN)))
    entry = registry.entries["qwen3-asr-1.7b"]
    assert (entry.engine, entry.runs_on.role, entry.languages) == ("qwen3_asr", "segment", ["zh", "en", "de"])
    assert (entry.extra_kwargs.vllm_host, entry.extra_kwargs.vllm_port) == ("gpu-1", 8001)
    assert dict(entry.sources()) == {"modelscope": Source(repo="Qwen/Qwen3-ASR-1.7B", revision="master")}
    assert registry.defaults["segment"] == "qwen3-asr-1.7b" and registry.defaults["vad"] == "vad"
    assert set(registry.loaded()) == {"vad", "paraformer", "punc", "sensevoice"}, "for when the server is away"
    assert "qwen3-asr-0.6b" in registry.entries


def test_the_default_may_be_set_from_outside(tmp_path: Path) -> None:
    assert read(default_asr="qwen3-asr-0.6b").defaults["segment"] == "qwen3-asr-0.6b"
    assert read(str(written(tmp_path, FOREIGN)), "sensevoice").defaults["segment"] == "sensevoice"
    for unknown in ("whisper", "vad"):
        with pytest.raises(
            RegistryError, match=f"^DEFAULT_ASR_MODEL: 没有模型 {unknown}，可选：sensevoice、qwen3-asr-1.7b"
        ):
            read(default_asr=unknown)


def test_nobody_streams_where_that_is_wanted(tmp_path: Path) -> None:
    assert "streaming" in read().defaults and read(streaming="paraformer").defaults == read().defaults
    own = {"models": {"paraformer": text()["models"]["paraformer"]}}
    assert "paraformer" in read(str(written(tmp_path, own))).loaded()
    own["models"]["paraformer"]["default"] = False
    without = read(str(written(tmp_path, own)))
    for registry in (read(streaming=NONE), without):
        assert "streaming" not in registry.defaults and "paraformer" in registry.entries
        assert set(registry.loaded()) == {"vad", "punc", "sensevoice"}
    assert "paraformer" in read(str(written(tmp_path, own)), streaming="paraformer").loaded()
    with pytest.raises(RegistryError, match=r"^XINGJI_STREAMING_MODEL: 没有模型 vad，可选：paraformer（"):
        read(streaming="vad")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"models": {}}', '{"models": {"a b": {}}}', '{"vad": {}}'])
def test_no_registry_at_all(tmp_path: Path, content: str) -> None:
    with pytest.raises(RegistryError, match=r"^models\.json: "):
        official(written(tmp_path, content))
    with pytest.raises(RegistryError, match=r"^absent\.json: "):
        official(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("content", "default", "said"),
    [
        ({"models": {"vad": {"engine": 1}}}, "", "own.json: models.vad.name: "),
        (FOREIGN, "whisper", "DEFAULT_ASR_MODEL: "),
        ("{", "", "own.json: "),
    ],
)
def test_the_server_says_it_in_one_sentence_and_does_not_start(
    tmp_path: Path, content: object, default: str, said: str
) -> None:
    path = tmp_path / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    own = {"XINGJI_REGISTRY": str(path), "DEFAULT_ASR_MODEL": default, "XINGJI_MODELS": "minipack", "XINGJI_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "asr_api_server.py"],
        cwd=REGISTRY.parent,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and said in done.stderr
    assert "Traceback" not in done.stderr and str(tmp_path) not in done.stderr


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


@pytest.mark.parametrize(
    ("name", "id"),
    [
        *((name, "sensevoice") for name in ("paraformer-realtime-v2", "fun-asr-realtime-2025-11-07", "sensevoice")),
        ("qwen3-asr-0.6b", "qwen3-asr-0.6b"),
        ("paraformer", "paraformer"),  # an id, though of another role
        ("paraformer-v2", "paraformer-v2"),
        ("gpt-5", "gpt-5"),
        ("", ""),
    ],
)
def test_what_clients_of_other_services_call_a_model(name: str, id: str) -> None:
    assert read().called(name) == id


def test_an_operator_may_say_whom_clients_mean(tmp_path: Path) -> None:
    names = {"fun-asr-*": "qwen3-asr-0.6b", "fun-asr-realtime": "qwen3-asr-1.7b", "house-model": None}
    registry = read(str(written(tmp_path, {"names": names})))
    meant = {name: registry.called(name) for name in ("fun-asr-realtime", "fun-asr-mtl", "house-model")}
    assert meant == {"fun-asr-realtime": "qwen3-asr-1.7b", "fun-asr-mtl": "qwen3-asr-0.6b", "house-model": "sensevoice"}
    assert registry.called("paraformer-realtime-v2") == "sensevoice"  # ours stay
    assert registry.called("fun-asr-realtime-2025-11-07") == "sensevoice"  # the longest beginning


@pytest.mark.parametrize(
    ("names", "said"),
    [({"a*b": None}, "names.a*b"), ({"": None}, "names"), ({"a": "whisper"}, "names.a"), ({"a": "punc"}, "names.a")],
)
def test_a_name_that_means_nobody(tmp_path: Path, names: dict[str, Any], said: str) -> None:
    with pytest.raises(RegistryError, match=f"models.json: {re.escape(said)}"):
        read(str(written(tmp_path, {"names": names})))
