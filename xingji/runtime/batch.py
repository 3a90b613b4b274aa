"""Which waiting jobs go to a model together. Pure: no clock, no thread, no model.

The oldest job goes first and takes others of its kind along, at most one per stream (a stream's
jobs build on one another) and at most ``limits[kind]``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.messages import Job


@dataclass(frozen=True, slots=True)
class Request:
    """One job on its way through a worker."""

    id: int
    stream: int
    job: Job


def take(waiting: list[Request], limits: Mapping[type[Any], int]) -> list[Request]:
    """Remove the next batch from ``waiting``; all of one kind, in order of arrival. Empty where nothing waits."""
    if not waiting:
        return []
    kind = type(waiting[0].job)
    limit = limits.get(kind, 1)
    batch: list[Request] = []
    streams: set[int] = set()
    for request in waiting:
        if len(batch) == limit:
            break
        if type(request.job) is kind and request.stream not in streams:
            batch.append(request)
            streams.add(request.stream)
    chosen = {request.id for request in batch}
    waiting[:] = [request for request in waiting if request.id not in chosen]
    return batch
