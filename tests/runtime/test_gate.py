"""One connection's state machine: every event in every state, and what the client is told."""

import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.runtime.conftest import MakeHub
from tests.runtime.fakes import PATIENCE_S, BrokenSession, Engines, in_thread, silence, speech
from tests.support import read_wav
from xingji.audio import FORMATS
from xingji.core.errors import XingjiError
from xingji.core.messages import Correct, Detect, Transcribe
from xingji.core.session import Session
from xingji.core.types import SAMPLE_RATE, AudioFormat, Hotword
from xingji.runtime.driver import Clocks
from xingji.runtime.gate import Gate
from xingji.runtime.hub import Hub, Limits
from xingji.wire import Frame, Open, Wishes
from xingji.wire.sequence import WINDOW
from xingji.wire.socketio import Message, SocketIoWire

TALK = np.concatenate([speech(1.0), silence(0.6)]).tobytes()


class Outbox:
    """Sends at once; keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.keys: list[Any] = []
        self.closed = False
        self.waiting = 0
        self._queue: Queue[Message] = Queue()
        self._one_at_a_time = threading.Lock()

    def put(self, make: Callable[[], Iterable[Message]], replaces: Any = None) -> None:
        with self._one_at_a_time:
            if self.closed:
                return
            for message in make():
                self.keys.append(replaces)
                self.sent.append(message)
                self._queue.put(message)

    def close(self) -> None:
        with self._one_at_a_time:
            self.closed = True

    def wait_for(self, event: str) -> dict[str, Any]:
        while True:
            name, body = self._queue.get(timeout=PATIENCE_S)
            if name == event:
                return body

    def events(self) -> list[str]:
        return [name for name, _ in self.sent]

    def errors(self) -> list[dict[str, Any]]:
        return [body for name, body in self.sent if name == "error"]


class Connection:
    """A gate and its client's ears. What the gate refuses is told as the door does it."""

    def __init__(self, hub: Hub) -> None:
        self.outbox = Outbox()
        self.kept_alive = Queue[None]()
        self.gate: Gate[Message] = Gate(hub, SocketIoWire(), self.outbox, lambda: self.kept_alive.put(None))  # type: ignore[arg-type]

    def open(self, **wishes: Any) -> str:
        return self.gate.open(Open(Wishes(**wishes))).id

    def feed(self, data: bytes = TALK, seq: int | None = None) -> Any:
        return self.gate.feed(Frame(data, seq))


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub()


@pytest.fixture
def connection(hub: Hub) -> Connection:
    return Connection(hub)


# -- every event in every state -------------------------------------------------------------

ACTIONS: dict[str, Callable[[Connection], Any]] = {
    "start": lambda c: c.gate.open(Open()),
    "audio": lambda c: c.feed(),
    "stop": lambda c: c.gate.stop()[1],
    "cancel": lambda c: c.gate.cancel(),
    "hotwords": lambda c: c.gate.use_hotwords((Hotword("DAC"),)),
}
WAYS: dict[str, list[str]] = {
    "connected": [],
    "recording": ["start", "audio"],
    "finalizing": ["start", "audio", "stop"],  # the second pass is held
    "cancelled": ["start", "audio", "cancel"],
    "recording again": ["start", "audio", "stop", "start"],
}
TABLE: dict[str, dict[str, str]] = {
    #                    start                audio         stop          cancel        hotwords
    "connected":       {"start": "ok", "audio": "no_session", "stop": "no_session", "cancel": "no_session"},
    "recording":       {"start": "already_recording", "audio": "ok", "stop": "ok", "cancel": "ok"},
    "finalizing":      {"start": "ok", "audio": "dropped", "stop": "duplicate", "cancel": "no_session"},
    "finished":        {"start": "ok", "audio": "no_session", "stop": "no_session", "cancel": "no_session"},
    "cancelled":       {"start": "ok", "audio": "no_session", "stop": "no_session", "cancel": "no_session"},
    "recording again": {"start": "already_recording", "audio": "ok", "stop": "ok", "cancel": "ok"},
}  # fmt: skip
for _row in TABLE.values():
    _row["hotwords"] = "ok" if _row["cancel"] == "ok" else "no_session"


@pytest.mark.parametrize(
    ("state", "action", "outcome"),
    [(state, action, outcome) for state, row in TABLE.items() for action, outcome in row.items()],
)
def test_every_event_in_every_state(
    connection: Connection, engines: Engines, state: str, action: str, outcome: str
) -> None:
    engines.held = set() if state == "finished" else {Transcribe}
    for step in WAYS["finalizing" if state == "finished" else state]:
        ACTIONS[step](connection)
    last = connection.gate._last
    if state == "finished":
        connection.outbox.wait_for("final_result")
        assert last is not None
        assert last.driver.finished.wait(PATIENCE_S)
    accepted = last.driver.accepted if last else 0
    try:
        result = ACTIONS[action](connection)
    except XingjiError as error:
        assert error.code == outcome
        return
    match outcome:
        case "ok":
            assert result is not None
        case "dropped":
            assert result is last
            assert last is not None
            assert last.driver.accepted == accepted
        case "duplicate":
            assert result is True
        case _:
            raise AssertionError(f"{action} was not refused")


def test_audio_outside_a_recording_is_told_once_per_burst(connection: Connection) -> None:
    def burst() -> list[str]:
        codes = []
        for _ in range(5):
            try:
                assert connection.feed() is None
            except XingjiError as error:
                codes.append(error.code)
        return codes

    assert burst() == ["no_session"]
    assert burst() == []
    connection.open()
    connection.gate.cancel()
    assert burst() == ["no_session"]
    with pytest.raises(XingjiError, match="no_session"):
        connection.gate.stop()
    assert burst() == ["no_session"]


# -- what the client is told ---------------------------------------------------------------------


def test_a_recording_is_told_in_order_and_its_result_once(connection: Connection, hub: Hub) -> None:
    id = connection.open(client_recording_id="mine")
    for at in range(0, len(TALK), 3200):
        assert connection.feed(TALK[at : at + 3200]).id == id
    recording, duplicate = connection.gate.stop()
    assert (recording.id, duplicate) == (id, False)
    final = connection.outbox.wait_for("final_result")
    events = connection.outbox.events()
    assert events[0] == "recording_started"
    assert events[-2:] == ["processing_progress", "final_result"]
    assert [events.count(name) for name in ("recording_started", "recording_stopped", "final_result")] == [1, 1, 1]
    assert (final["recording_id"], final["llm_merged"], final["duration_ms"]) == (id, "二。", 1600)
    [stopped] = [body for name, body in connection.outbox.sent if name == "recording_stopped"]
    assert (stopped["received_bytes"], stopped["duration_ms"], stopped["reason"]) == (len(TALK), 1600, "client")
    numbers = [body["event_seq"] for _, body in connection.outbox.sent if "event_seq" in body]
    assert numbers == [*range(1, len(numbers) + 1)]
    result = hub.result(id)
    assert result is not None
    assert [s.text for s in result.completed.sentences] == ["二。"]


def test_only_partials_may_replace_one_another(connection: Connection) -> None:
    id = connection.open()
    connection.feed(speech(5.0).tobytes())
    connection.gate.stop()
    connection.outbox.wait_for("final_result")
    keyed = {
        (name, (body.get("sentence") or {}).get("stage"), key)
        for (name, body), key in zip(connection.outbox.sent, connection.outbox.keys, strict=True)
        if key is not None
    }
    assert keyed == {("transcription", "partial", (id, 0))}


def test_stop_right_after_start(connection: Connection) -> None:
    connection.open()
    connection.gate.stop()
    final = connection.outbox.wait_for("final_result")
    assert connection.outbox.events() == [
        "recording_started",
        "recording_stopped",
        "processing_progress",
        "final_result",
    ]
    assert (final["llm_merged"], final["timestamps"], final["error"], final["duration_ms"]) == ("", [], None, 0)


def test_a_new_recording_may_begin_while_the_old_one_is_finished(connection: Connection, engines: Engines) -> None:
    engines.held = {Transcribe}
    first = connection.open()
    connection.feed()
    connection.gate.stop()
    second = connection.open()
    connection.feed(speech(2.0).tobytes())
    assert connection.gate.stop()[0].id == second
    finals = []
    for _ in range(2):
        engines.answer()
        finals.append(connection.outbox.wait_for("final_result"))
    assert [(final["recording_id"], final["duration_ms"]) for final in finals] == [(first, 1600), (second, 2000)]
    for id in (first, second):
        mine = [name for name, body in connection.outbox.sent if body.get("recording_id") == id]
        assert mine[0] == "recording_started"
        assert mine[-1] == "final_result"
        assert mine.index("recording_stopped") < mine.index("processing_progress")


def test_recordings_one_after_another(connection: Connection) -> None:
    ids = []
    for _ in range(3):
        ids.append(connection.open())
        connection.feed()
        connection.gate.stop()
        assert connection.outbox.wait_for("final_result")["recording_id"] == ids[-1]
    assert len(set(ids)) == 3


def test_cancel_leaves_no_result(connection: Connection, hub: Hub, engines: Engines) -> None:
    engines.held = {Transcribe}
    id = connection.open()
    connection.feed()
    recording = connection.gate.cancel()
    assert recording.id == id
    assert recording.driver.finished.wait(PATIENCE_S)
    assert connection.outbox.sent[-1] == ("recording_cancelled", {"recording_id": id})
    with pytest.raises(XingjiError, match="not_found"):
        hub.result(id)


def test_an_error_names_the_recording_that_is_running(connection: Connection) -> None:
    connection.gate.refuse(XingjiError("bad_config", field="language"))
    id = connection.open()
    connection.gate.refuse(XingjiError("already_recording"))
    assert [error.get("recording_id") for error in connection.outbox.errors()] == [None, id]


@pytest.mark.parametrize("llm", [None, True, False])
@pytest.mark.parametrize("configured", [True, False])
def test_started_says_whether_there_will_be_corrections(
    make_hub: MakeHub, engines: Engines, llm: bool | None, configured: bool
) -> None:
    connection = Connection(make_hub(llm=configured))
    connection.open(llm=llm)
    [(_, started)] = connection.outbox.sent
    assert started["config"]["llm"] is (configured and llm is not False)
    connection.feed()
    connection.gate.stop()
    final = connection.outbox.wait_for("final_result")
    corrected = configured and llm is not False
    assert (final["llm"]["used"], final["llm_merged"]) == (corrected, "二！" if corrected else "二。")
    assert final["llm"]["fallback"] == (None if corrected else "disabled")


@pytest.mark.parametrize("waiting", [0, 1])
def test_it_owes_what_waits(connection: Connection, waiting: int) -> None:
    connection.outbox.waiting = waiting
    assert connection.gate.owes == bool(waiting)


# -- limits -----------------------------------------------------------------------------------------


def test_a_full_server_refuses_and_the_connection_can_try_again(make_hub: MakeHub) -> None:
    hub = make_hub(limits=Limits(sessions=1))
    one, two = Connection(hub), Connection(hub)
    one.open()
    with pytest.raises(XingjiError, match="busy") as caught:
        two.open()
    assert caught.value.detail == {"retry_after_ms": 5000}
    assert two.outbox.sent == []
    with pytest.raises(XingjiError, match="no_session"):
        two.gate.stop()


@pytest.mark.parametrize(
    ("clocks", "reason"), [(Clocks(idle=0.05), "idle"), (Clocks(longest=0.5), "max_duration")], ids=["idle", "longest"]
)
def test_a_limit_stops_the_recording_and_the_next_can_begin(make_hub: MakeHub, clocks: Clocks, reason: str) -> None:
    connection = Connection(make_hub(clocks))
    id = connection.open()
    if reason == "max_duration":
        connection.feed()
    assert connection.outbox.wait_for("recording_stopped")["reason"] == reason
    assert connection.outbox.wait_for("final_result")["recording_id"] == id
    last = connection.gate._last
    assert last is not None
    assert last.driver.finished.wait(PATIENCE_S)
    with pytest.raises(XingjiError, match="no_session"):
        connection.feed()
    assert connection.feed() is None
    assert connection.open() != id


def test_a_stop_that_a_limit_forestalled_is_a_duplicate(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Transcribe}
    connection = Connection(make_hub(Clocks(longest=0.5)))
    id = connection.open()
    connection.feed()
    recording, duplicate = connection.gate.stop()
    assert (recording.id, duplicate) == (id, True)
    assert connection.outbox.events().count("recording_stopped") == 1


def test_overload_makes_the_connection_wait_and_is_told_once(connection: Connection, engines: Engines) -> None:
    engines.held = {Detect}
    id = connection.open()
    connection.feed(silence(31.0).tobytes())

    def more() -> None:
        connection.feed(silence(31.0).tobytes())
        connection.feed(silence(1.0).tobytes())
        connection.gate.stop()

    feeder = in_thread(more)
    connection.kept_alive.get(timeout=PATIENCE_S)
    error = connection.outbox.wait_for("error")
    assert (error["code"], error["lag_ms"], error["recording_id"], error["fatal"]) == ("overloaded", 31_000, id, False)
    engines.let_go()
    feeder.join(PATIENCE_S)
    assert not feeder.is_alive()
    assert connection.outbox.wait_for("final_result")["duration_ms"] == 63_000
    assert [error["code"] for error in connection.outbox.errors()] == ["overloaded"]


# -- audio ------------------------------------------------------------------------------------------


def numbered(count: int) -> list[bytes]:
    return [struct.pack("<h", n) * 160 for n in range(count)]


def heard(engines: Engines) -> list[int]:
    """The frames that reached the detector, by the number that fills them."""
    return [int(n) for n in np.concatenate(engines.heard)[::160]]


@pytest.mark.parametrize(
    ("order", "arrived", "gaps"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], []),
        ([0, 2, 1, 3], [0, 1, 2, 3], []),
        ([0, 0, 1, 1, 0, 2], [0, 1, 2], []),
        ([0, 3, 2], [0, 2, 3], [(1, 2)]),  # told when the recording stops
        ([0, *range(2, 3 + WINDOW), 1], [0, *range(2, 3 + WINDOW)], [(1, 2)]),
        ([5, 6, 4], [5, 6], []),
    ],
    ids=["in order", "swapped", "doubled", "gap at the end", "gap", "late start"],
)
def test_numbered_frames(
    connection: Connection, engines: Engines, order: list[int], arrived: list[int], gaps: list[tuple[int, int]]
) -> None:
    id, frames = connection.open(), numbered(max(order) + 1)
    for n in order:
        assert connection.feed(frames[n], n).id == id
    connection.gate.stop()
    final = connection.outbox.wait_for("final_result")
    assert heard(engines) == arrived
    assert final["duration_ms"] == 10 * len(arrived)
    told = [(e["code"], e["expected"], e["got"], e["recording_id"]) for e in connection.outbox.errors()]
    assert told == [("audio_gap", expected, got, id) for expected, got in gaps]


def fall_silent(connection: Connection, hub: Hub) -> None:
    """For as long as the idle limit, at once."""
    last = connection.gate._last
    assert last is not None
    last.driver._heard_at -= Clocks().idle
    hub.use_hotwords(())  # wakes the driver, which looks at its clock


ENDS: dict[str, Callable[[Connection, Hub], object]] = {
    "client": lambda connection, hub: connection.gate.stop(),
    "disconnect": lambda connection, hub: connection.gate.close(),
    "idle": fall_silent,
    "max_duration": lambda connection, hub: connection.feed(silence(2.0).tobytes()),
    "server_shutdown": lambda connection, hub: hub.drain(PATIENCE_S),
}


@pytest.mark.parametrize("rate", [16_000, 8_000])
@pytest.mark.parametrize("end", ENDS)
def test_however_a_recording_ends_nothing_that_was_held_is_lost(
    make_hub: MakeHub, engines: Engines, end: str, rate: int
) -> None:
    hub, frames = make_hub(Clocks(longest=2.0)), numbered(8)
    connection = Connection(hub)
    recording = connection.gate.open(Open(format=AudioFormat("s16le", rate)))
    for n in [1, 3, 7, 3, 6]:  # 2 never comes
        connection.feed(frames[n], n)
    ENDS[end](connection, hub)
    assert recording.driver.finished.wait(PATIENCE_S)
    between = silence(2.0).tobytes() if end == "max_duration" else b""
    sent = frames[1] + between + frames[3] + frames[6] + frames[7]
    decoder = FORMATS["s16le"](rate)
    samples = np.concatenate([decoder.feed(sent), decoder.flush()])
    assert np.array_equal(np.concatenate(engines.heard), samples)
    kept = hub.result(recording.id)
    assert kept is not None and kept.completed.length == len(samples)
    told = connection.outbox.sent
    if end == "disconnect":
        assert [name for name, _ in told] == ["recording_started"], "nobody is there to be told"
        return
    [at] = [n for n, (name, _) in enumerate(told) if name == "recording_stopped"]
    assert (told[at][1]["reason"], told[at][1]["received_bytes"]) == (end, len(sent))
    assert told[at - 1][0] == "error", "the gap is told before the stop"
    gaps = [(e["code"], e["expected"], e["got"], e["recording_id"]) for e in connection.outbox.errors()]
    assert gaps == [("audio_gap", 2, 3, recording.id)]


def test_half_a_sample_waits_for_its_other_half(connection: Connection, engines: Engines) -> None:
    connection.open()
    data = struct.pack("<4h", 1, -2, 3, -4)
    for byte in data:
        connection.feed(bytes([byte]))
    connection.feed(b"")
    connection.feed(b"\x7f")
    connection.gate.stop()
    connection.outbox.wait_for("final_result")
    assert np.concatenate(engines.heard).tolist() == [1, -2, 3, -4]


FLOATS = np.sin(np.arange(3200) / 7).astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("codec", "frames", "hints"),
    [("s16le", [FLOATS] * 20, 1), ("f32le", [FLOATS] * 3, 0), ("s16le", [TALK, FLOATS, FLOATS], 0)],
    ids=["floats", "declared floats", "later than the first second"],
)
def test_floats_sent_as_integers_are_hinted_at_once(
    connection: Connection, codec: str, frames: list[bytes], hints: int
) -> None:
    recording = connection.gate.open(Open(format=AudioFormat(codec)))
    for frame in frames:
        connection.feed(frame)
    connection.gate.stop()
    stopped = connection.outbox.wait_for("recording_stopped")
    connection.outbox.wait_for("final_result")
    hint = {"code": "bad_audio", "field": "format", "hint": "f32le", "recording_id": recording.id}
    assert [error | hint == error for error in connection.outbox.errors()] == [True] * hints
    assert stopped["received_bytes"] == sum(map(len, frames)), "the audio is taken all the same"


def test_the_hint_is_given_once_for_each_recording(connection: Connection) -> None:
    for _ in range(2):
        connection.open()
        connection.feed(FLOATS)
        connection.gate.stop()
    assert [error["code"] for error in connection.outbox.errors()] == ["bad_audio"] * 2


# -- connections on which nothing happens --------------------------------------------------------------


class Idling:
    """A connection that may be idle for 300 s, and the gate's clock."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("xingji.runtime.gate.time", SimpleNamespace(monotonic=lambda: self.now))
        self.connection = Connection(hub)
        self.gate, self.outbox = self.connection.gate, self.connection.outbox

    def ends_after(self, seconds: float) -> bool:
        self.now += seconds
        self.gate.end_if_idle(300.0)
        return "connection_timeout" in [error["code"] for error in self.outbox.errors()]


@pytest.fixture
def idling(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Idling:
    return Idling(hub, monkeypatch)


def test_a_connection_on_which_nothing_happens_is_told_goodbye(idling: Idling) -> None:
    assert not idling.ends_after(300.0)
    assert idling.ends_after(0.1)
    (error,) = idling.outbox.errors()
    assert (error["fatal"], error["retryable"], "recording_id" in error) == (True, True, False)


def test_every_event_keeps_a_connection(idling: Idling) -> None:
    idling.now += 299.0
    idling.gate.heard()
    assert not idling.ends_after(300.0)
    assert idling.ends_after(1.0)


def test_a_recording_keeps_its_connection_until_its_result_is_delivered(idling: Idling, engines: Engines) -> None:
    engines.held = {Transcribe}
    idling.connection.open()
    assert not idling.ends_after(1000.0), "recording"
    idling.connection.feed()
    idling.gate.stop()
    assert not idling.ends_after(1000.0), "finalizing"
    engines.answer()
    idling.outbox.wait_for("final_result")
    last = idling.gate._last
    assert last is not None and last.driver.finished.wait(PATIENCE_S)
    idling.outbox.waiting = 1
    assert not idling.ends_after(1000.0), "the client reads slowly"
    idling.outbox.waiting = 0
    assert not idling.ends_after(300.0)
    assert idling.ends_after(1.0)


def test_a_cancelled_recording_keeps_nothing(idling: Idling) -> None:
    idling.connection.open()
    idling.gate.cancel()
    assert idling.ends_after(301.0)


def test_an_upload_that_is_watched_keeps_the_connection(idling: Idling) -> None:
    with idling.gate.watching():
        with idling.gate.watching():
            pass
        assert not idling.ends_after(1000.0)
    assert not idling.ends_after(300.0)
    assert idling.ends_after(1.0)


# -- the connection is gone ----------------------------------------------------------------------------


@pytest.mark.parametrize("stopped", [False, True], ids=["recording", "finalizing"])
def test_after_a_disconnect_what_was_said_is_finished_and_kept(
    connection: Connection, hub: Hub, engines: Engines, stopped: bool
) -> None:
    engines.held = {Transcribe}
    id = connection.open()
    frames = [TALK[at : at + 3200] for at in range(0, len(TALK), 3200)]
    for n in [0, *range(2, len(frames))]:  # frame 1 is missing: the rest is held when the line goes down
        connection.feed(frames[n], n)
    if stopped:
        connection.gate.stop()
    connection.gate.close()
    told = len(connection.outbox.sent)
    assert hub.result(id) is None, "awaited"
    engines.answer()
    last = connection.gate._last
    assert last is not None
    assert last.driver.finished.wait(PATIENCE_S)
    result = hub.result(id)
    assert result is not None
    assert [s.text for s in result.completed.sentences] == ["二。"]
    assert result.completed.length == 1500 * SAMPLE_RATE // 1000
    assert len(connection.outbox.sent) == told, "nobody is there to be told"


@pytest.mark.parametrize("state", ["connected", "cancelled"])
def test_a_disconnect_outside_a_recording(connection: Connection, state: str) -> None:
    for step in WAYS[state]:
        ACTIONS[step](connection)
    connection.gate.close()
    assert connection.outbox.closed


# -- backup audio ----------------------------------------------------------------------------------------


def test_what_was_taken_is_backed_up(make_hub: MakeHub, tmp_path: Path) -> None:
    hub = make_hub(backup=tmp_path / "backup")
    connection = Connection(hub)
    ids = []
    for count in (1, 2):
        ids.append(connection.open())
        for _ in range(count):
            connection.feed()
        connection.gate.stop()
        final = connection.outbox.wait_for("final_result")
        assert final["backup_audio_id"] == final["recording_id"] == ids[-1]
        assert read_wav(tmp_path / "backup" / f"{ids[-1]}.wav") == TALK * count
        kept = hub.result(ids[-1])
        assert kept is not None and kept.backup_id == ids[-1]
    connection.open()
    connection.gate.stop()
    assert connection.outbox.wait_for("final_result")["backup_audio_id"] is None, "there was no audio"


def test_a_cancelled_recording_leaves_no_backup(make_hub: MakeHub, tmp_path: Path) -> None:
    connection = Connection(make_hub(backup=tmp_path))
    connection.open()
    for _ in range(3):
        connection.feed()
    connection.outbox.wait_for("segment_result")
    driver = connection.gate.cancel().driver
    assert driver.finished.wait(PATIENCE_S)
    assert not [*tmp_path.glob("*.wav")]


def test_a_backup_that_fails_costs_nothing_else(make_hub: MakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    hub = make_hub(backup=tmp_path / "file" / "backup")
    connection = Connection(hub)
    id = connection.open()
    connection.feed()
    connection.gate.stop()
    final = connection.outbox.wait_for("final_result")
    assert (final["llm_merged"], final["backup_audio_id"], final["error"]) == ("二。", None, None)
    kept = hub.result(id)
    assert kept is not None and kept.backup_id is None


def test_a_defect_leaves_the_backup(
    make_hub: MakeHub, engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines.held = {Detect}
    connection = Connection(make_hub(backup=tmp_path))
    connection.open()
    connection.feed()
    monkeypatch.setattr(Session, "resolve", BrokenSession.resolve)
    engines.answer()
    final = connection.outbox.wait_for("final_result")
    assert final["error_code"] == "internal"
    assert read_wav(tmp_path / f"{final['backup_audio_id']}.wav") == TALK


# -- defects of ours -----------------------------------------------------------------------------------


def test_a_defect_still_ends_with_one_final_result(
    connection: Connection, hub: Hub, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines.held = {Transcribe, Correct}
    id = connection.open()
    connection.feed()
    while connection.outbox.wait_for("transcription")["segment"] is None:
        pass
    monkeypatch.setattr(Session, "resolve", BrokenSession.resolve)
    engines.answer()
    final = connection.outbox.wait_for("final_result")
    assert (final["llm_merged"], final["error_code"], final["duration_ms"]) == ("一一。", "internal", 1600)
    events = connection.outbox.events()
    assert events[-2:] == ["recording_stopped", "final_result"]
    assert events.count("final_result") == 1
    with pytest.raises(XingjiError, match="not_found"):
        hub.result(id)
    last = connection.gate._last
    assert last is not None
    assert last.driver.finished.wait(PATIENCE_S)
    monkeypatch.undo()
    assert connection.open() != id
