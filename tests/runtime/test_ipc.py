"""What goes in at one end of a socket comes out at the other; nonsense and a dead peer are None."""

import dataclasses
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.messages import (
    Align,
    Correct,
    Decode,
    Detect,
    Edge,
    Edits,
    Forgotten,
    Lost,
    NoSpeech,
    Result,
    Transcribe,
    Work,
)
from xingji.core.types import Edit, Hotword, HotwordHit, HotwordTable, Hypothesis, Span, Stage, Word
from xingji.runtime import ipc
from xingji.runtime.read_ahead import ReadAhead

Pair = tuple[socket.socket, socket.socket]

whole = st.integers(0, 1 << 40)
text = st.text(max_size=20)
samples = st.lists(st.integers(-32_768, 32_767), max_size=50).map(lambda values: np.array(values, np.int16))
stages = st.sampled_from(Stage)
spans = st.builds(Span, whole, whole)
shares = st.none() | st.floats(0, 1)
hits = st.builds(HotwordHit, text, text, stages, st.floats(0, 1))
hypotheses = st.builds(
    Hypothesis,
    text,
    text,
    whole,
    st.none() | text,
    st.lists(st.builds(Word, text, spans, shares), max_size=3).map(tuple),
    st.lists(hits, max_size=3).map(tuple),
    shares,
    st.none() | text,
    st.none() | text,
    st.sampled_from([None, "ctc", "cif", "ctc_alignment", "edit"]),
)
tables = st.builds(HotwordTable, text, st.lists(st.builds(Hotword, text, st.integers(1, 100)), max_size=3).map(tuple))
jobs: st.SearchStrategy[Work] = st.one_of(
    st.builds(Detect, samples, whole, st.booleans(), st.booleans(), whole, whole),
    st.builds(Decode, whole, samples, whole, st.booleans(), whole, st.booleans(), whole),
    st.builds(
        Transcribe,
        whole,
        samples,
        text,
        st.booleans(),
        begin=whole,
        hotwords=st.lists(tables, max_size=3).map(tuple),
        preview=st.booleans(),
    ),
    st.builds(Align, whole, samples, text, text, whole),
    st.builds(
        Correct,
        whole,
        st.dictionaries(stages, text),
        st.lists(text, max_size=3).map(tuple),
        st.lists(text, max_size=3).map(tuple),
    ),
)
edges = st.builds(Edge, st.sampled_from(["onset", "endpoint"]), whole, whole)
results: st.SearchStrategy[Result] = st.one_of(
    st.lists(edges, max_size=4).map(tuple),
    hypotheses,
    st.just(NoSpeech()),
    st.builds(Edits, st.lists(st.builds(Edit, whole, whole, text), max_size=3).map(tuple), text),
    st.just(Forgotten()),
    st.builds(Lost, text),
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def through(message: dict[str, Any]) -> dict[str, Any] | None:
    a, b = socket.socketpair()
    with a, b:
        threading.Thread(target=ipc.send, args=(a, message), daemon=True).start()
        return ipc.receive(b)


@given(jobs)
def test_every_job_survives_the_way(job: Work) -> None:
    message = through({"id": 1, "job": ipc.pack(job)})
    assert message is not None
    got = ipc.unpack(message["job"])
    assert type(got) is type(job)
    for field in dataclasses.fields(job):
        sent, come = getattr(job, field.name), getattr(got, field.name)
        if isinstance(sent, np.ndarray):
            assert come.dtype == np.int16
            assert np.array_equal(come, sent)
        else:
            assert come == sent
            assert type(come) is type(sent)


@given(tables)
def test_a_table_goes_once_and_then_only_its_name(table: HotwordTable) -> None:
    message = through(ipc.pack_table(table))
    assert message is not None
    come = ipc.unpack_table(message)
    assert (come.digest, come.words) == (table.digest, table.words)
    named = ipc.unpack(ipc.pack(Transcribe(0, np.zeros(1, np.int16), "zh", True, hotwords=(table,)))).hotwords
    assert named == (table,) and named[0].words == ()


@given(results)
def test_every_result_survives_the_way(result: Result) -> None:
    message = through({"id": 1, "result": ipc.pack(result)})
    assert message is not None
    got = ipc.unpack(message["result"])
    assert got == result
    assert type(got) is type(result)
    if isinstance(got, Hypothesis):
        assert all(type(hit.stage) is Stage for hit in got.hotword_hits)


def test_words_that_look_like_a_kind_stay_words() -> None:
    job = Correct(0, {Stage.PARTIAL: "Lost"}, ("Lost", "Edit"), ("tuple", "Span"))
    message = through({"job": ipc.pack(job)})
    assert message is not None
    assert dataclasses.asdict(ipc.unpack(message["job"])) == dataclasses.asdict(job)


@pytest.mark.parametrize("data", [["Nobody", {}], ["Lost", {"why": "x"}], ["Edge", {}], None, 7])
def test_foreign_data_is_refused(data: object) -> None:
    with pytest.raises((KeyError, TypeError)):
        ipc.unpack(data)


def test_a_large_message_and_many_in_a_row(pair: Pair) -> None:
    a, b = pair
    messages = [{"n": n, "audio": bytes(n * 100_000)} for n in range(12)]

    def send() -> None:
        for message in messages[:6]:
            ipc.send(a, message)
        ipc.send(a, *messages[6:])

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    ahead = ReadAhead(b)
    assert [ipc.receive(ahead) for _ in messages] == messages
    sender.join()


def frame(body: bytes, size: int | None = None) -> bytes:
    return struct.pack("!I", len(body) if size is None else size) + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\0",
        frame(b""),
        frame(b"abc", size=4),
        frame(b"", size=ipc.LIMIT + 1),
        b"\xff\xff\xff\xff" + bytes(100),
        b"GET / HTTP/1.1\r\n\r\n",
        frame(b"\xc1"),  # a byte that msgpack never uses
        frame(msgpack.packb({"id": 1})[:-1]),
        frame(msgpack.packb({"id": 1}) + b"\0"),
        frame(msgpack.packb([1, 2])),
        frame(msgpack.packb(7)),
        frame(b"\x81\x91\x01\x01"),  # a list as a key
        frame(b"\xa2\xff\xfe"),  # a string that is not UTF-8
        frame(b"\xdd\xff\xff\xff\xff"),  # four thousand million items
        frame(b"\x91" * 10_000),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_nonsense_is_none(pair: Pair, data: bytes) -> None:
    a, b = pair
    a.sendall(data)
    a.shutdown(socket.SHUT_WR)
    assert ipc.receive(b) is None


@given(st.binary(max_size=200))
def test_any_body_is_a_message_or_none(body: bytes) -> None:
    a, b = socket.socketpair()
    with a, b:
        a.sendall(frame(body))
        assert isinstance(ipc.receive(b), dict | None)


def test_a_closed_socket_is_none_here_and_an_error_there(pair: Pair) -> None:
    a, b = pair
    b.close()
    assert ipc.receive(b) is None
    assert ipc.receive(a) is None
    with pytest.raises(BrokenPipeError):
        ipc.send(a, {"n": bytes(10_000_000)})
