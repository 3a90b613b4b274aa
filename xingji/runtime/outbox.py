"""What waits to be sent on one connection: in order, bounded, stale partials merged.

Events are encoded only when it is their turn, so numbers and text differences always describe
what the client really got. A slow client makes partial texts of one sentence replace each other
here; nothing else is ever dropped.
"""

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

M = TypeVar("M")

PENDING = 64  # packets handed to the transport and not yet written


class Outbox(Generic[M]):
    def __init__(self, send: Callable[[M], None], pending: Callable[[], int]) -> None:
        """``send`` hands one message to the transport and never raises; ``pending`` says how many it still holds."""
        self._send, self._pending = send, pending
        self._changed = threading.Condition()
        self._items: dict[Hashable, Callable[[], Iterable[M]]] = {}  # in order of arrival
        self._numbers = itertools.count()
        self._closed = False

    def put(self, make: Callable[[], Iterable[M]], replaces: Hashable | None = None) -> None:
        """``make`` is called when its turn comes. An item with the same ``replaces`` that still waits is dropped."""
        with self._changed:
            if self._closed:
                return
            key: Hashable = ("item", next(self._numbers)) if replaces is None else ("latest", replaces)
            self._items.pop(key, None)
            self._items[key] = make
            self._changed.notify()

    @property
    def waiting(self) -> int:
        """Messages that are not yet written, those with the transport included."""
        return len(self._items) + self._pending()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify()

    def run(self) -> None:
        """Until closed. The only thread that sends."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if self._closed:
                    return
                make = self._items.pop(next(iter(self._items)))
            for message in make():
                while self._pending() > PENDING and not self._closed:
                    time.sleep(0.02)
                self._send(message)
