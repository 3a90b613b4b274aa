"""``models.json``, the official models, and ``models.lock.json``, what was downloaded of them.

Both are checked when read; an error names the file and the field. The lock is written after a
model is complete, so a model that it names was complete once; the digests in it hold from then on.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

REGISTRY = Path(__file__).resolve().parents[2] / "models.json"
LOCK = "models.lock.json"

HubName = Literal["modelscope", "huggingface"]
T = TypeVar("T")


class RegistryError(Exception):
    """A file of ours is not as it must be. Its text, for the operator, names the file and the field."""


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(_Checked):
    """A repository on a hub. ``revision`` is a branch or a tag there."""

    repo: str = Field(pattern=r"^[\w.-]*\w/[\w.-]*\w$")  # it becomes a path: no part may be ".."
    revision: str = Field(pattern=r"^[\w][\w.-]*$")


class Entry(_Checked):
    """One official model. ``engine`` is ``module:Class``; ``huggingface`` is None where that hub lacks it."""

    role: Literal["vad", "streaming", "punctuation", "segment"]
    engine: str = Field(pattern=r"^xingji\.engines\.\w+:\w+$")
    modelscope: Source
    huggingface: Source | None
    licence: str = Field(min_length=1)
    languages: list[str] = Field(min_length=1)
    default: bool

    def sources(self) -> Iterator[tuple[HubName, Source]]:
        """Where to ask, in order."""
        yield "modelscope", self.modelscope
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


Id = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
_ENTRIES = TypeAdapter(dict[Id, Entry])
_LOCK = TypeAdapter(dict[Id, Locked])


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


def official(path: Path = REGISTRY) -> dict[str, Entry]:
    """The default models by id. Raises RegistryError."""
    entries = _read(_ENTRIES, path)
    chosen = {id: entry for id, entry in entries.items() if entry.default}
    roles = [entry.role for entry in chosen.values()]
    for role in ("vad", "streaming", "punctuation", "segment"):
        if roles.count(role) != 1:
            raise RegistryError(f"{path.name}: default: {roles.count(role)} models of role {role}, must be 1")
    return chosen


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
        raise RegistryError(f"{path.name}: {field + ': ' if field else ''}{first['msg']}") from error
