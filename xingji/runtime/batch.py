"""Which waiting jobs go to a model together. Pure: no clock, no thread, no model.

The oldest job goes first and takes others of its kind along, as far as the kind's ``Limit`` allows.
Nothing is waited for: what comes while a batch runs is the next batch, so that batches grow with the
load and a lone stream never waits for company.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.messages import Job


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of one kind goes together. A lone job always does."""

    jobs: int = 1
    samples: int = 0  # of the batch, short jobs padded to the longest; 0: no limit
    ordered: bool = True  # a stream's jobs build on one another: one of each stream, the oldest


@dataclass(frozen=True, slots=True)
class Request:
    """One job on its way through a worker."""

    id: int
    stream: int
    job: Job


def take(waiting: list[Request], limits: Mapping[type[Any], Limit]) -> list[Request]:
    """Remove the next batch from ``waiting``; all of one kind, in order of arrival. Empty where nothing waits."""
    if not waiting:
        return []
    kind = type(waiting[0].job)
    limit = limits.get(kind, Limit())
    batch: list[Request] = []
    streams: set[int] = set()
    longest = 0
    for request in waiting:
        if len(batch) == limit.jobs:
            break
        if type(request.job) is not kind or (limit.ordered and request.stream in streams):
            continue
        streams.add(request.stream)  # also of one that is too long: nothing of its stream may overtake it
        padded = (len(batch) + 1) * max(longest, length(request.job))
        if batch and limit.samples and padded > limit.samples:
            continue
        batch.append(request)
        longest = max(longest, length(request.job))
    chosen = {request.id for request in batch}
    waiting[:] = [request for request in waiting if request.id not in chosen]
    return batch


def length(job: Job) -> int:
    """Samples that the job carries."""
    return len(getattr(job, "samples", ()))
