"""How the gateway ends: recordings, then their results, then the workers; and not for ever."""

from types import SimpleNamespace
from typing import Any

import pytest

import xingji.doors
from xingji.doors import SENDING_S, Services
from xingji.runtime.gate import Gate
from xingji.runtime.outbox import Outbox


class World:
    """A clock that only sleeping moves, and a client that takes one packet every ``packet_s`` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, packets: int, packet_s: float) -> None:
        self.now, self.happened = 100.0, list[tuple[str, float]]()
        self._packets, self._packet_s = packets, packet_s
        monkeypatch.setattr(xingji.doors, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))
        outbox = Outbox[Any](lambda message: None, self.pending)
        hub, pool = SimpleNamespace(active=1, drain=self.drain), SimpleNamespace(close=self.close)
        gate = Gate[Any](hub, SimpleNamespace(), outbox, lambda: None)  # type: ignore[arg-type]
        parts: dict[str, Any] = dict.fromkeys(
            ("settings", "socketio", "models", "hotwords", "tables", "backups", "corrections", "metrics")
        )
        self.services = Services(**parts, pool=pool, hub=hub, started=0.0, gates={"sid": gate})  # type: ignore[arg-type]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def pending(self) -> int:
        return max(0, self._packets - int((self.now - 100.0) / self._packet_s))

    def drain(self, timeout_s: float) -> None:
        self.happened.append(("drain", timeout_s))
        self.now += 1.0

    def close(self) -> None:
        self.happened.append(("close", self.now - 100.0))


def test_workers_end_when_everything_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, packets=30, packet_s=0.1)
    world.services.shut_down(18.0)
    (first, budget), (last, when) = world.happened
    assert (first, last) == ("drain", "close")
    assert budget == 18.0 - SENDING_S
    assert 3.0 <= when < 3.2 + SENDING_S


def test_a_client_that_reads_nothing_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, packets=30, packet_s=1000.0)
    world.services.shut_down(18.0)
    assert world.happened[-1][0] == "close"
    assert world.happened[-1][1] <= 18.1


def test_waiting_counts_what_the_outbox_and_the_transport_hold() -> None:
    held = 2
    outbox = Outbox[str](lambda message: None, lambda: held)
    assert outbox.waiting == 2
    outbox.put(lambda: ("text",))
    assert outbox.waiting == 3
    outbox.close()
    assert outbox.waiting == 2
