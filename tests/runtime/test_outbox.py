"""What waits for a slow client: in order, with stale partials merged and nothing else missing."""

import threading
from collections.abc import Iterator
from functools import partial
from queue import Queue
from types import SimpleNamespace

import pytest

from tests.runtime.fakes import PATIENCE_S, in_thread
from xingji.runtime.outbox import PENDING, Outbox


class Transport:
    """Takes everything at once, or nothing while it is ``full``."""

    def __init__(self) -> None:
        self.sent: Queue[str] = Queue()
        self.full = threading.Event()
        self.tried = threading.Event()

    def send(self, message: str) -> None:
        self.sent.put(message)

    def pending(self) -> int:
        if self.full.is_set():
            self.tried.set()
            return PENDING + 1
        return PENDING

    def got(self, count: int) -> list[str]:
        return [self.sent.get(timeout=PATIENCE_S) for _ in range(count)]


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def outbox(transport: Transport) -> Iterator[Outbox[str]]:
    box: Outbox[str] = Outbox(transport.send, transport.pending)
    yield box
    box.close()


def put(outbox: Outbox[str], *messages: str, replaces: object = None) -> None:
    outbox.put(lambda: messages, replaces)


def test_everything_goes_out_in_order(outbox: Outbox[str], transport: Transport) -> None:
    put(outbox, "0")
    in_thread(outbox.run)
    for n in range(1, 500):
        put(outbox, str(n))
    assert transport.got(500) == [str(n) for n in range(500)]


def test_one_item_may_be_several_messages_or_none(outbox: Outbox[str], transport: Transport) -> None:
    put(outbox, "a", "b")
    put(outbox)
    put(outbox, "c")
    in_thread(outbox.run)
    assert transport.got(3) == ["a", "b", "c"]


def test_what_waits_is_replaced_by_its_successor_which_keeps_the_later_place(
    outbox: Outbox[str], transport: Transport
) -> None:
    put(outbox, "p1", replaces=("rec", 1))
    put(outbox, "q1", replaces=("rec", 2))
    put(outbox, "start")
    put(outbox, "p2", replaces=("rec", 1))
    put(outbox, "end")
    put(outbox, "end")
    in_thread(outbox.run)
    assert transport.got(5) == ["q1", "start", "p2", "end", "end"]


def test_what_is_sent_is_replaced_no_more(outbox: Outbox[str], transport: Transport) -> None:
    in_thread(outbox.run)
    put(outbox, "p1", replaces=1)
    assert transport.got(1) == ["p1"]
    put(outbox, "p2", replaces=1)
    assert transport.got(1) == ["p2"]


def test_a_message_is_made_when_its_turn_comes(outbox: Outbox[str], transport: Transport) -> None:
    made: list[int] = []

    def make(n: int) -> tuple[str]:
        made.append(n)
        return (f"{n} of {len(made)}",)

    for n in range(4):
        outbox.put(partial(make, n), replaces=n % 2)
    assert made == []
    in_thread(outbox.run)
    assert transport.got(2) == ["2 of 1", "3 of 2"]
    assert made == [2, 3]


def test_a_slow_transport_is_waited_for(
    outbox: Outbox[str], transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    clock = SimpleNamespace(sleep=lambda _: goes_on.wait(PATIENCE_S))
    monkeypatch.setattr("xingji.runtime.outbox.time", clock)
    transport.full.set()
    in_thread(outbox.run)
    put(outbox, "first")
    assert transport.tried.wait(PATIENCE_S)
    for n in range(100):
        put(outbox, f"partial {n}", replaces="partial")
        put(outbox, f"end {n}")
    assert transport.sent.empty()
    transport.full.clear()
    goes_on.set()
    assert transport.got(102) == ["first", *[f"end {n}" for n in range(99)], "partial 99", "end 99"]


def test_close_ends_the_sender_and_takes_nothing_more(outbox: Outbox[str], transport: Transport) -> None:
    put(outbox, "never sent")
    outbox.close()
    put(outbox, "nor this")
    sender = in_thread(outbox.run)
    sender.join(PATIENCE_S)
    assert not sender.is_alive()
    assert transport.sent.empty()


@pytest.mark.parametrize("waits_for", ["something to send", "a full transport"])
def test_close_wakes_the_sender(outbox: Outbox[str], transport: Transport, waits_for: str) -> None:
    sender = in_thread(outbox.run)
    if waits_for == "a full transport":
        transport.full.set()
        put(outbox, "stuck")
        assert transport.tried.wait(PATIENCE_S)
    outbox.close()
    sender.join(PATIENCE_S)
    assert not sender.is_alive()


def test_what_waits_counts_what_the_transport_holds(outbox: Outbox[str], transport: Transport) -> None:
    assert outbox.waiting == PENDING
    put(outbox, "a", "b")
    put(outbox, "p1", replaces=1)
    put(outbox, "p2", replaces=1)
    assert outbox.waiting == PENDING + 2
