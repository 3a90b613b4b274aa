"""Word from another thread that a piece of work is not wanted any more."""

import threading
from collections.abc import Callable


class Halted(Exception):
    """The work was given up because somebody asked for it. Nobody's fault, and no answer."""


class Halt:
    """Thread-safe. Whoever works registers what ends it with ``on``, or looks at ``asked`` between steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: list[Callable[[], object]] = []
        self.asked = False

    def ask(self) -> None:
        with self._lock:
            self.asked = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def on(self, stop: Callable[[], object]) -> None:
        """``stop`` is called when halting is asked for; at once where it has been. It must not raise."""
        with self._lock:
            if not self.asked:
                self._stops.append(stop)
                return
        stop()
