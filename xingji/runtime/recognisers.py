"""Who transcribes a segment: the one place where that is chosen.

The workers' own engine is asked through the pool; a model over HTTP, or in a process of its own, in ways of its own
(``remote.py``). What such a model does not read in time, or at all, the workers read, and the reading says so; where it
knows no times of words, they are looked for (``aligning.py``).
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..core.errors import XingjiError
from ..core.messages import Lost, NoSpeech, Result, Transcribe, Work
from ..core.types import Hypothesis
from .aligning import Aligning, Workers
from .metrics import Metrics
from .registry import Entry, Registry, RegistryError
from .remote import Embedded, Recogniser, Remote, Rules, Worker

MOST_ADDRESSES = 16  # servers that requests may name, at a time


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is served. ``port`` None: what the scheme has, or 8000 where the host has no scheme."""

    host: str
    port: int | None = None

    @property
    def url(self) -> str:
        if "://" in self.host:
            parts = urlsplit(self.host)
            return urlunsplit(parts if self.port is None else parts._replace(netloc=f"{parts.hostname}:{self.port}"))
        return f"http://{self.host}:{self.port or 8000}"


@dataclass(frozen=True, slots=True)
class Choice:
    """``id`` is the model's in the registry; ``key`` finds its server here, None means the workers."""

    id: str
    entry: Entry
    key: str | None


class Recognisers:
    def __init__(
        self,
        registry: Registry,
        places: Mapping[str, Place],
        make: Callable[[Entry, Place], Recogniser],
        rules: Rules,
        metrics: Metrics,
        embedded: Mapping[str, Callable[[], Worker]] | None = None,
        times_within_s: float = 1.0,
    ) -> None:
        """``places``: where models are served, by id; ``embedded`` starts the process of those that are served
        nowhere but have one; ``times_within_s`` as for ``Aligning``. Raises RegistryError where the default is served
        nowhere."""
        self._registry, self._places, self._make = registry, dict(places), make
        self._rules, self._metrics = rules, metrics
        self._lock = threading.Lock()
        self._embedded = {id: start for id, start in (embedded or {}).items() if id not in places}
        self._remotes: dict[str, Remote | Embedded] = {}
        self._named: list[str] = []  # keys of servers that requests have named, oldest first
        self._own = next(id for id in registry.loaded() if registry.entries[id].runs_on.role == "segment")
        self.default = registry.defaults["segment"]
        if not self._is_set_up(self.default):
            raise RegistryError(f"缺省模型 {self.default} 没有配置地址（the default model is served nowhere）")
        for id, entry in registry.of("segment").items():
            if entry.load == "start" and id != self._own and self._is_set_up(id):
                self._remote(id, entry, self._places.get(id))
        self._aligning = Aligning(self._aligner(), times_within_s, metrics)

    def _aligner(self) -> Embedded | None:
        """The model that only aligns, if one runs here; its process starts now."""
        id = next((id for id in self._registry.of("aligner") if id in self._embedded), None)
        if id is None:
            return None
        aligner = self._remotes[id] = Embedded(self._registry.entries[id], self._embedded[id]())
        return aligner

    # -- the choice -------------------------------------------------------------------

    def choose(self, model: str | None, host: str | None = None, port: int | None = None) -> Choice:
        """``model``: an id, or what clients call it; ``host`` and ``port`` of a server that the client names.

        Raises XingjiError: unknown_model, bad_config.
        """
        id = self._registry.called(model) if model else self.default
        entry = self._registry.of("segment").get(id)
        if entry is None or not (self._is_set_up(id) or (host and entry.runs_on.http)):
            available = [other for other in self._registry.of("segment") if self._is_set_up(other)]
            raise XingjiError("unknown_model", field="model", detail={"models": available})
        if id == self._own:
            return Choice(id, entry, None)
        if host is None and port is None:
            self._remote(id, entry, self._places.get(id))
            return Choice(id, entry, id)
        return Choice(id, entry, self._named_by_client(id, entry, host, port))

    def listing(self) -> list[dict[str, Any]]:
        """Every entry of the registry, and whether it can be chosen, for clients."""
        return [self._listed(id, entry) for id, entry in self._registry.entries.items()]

    def usable(self) -> list[str]:
        """Ids of the models that can be chosen and of whose servers nothing bad is known."""
        ids = self._registry.of("segment")
        return [id for id in ids if self._is_set_up(id) and self._problem(id) is None]

    def status(self) -> dict[str, Any]:
        """Facts about each server that is or was used, by model."""
        with self._lock:
            return {key: remote.status() for key, remote in self._remotes.items() if key not in self._named}

    def name(self, source: str) -> str:
        """What people call the model of a reading."""
        return self._registry.entries[source].name if source else "SenseVoice"

    def _is_set_up(self, id: str) -> bool:
        return id == self._own or id in self._places or id in self._embedded

    def _named_by_client(self, id: str, entry: Entry, host: str | None, port: int | None) -> str:
        known = self._places.get(id)
        host = host or (known.host if known else None)
        if host is None or host not in self._rules.hosts:
            raise XingjiError("bad_config", field="vllm_host")
        place = Place(host, port or (known.port if known and known.host == host else None))
        key = f"{id}@{place.url}"
        self._remote(key, entry, place)
        with self._lock:
            if key not in self._named:
                self._named.append(key)
            gone = self._remotes.pop(self._named.pop(0), None) if len(self._named) > MOST_ADDRESSES else None
        if gone is not None:
            gone.close()
        return key

    def _listed(self, id: str, entry: Entry) -> dict[str, Any]:
        facts = entry.model_dump(
            include={"name", "description", "languages", "supports_realtime", "models", "digests", "licence", "load"}
        )
        source = dict(entry.sources()).get("modelscope") or entry.huggingface
        capabilities = entry.capabilities.model_dump()
        return facts | {
            "id": id,
            "engine": entry.engine,
            "role": entry.runs_on.role,
            "default": self._registry.defaults.get(entry.runs_on.role) == id,
            "capabilities": capabilities,
            "repo": entry.repo,
            "revision": source.revision if source else None,
            "available": self._is_set_up(id) or id in self._registry.loaded(),
            "problem": self._problem(id),
        }

    def _problem(self, id: str) -> str | None:
        with self._lock:
            remote = self._remotes.get(id)
        return None if remote is None else remote.status()["problem"]

    # -- the way there ----------------------------------------------------------------

    def submit(
        self, workers: Workers, stream: int, job: Work, done: Callable[[Result], None], patient: bool = False
    ) -> None:
        """Answer ``job`` by calling ``done`` once. Files are ``patient``."""
        if not isinstance(job, Transcribe) or job.model is None:
            workers.submit(stream, job, done, patient)
            return
        key = job.model
        id = key.partition("@")[0]

        def read(result: Hypothesis | NoSpeech | Lost) -> None:
            if isinstance(result, Lost):
                self._metrics.fell_back(id, result.reason)
                workers.submit(stream, replace(job, model=None, bias=()), lambda own: done(_told(own, result)), patient)
            elif isinstance(result, Hypothesis) and not job.preview:
                self._aligning.align(workers, stream, job, replace(result, source=id), done, patient)
            else:
                done(replace(result, source=id) if isinstance(result, Hypothesis) else result)

        with self._lock:
            remote = self._remotes.get(key)
        if remote is None:
            read(Lost("disabled"))
        else:
            remote.submit(job, read, patient)

    def close(self) -> None:
        with self._lock:
            remotes, self._remotes = list(self._remotes.values()), {}
        for remote in remotes:
            remote.close()

    def _remote(self, key: str, entry: Entry, place: Place | None) -> None:
        """Have a way to a model; without a place, through a process of its own."""
        with self._lock:
            if key in self._remotes:
                return
            if place is None:
                self._remotes[key] = Embedded(entry, self._embedded[key]())
            else:
                self._remotes[key] = Remote(key, self._make(entry, place), self._rules)


def _told(result: Result, lost: Lost) -> Result:
    return replace(result, fallback=lost.reason) if isinstance(result, Hypothesis) else result


__all__ = ["Choice", "Place", "Recogniser", "Recognisers", "Rules"]
