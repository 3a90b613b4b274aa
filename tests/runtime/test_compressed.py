"""A recording whose audio is decoded by a process of its own: it ends as every other, and leaves none behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.conftest import chirp, encode
from tests.runtime.conftest import MakeHub
from tests.runtime.fakes import PATIENCE_S, Engines
from tests.runtime.test_gate import Connection
from tests.support import read_wav
from xingji.audio import stream
from xingji.core.errors import XingjiError
from xingji.core.messages import Detect
from xingji.core.types import SAMPLE_RATE, AudioFormat
from xingji.runtime import driver as drivers
from xingji.runtime.driver import Clocks
from xingji.wire import Open

SECONDS = 2.0
LENGTH = round(SECONDS * SAMPLE_RATE)
AAC = encode(chirp(16_000, SECONDS), 16_000, "adts", "aac")
WEBM = encode(chirp(48_000, SECONDS), 48_000, "webm", "libopus")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All of them must have ended when the test ends."""
    started: list[subprocess.Popen[bytes]] = []
    spawn = stream.spawn

    def remember(*arguments: Any) -> subprocess.Popen[bytes]:
        started.append(spawn(*arguments))
        return started[-1]

    monkeypatch.setattr(stream, "spawn", remember)
    yield started
    for thread in threading.enumerate():
        if thread.name == "decoder":
            thread.join(PATIENCE_S)
    assert None not in [child.returncode for child in started]


@pytest.fixture
def connection(make_hub: MakeHub, children: list[subprocess.Popen[bytes]]) -> Connection:
    return Connection(make_hub())


def begin(connection: Connection, format: str) -> Any:
    return connection.gate.open(Open(format=AudioFormat(format))).driver


def accepted(driver: Any, samples: int) -> None:
    """Wait until so many have been decoded."""
    deadline = time.monotonic() + PATIENCE_S
    while driver.accepted < samples:
        assert time.monotonic() < deadline and not driver.stopped
        time.sleep(0.01)


def ended(connection: Connection) -> dict[str, Any]:
    """``recording_stopped``, once the final result is there too."""
    stopped = connection.outbox.wait_for("recording_stopped")
    final = connection.outbox.wait_for("final_result")
    assert final["duration_ms"] == stopped["duration_ms"]
    return stopped


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize(("format", "audio"), [("webm", WEBM), ("aac", AAC), ("auto", WEBM)])
def test_all_of_it_is_there_at_the_stop(connection: Connection, format: str, audio: bytes, size: int) -> None:
    driver = begin(connection, format)
    for at in range(0, len(audio), size):
        connection.feed(audio[at : at + size])
    connection.gate.stop()
    stopped = ended(connection)
    assert (stopped["reason"], stopped["received_bytes"]) == ("client", len(audio))
    assert driver.accepted == pytest.approx(LENGTH, abs=SAMPLE_RATE // 8)
    assert connection.outbox.errors() == []


def test_samples_come_without_another_frame(connection: Connection) -> None:
    driver = begin(connection, "webm")
    connection.feed(WEBM[: len(WEBM) // 2])
    accepted(driver, LENGTH * 2 // 5)
    connection.gate.cancel()


def test_numbered_frames_are_put_in_order_first(connection: Connection) -> None:
    driver = begin(connection, "webm")
    for seq in (0, 2, 1, 4, 3):
        connection.feed(WEBM[seq * 3000 : None if seq == 4 else (seq + 1) * 3000], seq)
    connection.feed(b"", 6)  # held behind a gap until the stop
    connection.gate.stop()
    ended(connection)
    assert driver.accepted == pytest.approx(LENGTH, abs=SAMPLE_RATE // 8)
    assert [error["code"] for error in connection.outbox.errors()] == ["audio_gap"]


def test_nothing_sent_is_an_empty_recording(connection: Connection) -> None:
    begin(connection, "webm")
    connection.gate.stop()
    assert ended(connection)["duration_ms"] == 0
    assert connection.outbox.errors() == []


@pytest.mark.parametrize(
    ("format", "audio", "code"),
    [
        ("mp3", WEBM, "unsupported_format"),
        ("auto", b"%PDF-1.7" * 99, "unsupported_format"),
        ("wav", WEBM, "unsupported_format"),
        ("m4a", encode(chirp(16_000), 16_000, "ipod", "aac"), "not_streamable"),
    ],
)
def test_what_cannot_be_decoded_ends_the_recording(
    connection: Connection, format: str, audio: bytes, code: str
) -> None:
    begin(connection, format)
    connection.feed(audio)
    assert ended(connection)["reason"] == "undecodable"
    assert [error["code"] for error in connection.outbox.errors()] == [code]
    connection.open()  # the connection is as good as ever
    connection.gate.cancel()


def test_what_cannot_be_decoded_is_told_at_the_stop_too(connection: Connection) -> None:
    begin(connection, "webm")
    connection.feed(WEBM[:20])
    connection.gate.stop()
    assert ended(connection)["reason"] in ("client", "undecodable")
    assert [error["code"] for error in connection.outbox.errors()] == ["decode_failed"]


def test_a_dead_decoder_ends_its_recording_and_no_other(
    make_hub: MakeHub, children: list[subprocess.Popen[bytes]]
) -> None:
    hub = make_hub()
    one, other = Connection(hub), Connection(hub)
    drivers = [begin(each, "aac") for each in (one, other)]
    for each, driver in zip((one, other), drivers, strict=True):
        each.feed(AAC[: len(AAC) // 2])
        accepted(driver, LENGTH // 4)
    children[0].kill()
    assert ended(one)["reason"] == "undecodable"
    assert [error["code"] for error in one.outbox.errors()] == ["decode_failed"]
    assert drivers[0].accepted >= LENGTH // 4
    other.feed(AAC[len(AAC) // 2 :])
    other.gate.stop()
    assert ended(other)["duration_ms"] == pytest.approx(SECONDS * 1000, abs=125)
    assert other.outbox.errors() == []


@pytest.mark.parametrize("end", ["cancel", "close", "idle", "shutdown"])
def test_however_it_ends_no_child_is_left(make_hub: MakeHub, children: list[subprocess.Popen[bytes]], end: str) -> None:
    hub = make_hub(clocks=Clocks(idle=1.0 if end == "idle" else 60.0))
    connection = Connection(hub)
    driver = begin(connection, "aac")
    connection.feed(AAC[: len(AAC) // 2])
    accepted(driver, LENGTH // 4)
    match end:
        case "cancel":
            connection.gate.cancel()
        case "close":
            connection.gate.close()
        case "shutdown":
            hub.drain(PATIENCE_S)
    assert driver.finished.wait(PATIENCE_S)
    assert children[0].wait(PATIENCE_S) is not None


def test_a_recording_that_is_refused_starts_no_child(
    connection: Connection, children: list[subprocess.Popen[bytes]], engines: Engines
) -> None:
    engines.ready = False
    with pytest.raises(XingjiError, match="not_ready"):
        begin(connection, "webm")
    assert children == []


def test_a_bomb_is_stopped_at_the_longest_recording(make_hub: MakeHub, children: list[subprocess.Popen[bytes]]) -> None:
    connection = Connection(make_hub(clocks=Clocks(longest=20.0)))
    driver = begin(connection, "flac")
    connection.feed(encode(np.zeros(16_000 * 1200, np.float32), 16_000, "flac", "flac"))
    stopped = ended(connection)
    assert stopped["reason"] == "max_duration"
    assert driver.accepted <= 20 * SAMPLE_RATE + stream.REST_SAMPLES + SAMPLE_RATE * 5
    assert children[0].wait(PATIENCE_S) is not None


def test_while_the_engines_are_behind_the_decoder_waits(
    connection: Connection, engines: Engines, children: list[subprocess.Popen[bytes]]
) -> None:
    engines.held = {Detect}
    driver = begin(connection, "flac")
    connection.feed(encode(np.zeros(16_000 * 600, np.float32), 16_000, "flac", "flac"))
    deadline = time.monotonic() + PATIENCE_S
    while driver.backlog <= drivers.MAX_BACKLOG:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.5)
    assert driver.backlog <= drivers.MAX_BACKLOG + 2 * stream.AT_ONCE
    stopping = threading.Thread(target=connection.gate.stop)
    stopping.start()
    connection.kept_alive.get(timeout=PATIENCE_S)  # the client's connection lives, and waits
    engines.let_go()
    stopping.join(PATIENCE_S)
    assert ended(connection)["duration_ms"] == 600_000
    assert {error["code"] for error in connection.outbox.errors()} <= {"overloaded"}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_decoder_that_hangs_cannot_keep_the_recording_from_its_end(
    connection: Connection, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PATIENCE_S", 0.5)
    driver = begin(connection, "aac")
    connection.feed(AAC[: len(AAC) // 2])
    accepted(driver, LENGTH // 4)
    os.kill(children[0].pid, signal.SIGSTOP)
    connection.feed(AAC[len(AAC) // 2 :])
    connection.gate.stop()
    assert ended(connection)["duration_ms"] >= SECONDS * 250
    assert [error["code"] for error in connection.outbox.errors()] == ["decode_failed"]


def test_backup_audio_is_what_was_decoded(
    make_hub: MakeHub, children: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    connection = Connection(make_hub(backup=tmp_path))
    recording = connection.gate.open(Open(format=AudioFormat("webm")))
    connection.feed(WEBM)
    connection.gate.stop()
    ended(connection)
    assert len(read_wav(tmp_path / f"{recording.id}.wav")) == 2 * recording.driver.accepted > 0
