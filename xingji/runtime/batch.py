"""Which waiting jobs go to a model together. Pure: no clock, no thread, no model.

The oldest job of the kind that goes first takes others of its kind along, as far as the kind's ``Limit`` allows.
Files are patient: their jobs give way to those of people who wait, but not for ever, and go in batches
of their own. So do those for which nobody waits at all, to files as well. Nothing is waited for: what
comes while a batch runs is the next batch, so that batches grow with the load and a lone stream never
waits for company.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.messages import Work

GIVES_WAY = 64  # jobs that came later and may overtake one


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of one kind goes together. A lone job always does."""

    jobs: int = 1
    samples: int = 0  # of the batch, short jobs padded to the longest; 0: no limit
    ordered: bool = True  # a stream's jobs build on one another: one of each stream, the oldest
    first: bool = False  # these are short, and from them come others that go better together


@dataclass(frozen=True, slots=True)
class Request:
    """One job on its way through a worker. Ids rise."""

    id: int
    stream: int
    job: Work
    patience: int = 0  # 1: of a file, nobody waits for each single answer; 2: nobody waits for the file either
    alone: bool = False  # was under way when a worker died: it must not take others with it once more


def take(waiting: list[Request], limits: Mapping[type[Any], Limit]) -> list[Request]:
    """Remove the next batch from ``waiting``; all of one kind and patience, in order of arrival. Empty where
    nothing waits."""
    if not waiting:
        return []
    leader = _leader(waiting, limits)
    kind = type(leader.job)
    limit = limits.get(kind, Limit())
    batch: list[Request] = []
    streams: set[int] = set()
    longest = 0
    for request in waiting:
        if len(batch) == limit.jobs:
            break
        alike = type(request.job) is kind and request.patience == leader.patience
        if not alike or (limit.ordered and request.stream in streams):
            continue
        streams.add(request.stream)  # also of one that cannot come along: nothing of its stream may overtake it
        padded = (len(batch) + 1) * max(longest, length(request.job))
        if batch and ((limit.samples and padded > limit.samples) or request.alone):
            continue
        batch.append(request)
        longest = max(longest, length(request.job))
        if request.alone:
            break
    chosen = {request.id for request in batch}
    waiting[:] = [request for request in waiting if request.id not in chosen]
    return batch


def _leader(waiting: list[Request], limits: Mapping[type[Any], Limit]) -> Request:
    oldest = waiting[0]
    urgent = min(waiting, key=lambda request: (request.patience, not limits.get(type(request.job), Limit()).first))
    return oldest if urgent.id - oldest.id > GIVES_WAY else urgent


def length(job: Work) -> int:
    """Samples that the job carries."""
    return len(getattr(job, "samples", ()))
