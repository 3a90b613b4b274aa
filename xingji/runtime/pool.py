"""All inference workers: which one does what, and whether they keep up.

Each role (``stream``, ``segment``) has one worker or several. A stream stays with the worker that has its state;
a segment goes to whoever owes least.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core.messages import Align, Decode, Detect, Result, Transcribe, Work
from .headroom import Costs
from .link import SLOW_STARTS, Link
from .metrics import Metrics

ROLES = ("stream", "segment")
ROLE_OF: dict[type[Any], str] = {Detect: "stream", Decode: "stream", Transcribe: "segment", Align: "segment"}
# A worker whose jobs wait longer than this for their turn is behind. A live step waits no longer than the audio of
# one takes to arrive; a sentence may have to wait for another one.
BEHIND_S = {"stream": 0.6, "segment": 2.0}


class Pool:
    """``models`` maps vad, paraformer, punc and sensevoice to their directories."""

    def __init__(
        self,
        models: Mapping[str, Path],
        device: str,
        job_timeout_s: float,
        start_timeout_s: float,
        log_level: str,
        metrics: Metrics,
        mps: bool = True,
        precision: str = "auto",
        workers: Mapping[str, int] | None = None,
    ) -> None:
        """``workers``: how many of each role; one where it says nothing."""
        folders = {name: str(path) for name, path in models.items()}
        setup = {"models": folders, "device": device, "mps": mps, "precision": precision, "log_level": log_level}
        limits = job_timeout_s, SLOW_STARTS * start_timeout_s
        self._roles = {
            role: [Link(role, setup, *limits, metrics) for _ in range((workers or {}).get(role, 1))] for role in ROLES
        }
        self._seats: dict[int, Link] = {}  # where each stream's state is
        self._lock = threading.Lock()
        for name, link in self.links.items():
            metrics.watch_worker(name, link)

    @property
    def links(self) -> dict[str, Link]:
        """Every worker by name: "stream", "stream_2", …"""
        return {
            role if number == 1 else f"{role}_{number}": link
            for role, links in self._roles.items()
            for number, link in enumerate(links, 1)
        }

    def submit(self, stream: int, job: Work, done: Callable[[Result], None], patient: bool = False) -> None:
        """``patient`` jobs give way to others for a while."""
        if ROLE_OF[type(job)] == "stream":
            link = self._seat(stream)
        else:
            link = min(self._usable("segment"), key=lambda link: link.waiting)
        link.submit(stream, job, done, patient)

    def release(self, stream: int) -> None:
        with self._lock:
            link = self._seats.pop(stream, None)
        if link is not None:
            link.release(stream)

    @property
    def ready(self) -> bool:
        return all(any(link.ready.is_set() for link in links) for links in self._roles.values())

    def behind(self, patient: bool) -> bool:
        """Would one more recording come at the cost of those that are running? Files take nothing from people."""
        return any(all(link.waited_s(patient) > BEHIND_S[role] for link in self._usable(role)) for role in self._roles)

    @property
    def costs(self) -> Costs:
        """Of the workers that answer."""
        return {role: [link.costs for link in self._usable(role)] for role in self._roles}

    def wait(self, timeout_s: float) -> bool:
        """True once every worker is ready."""
        deadline = time.monotonic() + timeout_s
        return all(link.ready.wait(max(0.0, deadline - time.monotonic())) for link in self.links.values())

    def close(self) -> None:
        for link in self.links.values():
            link.close()

    def _seat(self, stream: int) -> Link:
        """The worker of a stream; a new one gets the worker that has fewest, and so does one whose worker is away:
        what that knew of it is lost, and the session gives it again to whoever is there."""
        with self._lock:
            usable = self._usable("stream")
            if self._seats.get(stream) not in usable:
                taken = [id(link) for link in self._seats.values()]
                self._seats[stream] = min(usable, key=lambda link: taken.count(id(link)))
            return self._seats[stream]

    def _usable(self, role: str) -> list[Link]:
        """The workers of a role that answer; all of them where none does."""
        return [link for link in self._roles[role] if link.ready.is_set()] or self._roles[role]
