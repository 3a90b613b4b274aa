"""``models.json``, the models that there are to choose from, and ``models.lock.json``, what was downloaded of them.

Both are checked when read; an error names the file and the field. An operator's own file has the same shape and is
laid over ours: an entry replaces the one of its id, a default the default of its role, a name the same name. The lock
is written after a model is complete, so a model that it names was complete once; the digests in it hold from then on.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

REGISTRY = Path(__file__).resolve().parents[2] / "models.json"
LOCK = "models.lock.json"

HubName = Literal["modelscope", "huggingface"]
Role = Literal["vad", "streaming", "punctuation", "segment", "corrector", "aligner"]
T = TypeVar("T")


class RegistryError(Exception):
    """A file of ours is not as it must be. Its text, for the operator, names the file and the field."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What can run a model. ``path`` is ``module:Class``; ``files`` are endings that its directory must have."""

    role: Role
    path: str
    http: bool = False  # asked over HTTP; else it is loaded by a worker process
    files: tuple[str, ...] = ("model.pt", "config.yaml")


_TRANSFORMERS = ("config.json", ".safetensors")
ENGINES = {
    "fsmn_vad": Engine("vad", "xingji.engines.fsmn_vad:Fsmn"),
    "paraformer": Engine("streaming", "xingji.engines.paraformer:StreamingParaformer"),
    "ct_punc": Engine("punctuation", "xingji.engines.ct_punc:CtPunc"),
    "sensevoice": Engine("segment", "xingji.engines.sensevoice:SenseVoice"),
    "qwen3_asr": Engine("segment", "xingji.engines.qwen3_asr:Qwen3Asr", True, _TRANSFORMERS),
    "qwen2_audio": Engine("segment", "xingji.engines.qwen3_asr:Qwen3Asr", True, _TRANSFORMERS),
    "qwen3_aligner": Engine("aligner", "xingji.engines.qwen3_aligner:Qwen3Aligner", False, _TRANSFORMERS),
    "chat": Engine("corrector", "xingji.engines.qwen3:Qwen3Corrector", True, _TRANSFORMERS),
}
ALIASES = {"qwen3": "qwen3_asr"}  # what other servers' files call it
WORKERS: tuple[Role, ...] = (
    "vad",
    "streaming",
    "punctuation",
    "segment",
)  # what the worker processes load, and cannot do without but for the one that streams
NONE = "none"  # instead of an id: no streaming model


def _engine(name: str) -> str:
    name = ALIASES.get(name, name)
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name}, only {', '.join(ENGINES)}")
    return name


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(_Checked):
    """A repository on a hub. ``revision`` is a branch or a tag there."""

    repo: str = Field(pattern=r"^[\w.-]*\w/[\w.-]*\w$")  # it becomes a path: no part may be ".."
    revision: str = Field(pattern=r"^[\w][\w.-]*$")


class Names(_Checked):
    """``offline``: the name that a server serves the model under, and its repository unless ``modelscope`` says
    another; ``realtime``: the repository or id of the streaming model that shows text beside it."""

    offline: str | None = Field(default=None, min_length=1)
    realtime: str | None = Field(default=None, min_length=1)


class Abilities(_Checked):
    """What a client may expect. ``batch``: several segments go through the model at a time."""

    words: bool = False
    hotwords: bool = False
    batch: bool = False
    realtime: bool = False


class Arguments(BaseModel):
    """Where the model is served. Other servers' files hold more here, which means nothing to us."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    vllm_host: str | None = Field(default=None, pattern=r"^(https?://)?[\w.:\[\]-]+$")
    vllm_port: int | None = Field(default=None, ge=1, le=65535)


class Extra(_Checked):
    """What only one engine understands. ``instruction``: the text that asks a chat model to transcribe."""

    instruction: str | None = Field(default=None, min_length=1)


class Entry(_Checked):
    """One model. ``digests``: SHA-256 by file name, for hubs that name none; ``huggingface``: None where it is not."""

    name: str = Field(min_length=1)
    engine: Annotated[str, AfterValidator(_engine)]
    role: Role | None = None  # follows from the engine
    description: str = ""
    languages: list[str] = Field(min_length=1)
    default: bool = False
    supports_realtime: bool = False
    capabilities: Abilities = Abilities()
    load: Literal["start", "lazy"] = "start"
    models: Names = Names()
    modelscope: Source | None = None
    huggingface: Source | None = None
    digests: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}
    licence: str | None = Field(default=None, min_length=1)
    extra_kwargs: Arguments = Arguments()
    extra: Extra = Extra()

    @model_validator(mode="after")
    def _is_whole(self) -> "Entry":
        if self.role not in (None, self.runs_on.role):
            raise ValueError(f"role: engine {self.engine} is of role {self.runs_on.role}")
        if self.runs_on.http and not self.models.offline:
            raise ValueError("models.offline: the name that the server serves it under is missing")
        if not self.runs_on.http and not list(self.sources()):
            raise ValueError("modelscope: a model that workers load needs a repository")
        if not self.runs_on.http and self.load == "lazy":
            raise ValueError("load: workers load their models at start")
        return self

    @property
    def runs_on(self) -> Engine:
        return ENGINES[self.engine]

    @property
    def repo(self) -> str:
        """What the model is called where it comes from."""
        found = next((source.repo for _, source in self.sources()), None)
        return found or self.models.offline or self.name

    def sources(self) -> Iterator[tuple[HubName, Source]]:
        """Where to ask, in order."""
        if self.modelscope is not None:
            yield "modelscope", self.modelscope
        elif self.models.offline and self.models.offline.count("/") == 1:
            yield "modelscope", Source(repo=self.models.offline, revision="master")
        if self.huggingface is not None:
            yield "huggingface", self.huggingface


class Digest(_Checked):
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Locked(_Checked):
    """What lies in a model's directory, and where it is from."""

    hub: HubName
    repo: str
    revision: str
    files: dict[Annotated[str, Field(pattern=r"^\w[\w.-]*$")], Digest] = Field(min_length=1)


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=80)]
_LOCK = TypeAdapter(dict[Id, Locked])


Name = Annotated[str, Field(pattern=r"^[^*]+\*?$", max_length=80)]


class _File(_Checked):
    """``names``: what clients of other services call a model → its id, or None for the default of segments. One that
    ends in ``*`` stands for all names that begin so."""

    models: dict[Id, Entry] = {}
    names: dict[Name, Id | None] = {}


_FILE = TypeAdapter(_File)


@dataclass(frozen=True, slots=True)
class Store:
    """Where downloaded models lie: one root for each hub, in it ``models/OWNER/NAME``."""

    modelscope: Path
    huggingface: Path

    def folder(self, hub: HubName, repo: str) -> Path:
        return self._root(hub) / "models" / repo

    def stage(self, hub: HubName, repo: str) -> Path:
        """Where a model grows until it is complete; on the same file system, so that it can be renamed."""
        return self._root(hub) / ".partial" / repo

    def locked(self) -> dict[str, Locked]:
        path = self.modelscope / LOCK
        return _read(_LOCK, path) if path.is_file() else {}

    def lock(self, locks: Mapping[str, Locked]) -> None:
        path = self.modelscope / LOCK
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(_LOCK.dump_json(dict(locks), indent=2) + b"\n")
        os.replace(new, path)

    def _root(self, hub: HubName) -> Path:
        return (self.modelscope if hub == "modelscope" else self.huggingface).resolve()


@dataclass(frozen=True, slots=True)
class Registry:
    """Every model that may be chosen, by id, and one default for each role that has models. Where none of role
    streaming is the default, nobody streams."""

    entries: Mapping[str, Entry]
    defaults: Mapping[Role, str]
    names: Mapping[str, str | None] = field(default_factory=dict)

    def called(self, name: str) -> str:
        """The id of what clients call so; of several beginnings that fit, the longest counts."""
        fitting = [known for known in self.names if known == name or (known[-1] == "*" and name.startswith(known[:-1]))]
        if name in self.entries or not fitting:
            return name
        return self.names[max(fitting, key=lambda known: (known == name, len(known)))] or self.defaults["segment"]

    def of(self, role: Role) -> dict[str, Entry]:
        return {id: entry for id, entry in self.entries.items() if entry.runs_on.role == role}

    def loaded(self) -> dict[str, Entry]:
        """What the workers load: of each role its default, or the first that they can load where that is served
        elsewhere, so that there is always somebody who can do the work."""
        chosen = {}
        for role in (role for role in WORKERS if role in self.defaults):
            ids = [self.defaults[role], *self.of(role)]
            id = next(id for id in ids if not self.entries[id].runs_on.http)
            chosen[id] = self.entries[id]
        return chosen


def read(own: str = "", default_asr: str = "", streaming: str = "", shipped: Path = REGISTRY) -> Registry:
    """The registry. ``own`` is the path of an operator's file, ``default_asr`` the id of what transcribes segments,
    ``streaming`` that of what shows text meanwhile, or ``NONE``. There is none either where the operator's file says
    of our default that it is none, and names no other.

    Raises RegistryError.
    """
    ours = _read(_FILE, shipped)
    defaults = _defaults(ours.models, shipped)
    entries, names = dict(ours.models), dict(ours.names)
    if own:
        path = Path(own)
        theirs = _read(_FILE, path)
        entries |= theirs.models
        names |= theirs.names
        ours_now = theirs.models.get(defaults["streaming"])
        if ours_now is not None and "default" in ours_now.model_fields_set:
            del defaults["streaming"]
        defaults |= _defaults(theirs.models, path)
    if default_asr:
        defaults["segment"] = _known("DEFAULT_ASR_MODEL", default_asr, "segment", entries)
    if streaming == NONE:
        defaults.pop("streaming", None)
    elif streaming:
        defaults["streaming"] = _known("XINGJI_STREAMING_MODEL", streaming, "streaming", entries)
    name = Path(own).name if own else shipped.name
    registry = Registry(entries, defaults, names)
    _check_whole(registry, name)
    return registry


def _known(variable: str, id: str, role: Role, entries: Mapping[str, Entry]) -> str:
    known = [other for other, entry in entries.items() if entry.runs_on.role == role]
    if id not in known:
        raise RegistryError(f"{variable}: 没有模型 {id}，可选：{'、'.join(known)}（no such model）")
    return id


def official(shipped: Path = REGISTRY) -> dict[str, Entry]:
    """What workers load by default, by id. Raises RegistryError."""
    return read(shipped=shipped).loaded()


def _defaults(entries: Mapping[str, Entry], path: Path) -> dict[Role, str]:
    found: dict[Role, str] = {}
    for id, entry in entries.items():
        role = entry.runs_on.role
        if entry.default and role in found:
            raise RegistryError(
                f"{path.name}: models.{id}.default: {found[role]} is the default of role {role} already"
            )
        if entry.default:
            found[role] = id
    return found


def _check_whole(registry: Registry, name: str) -> None:
    for role in WORKERS:
        there = registry.of(role)
        if role == "streaming" and role not in registry.defaults:
            continue
        if registry.defaults.get(role) not in there:
            raise RegistryError(f"{name}: models: none of role {role} is the default")
        if all(entry.runs_on.http for entry in there.values()):
            raise RegistryError(f"{name}: models: none of role {role} can be loaded by workers")
    shown = {name for id, entry in registry.of("streaming").items() for name in (id, entry.repo)}
    for id, entry in registry.entries.items():
        if entry.models.realtime not in (None, *shown):
            raise RegistryError(f"{name}: models.{id}.models.realtime: no streaming model is called so")
    for called, target in registry.names.items():
        if target not in (None, *registry.of("segment")):
            raise RegistryError(f"{name}: names.{called}: no model that transcribes segments is called {target}")


def damaged(folder: Path, locked: Locked, digests: bool) -> list[str]:
    """Names of files that are absent or differ in size, or with ``digests`` (slow) in content."""
    return [name for name, wanted in locked.files.items() if not _same(folder / name, wanted, digests)]


def digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _same(path: Path, wanted: Digest, digests: bool) -> bool:
    if not path.is_file() or path.stat().st_size != wanted.size:
        return False
    return not digests or digest(path) == wanted


def _read(kind: TypeAdapter[T], path: Path) -> T:
    try:
        return kind.validate_json(path.read_bytes())
    except OSError as error:
        raise RegistryError(f"{path.name}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RegistryError(f"{path.name}: {field + ': ' if field else ''}{message}") from error
