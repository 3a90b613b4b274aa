"""A file is a recording fed fast: whole, or an error."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from tests.runtime.conftest import MakeHub
from tests.runtime.fakes import PATIENCE_S, BrokenSession, Engines, in_thread, join_recordings, silence, speech
from xingji.audio import Limits
from xingji.core.errors import XingjiError
from xingji.core.messages import Completed, Detect, Event, SentenceSettled, Transcribe
from xingji.core.session import Session
from xingji.core.types import Samples
from xingji.runtime import upload
from xingji.runtime.driver import Clocks
from xingji.runtime.hub import Hub
from xingji.runtime.hub import Limits as HubLimits
from xingji.wire import Wishes

PATH = Path("meeting.wav")
WISHES = Wishes(stream=False)

Decodes = Callable[..., None]


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Decodes:
    """Let the file decode to these chunks; an exception among them is raised, a function called."""

    def decodes(*chunks: Samples | Exception | Callable[[], object]) -> None:
        def decode_file(path: Path, limits: Limits) -> Iterator[Samples]:
            assert path == PATH
            for chunk in chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                if callable(chunk):
                    chunk()
                else:
                    yield chunk

        monkeypatch.setattr(upload, "decode_file", decode_file)

    return decodes


def transcribe(hub: Hub, progress: Callable[[int], None] | None = None) -> Completed:
    limits = Limits(max_seconds=3600.0, max_wall_s=60.0, max_memory_bytes=1 << 30)
    return upload.transcribe(hub, PATH, WISHES, limits, progress)


def talk(sentences: int) -> Samples:
    return np.concatenate([speech(1.0), silence(1.0)] * sentences)


def test_a_file_becomes_sentences(make_hub: MakeHub, engines: Engines, decodes: Decodes) -> None:
    sound = talk(40)  # longer than may be on its way at a time
    decodes(*np.array_split(sound, 7))
    hub = make_hub()
    done = transcribe(hub)
    assert [s.text for s in done.sentences] == ["二。"] * 40
    assert done.length == len(sound)
    assert np.array_equal(np.concatenate(engines.heard), sound)


def test_an_empty_file_has_no_sentences(make_hub: MakeHub, decodes: Decodes) -> None:
    decodes()
    assert transcribe(make_hub()) == Completed((), (), (), 0)


def test_progress_is_heard_once_the_file_is_read_and_rises_to_100(
    make_hub: MakeHub, engines: Engines, decodes: Decodes
) -> None:
    engines.held = {Detect, Transcribe}
    decodes(talk(5))
    hub, percents = make_hub(), Queue[int]()
    running = in_thread(lambda: transcribe(hub, percents.put))
    stashed, flushed = [], False
    while not flushed:
        stream, job, done = engines.waiting.get(timeout=PATIENCE_S)
        if isinstance(job, Detect):
            flushed = job.flush
            assert percents.empty()
            done(engines.result(stream, job))
        else:
            stashed.append((stream, job, done))
    for asked in stashed:
        engines.waiting.put(asked)
    for _ in range(5):
        engines.answer()
    running.join(PATIENCE_S)
    assert not running.is_alive()
    heard = [percents.get_nowait() for _ in range(percents.qsize())]
    assert heard == sorted(set(heard))
    assert heard[-1] == 100
    assert len(heard) > 2


@pytest.mark.parametrize("chunks", [(), (talk(1),)], ids=["at once", "half way"])
def test_a_file_that_cannot_be_decoded_leaves_nothing_behind(
    make_hub: MakeHub, decodes: Decodes, chunks: tuple[Samples, ...]
) -> None:
    decodes(*chunks, XingjiError("decode_failed"))
    hub = make_hub(limits=HubLimits(sessions=1))
    for _ in range(3):
        with pytest.raises(XingjiError, match="decode_failed"):
            transcribe(hub)
        join_recordings()
        assert hub.active == 0


def test_a_full_server_takes_no_file(make_hub: MakeHub, engines: Engines, decodes: Decodes) -> None:
    decodes(talk(1))
    hub = make_hub(limits=HubLimits(sessions=0))
    engines.is_behind = True
    with pytest.raises(XingjiError, match="busy"):
        transcribe(hub)


def test_half_a_file_is_no_answer(make_hub: MakeHub, decodes: Decodes) -> None:
    hub = make_hub()
    decodes(talk(1), lambda: hub.drain(0.0), talk(1))
    with pytest.raises(XingjiError, match="busy"):
        transcribe(hub)


def test_a_file_longer_than_a_recording_may_be_is_refused(make_hub: MakeHub, decodes: Decodes) -> None:
    decodes(talk(1), talk(1), talk(1), AssertionError("decoded further"))
    with pytest.raises(XingjiError, match="too_large"):
        transcribe(make_hub(Clocks(longest=3.0)))


def transcription(hub: Hub) -> upload.Transcription:
    return upload.Transcription(hub, PATH, WISHES, Limits(3600.0, 60.0, 1 << 30))


def test_sentences_are_told_while_the_rest_is_still_read(make_hub: MakeHub, decodes: Decodes) -> None:
    read = []
    decodes(*(part for n in range(50) for part in (lambda n=n: read.append(n), talk(1))))  # type: ignore[misc]
    hub = make_hub()
    with closing(transcription(hub)) as running:
        events = iter(running)
        assert isinstance(first_of(events, SentenceSettled), SentenceSettled)
        assert len(read) < 50
        assert isinstance(first_of(events, Completed), Completed)
        assert list(events) == [] and read == list(range(50))


def first_of(events: Iterator[Event | None], kind: type[Event]) -> Event | None:
    return next(event for event in events if isinstance(event, kind))


def test_who_listens_is_not_left_without_a_word(
    make_hub: MakeHub, engines: Engines, decodes: Decodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "TICK_S", 0.01)
    decodes(talk(1))
    engines.held = {Detect}
    with closing(transcription(make_hub())) as running:
        events = iter(running)
        assert next(events) is None and next(events) is None
        engines.let_go()
        assert isinstance(first_of(events, Completed), Completed)


@pytest.mark.parametrize("asked", [0, 1, 2], ids=["before it begins", "as it begins", "half way"])
def test_what_is_closed_early_leaves_nothing_behind(
    make_hub: MakeHub, engines: Engines, decodes: Decodes, asked: int
) -> None:
    ended = []

    def decode_file(path: Path, limits: Limits) -> Iterator[Samples]:
        try:
            while True:
                yield talk(1)
        finally:
            ended.append(path)

    hub = make_hub(limits=HubLimits(sessions=1))
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(upload, "decode_file", decode_file)
            running = transcription(hub)
        for _ in zip(range(asked), running, strict=False):
            pass
        running.close()
        running.close()
        join_recordings()
        assert hub.active == 0
    assert len(ended) == len(engines.released) == 2


def test_a_defect_of_ours_is_an_internal_error(
    make_hub: MakeHub, decodes: Decodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "handle", BrokenSession.handle)
    decodes(talk(1))
    with pytest.raises(XingjiError, match="internal"):
        transcribe(make_hub())
