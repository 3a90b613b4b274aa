"""Compressed audio while it arrives: the samples of the whole file however it is cut, soon, and within limits."""

import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.conftest import chirp, encode
from tests.audio.test_container import PDF, inside, wav
from xingji.audio import CONTAINERS, Limits, decode_child, decoder, stream
from xingji.audio.incoming import Incoming
from xingji.audio.sniff import ENOUGH, container_of
from xingji.audio.stream import MAX_QUEUED, Stream
from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, AudioFormat, Samples

LIMITS = Limits(max_seconds=60, max_wall_s=60, max_memory_bytes=256 << 20)
COMPRESSED = Path(__file__).parents[1] / "data" / "compressed"
SECONDS = 3.0


def pages(signal: np.ndarray, rate: int, form: str, codec: str, **options: str) -> bytes:
    """As ``encode``, with options for the container: pages or fragments as short as live senders make them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form, options=options) as output:
        track = output.add_stream(codec, rate=rate, layout="mono")
        for at in range(0, len(signal), 960):
            frame = av.AudioFrame.from_ndarray(signal[np.newaxis, at : at + 960], format="fltp", layout="mono")
            frame.rate, frame.pts = rate, at
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return buffer.getvalue()


def fragmented() -> bytes:
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "100000"}
    return pages(chirp(44_100, SECONDS), 44_100, "mp4", "aac", **fragments)


def two(rate: int) -> np.ndarray:
    sound = chirp(rate, SECONDS)
    return np.stack([sound, 0.5 * sound])


MADE: dict[str, tuple[str, Callable[[], bytes], float]] = {  # what is declared, the stream, most delay in seconds
    "webm, Opus": ("webm", lambda: encode(chirp(48_000, SECONDS), 48_000, "webm", "libopus"), 0.13),
    "webm, Opus, two channels": ("webm", lambda: encode(two(48_000), 48_000, "webm", "libopus"), 0.13),
    "ogg, Opus": (
        "ogg", lambda: pages(chirp(48_000, SECONDS), 48_000, "ogg", "libopus", page_duration="100000"), 0.35),
    "ogg, FLAC": (
        "ogg", lambda: pages(chirp(16_000, SECONDS), 16_000, "ogg", "flac", page_duration="100000"), 0.35),
    "ogg, Speex": ("speex", (COMPRESSED / "two_sentences.spx").read_bytes, 1.3),
    "mp3, 16 kHz": ("mp3", lambda: encode(chirp(16_000, SECONDS), 16_000, "mp3", "libmp3lame"), 0.55),
    "mp3, 44.1 kHz, two channels": ("mp3", lambda: encode(two(44_100), 44_100, "mp3", "libmp3lame"), 0.25),
    "ADTS": ("aac", lambda: encode(chirp(44_100, SECONDS), 44_100, "adts", "aac"), 0.2),
    "ADTS, 8 kHz": ("aac", lambda: encode(chirp(8_000, SECONDS), 8_000, "adts", "aac"), 0.5),
    "AMR-NB": ("amr", lambda: encode(chirp(8_000, SECONDS), 8_000, "amr", "libopencore_amrnb"), 0.5),
    "AMR-WB": ("amr", (COMPRESSED / "two_sentences.awb").read_bytes, 0.3),
    "FLAC": ("flac", lambda: encode(chirp(48_000, SECONDS), 48_000, "flac", "flac"), 1.5),  # ten frames of look-ahead
    "fragmented MP4": ("mp4", fragmented, 0.4),
}  # fmt: skip
_CACHE: dict[str, bytes] = {}


def made(name: str) -> bytes:
    """One of ``MADE``, made once."""
    if name not in _CACHE:
        try:
            _CACHE[name] = MADE[name][1]()
        except (av.FFmpegError, av.codec.codec.UnknownCodecError):
            pytest.skip(f"this libav cannot encode {name}")
    return _CACHE[name]


def framed(*messages: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(struct.pack("<I", len(message)) + message for message in messages))


def arriving(declared: str, *messages: bytes, limits: Limits = LIMITS) -> Samples:
    """What the child does, done in this process: quicker, where the child itself is not in question."""
    blocks = decode_child.decode_stream(Incoming(framed(*messages)), declared, limits)
    return np.concatenate(list(decode_child.capped(blocks, limits.max_seconds)))


def same(heard: Samples, whole: Samples) -> bool:
    """Equal, but for the end of an MP3, where only who knows the whole file can leave the padding out."""
    shortest = min(len(heard), len(whole))
    sure = shortest if len(heard) == len(whole) else shortest - SAMPLE_RATE // 20
    return abs(len(heard) - len(whole)) <= SAMPLE_RATE // 10 and bool(np.array_equal(heard[:sure], whole[:sure]))


# -- the same samples, soon ---------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_cuts_do_not_change_a_sample(name: str, data: st.DataObject) -> None:
    audio = made(name)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(audio) - 1), max_size=40)))
    pieces = [audio[a:b] for a, b in zip([0, *cuts], [*cuts, len(audio)], strict=True)]
    declared = data.draw(st.sampled_from([MADE[name][0], "auto"]))
    assert same(arriving(declared, *pieces), inside(audio))


@pytest.mark.parametrize("name", MADE)
def test_one_byte_at_a_time(name: str) -> None:
    audio = made(name)
    assert same(arriving(MADE[name][0], *(audio[at : at + 1] for at in range(len(audio)))), inside(audio))


@pytest.mark.parametrize("name", MADE)
def test_samples_come_as_soon_as_the_bytes_allow(name: str) -> None:
    """Audio counts as late by what the stream has brought less what has come out of it, at a constant rate of bytes."""
    declared, _, most = MADE[name]
    audio = made(name)
    pipe = framed(*(audio[at : at + 100] for at in range(0, len(audio), 100)))
    seconds = len(inside(audio)) / SAMPLE_RATE
    heard, late = 0.0, []
    for block in decode_child.decode_stream(Incoming(pipe), declared, LIMITS):
        read = pipe.tell() / 104 * 100 / len(audio) * seconds
        late.append(read - heard)  # just before this block: the worst moment
        heard += len(block) / SAMPLE_RATE
    assert max(late) <= most


def opus_packets() -> list[bytes]:
    file = encode(chirp(48_000, SECONDS), 48_000, "webm", "libopus", {"frame_duration": "60"})
    return [bytes(packet) for packet in av.open(io.BytesIO(file)).demux() if packet.size]


def test_opus_packets_without_a_container(distance: Callable[..., tuple[float, float]]) -> None:
    heard = arriving("opus", *opus_packets())
    snr, shift = distance(heard, chirp(16_000, SECONDS))
    assert snr >= 30 and 0 <= shift <= 10  # ms that the encoder began before the sound
    assert len(heard) == pytest.approx(SECONDS * SAMPLE_RATE, abs=960)


def test_short_opus_packets_are_not_taken_for_one() -> None:
    packets = opus_packets()[:5]
    silence = bytes([packets[0][0] & 0xFC])  # 20 ms, told by the first byte alone
    assert len(arriving("opus", silence, silence, *packets)) == 2 * 320 + 5 * 960


@pytest.mark.parametrize("form", ["ogg", "webm"])
def test_opus_in_a_container_is_known_by_its_first_bytes(form: str) -> None:
    audio = encode(chirp(48_000, 1), 48_000, form, "libopus")
    assert np.array_equal(arriving("opus", audio[:1], audio[1:3], audio[3:]), inside(audio))


# -- what is not as declared --------------------------------------------------------------------


def refusal(declared: str, *messages: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(XingjiError) as error:
        arriving(declared, *messages, limits=limits)
    return error.value.code


@pytest.mark.parametrize("declared", [name for name in CONTAINERS if name not in ("opus", "wav", "auto")])
def test_a_format_that_lies_is_refused_at_once(declared: str) -> None:
    lies = {other: made(name) for name, (other, *_) in MADE.items()}
    for found in {container_of(audio[:ENOUGH], "auto"): audio for audio in lies.values()}.values():
        if container_of(found[:ENOUGH], declared) is None:
            assert refusal(declared, found[:ENOUGH]) == "unsupported_format"


@pytest.mark.parametrize("declared", [name for name in CONTAINERS if name != "opus"])
@pytest.mark.parametrize(
    "rubbish", [PDF, bytes(5000), b"x", "今天天气不错。".encode() * 99], ids=["pdf", "zeros", "a byte", "text"]
)
def test_rubbish_is_refused_at_once(declared: str, rubbish: bytes) -> None:
    assert refusal(declared, rubbish) == "unsupported_format"


@pytest.mark.parametrize("name", MADE)
def test_a_stream_that_is_cut_keeps_what_was_there(name: str) -> None:
    audio = made(name)
    heard, whole = arriving(MADE[name][0], audio[: len(audio) * 3 // 4]), inside(audio)
    assert 0.3 * len(whole) < len(heard) <= len(whole)
    sure = len(heard) - SAMPLE_RATE // 10  # the resampler's end rings, and a packet that is half there clicks
    assert np.array_equal(heard[:sure], whole[:sure])


@pytest.mark.parametrize("name", [name for name in MADE if "ADTS" not in name])
def test_a_header_alone_is_nothing(name: str) -> None:
    assert refusal(MADE[name][0], made(name)[:16]) == "decode_failed"


def test_an_index_at_the_end_is_told_before_the_audio_has_come() -> None:
    audio = encode(chirp(44_100), 44_100, "ipod", "aac")
    assert refusal("m4a", audio[: audio.index(b"mdat") + 4]) == "not_streamable"
    assert refusal("auto", audio) == "not_streamable"


def test_an_index_at_the_beginning_will_do(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="ipod", options={"movflags": "faststart"}) as output:
        track = output.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(chirp(44_100)[np.newaxis], format="fltp", layout="mono")
        frame.rate = 44_100
        output.mux(track.encode(frame) + track.encode(None))
    audio = path.read_bytes()
    assert audio.index(b"moov") < audio.index(b"mdat")
    assert np.array_equal(arriving("m4a", audio), inside(audio))


def test_boxes_that_make_no_sense() -> None:
    assert refusal("mp4", b"\0\0\0\x18ftypM4A " + bytes(12) + b"\0\0\0\0free") == "decode_failed"
    assert refusal("mp4", b"\0\0\0\x18ftypM4A " + bytes(12) + b"\0\0\0\x10\1\2\3\4" + bytes(99)) == "decode_failed"


@pytest.mark.parametrize(("more", "end"), [(1000, None), (decode_child.TRAILER + (64 << 10), "decode_failed")])
def test_what_follows_the_end_is_told_unless_it_is_short(
    more: int, end: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libav finds the end of hardly any stream but where its bytes end; so it is played here."""
    frames = decode_child.frames
    monkeypatch.setattr(decode_child, "frames", lambda *a: (f for f, _ in zip(frames(*a), range(9), strict=False)))
    pipe = framed(made("webm, Opus"), *[bytes(1000)] * (more // 1000))
    blocks = decode_child.decode_stream(Incoming(pipe), "webm", LIMITS)
    if end is None:
        assert sum(map(len, blocks)) == 9 * 320 - 104  # the encoder began 6.5 ms before the sound
    else:
        with pytest.raises(XingjiError, match=end):
            list(blocks)
        assert pipe.tell() < len(pipe.getvalue())


@pytest.mark.parametrize("name", ["webm, Opus", "ogg, Opus", "ADTS"])
def test_one_stream_after_another(name: str) -> None:
    """As from a recorder that is started anew while the recording goes on."""
    audio = made(name)
    assert len(arriving(MADE[name][0], audio, audio)) == pytest.approx(2 * len(inside(audio)), abs=SAMPLE_RATE // 50)


@given(st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_damage_has_another_end(data: st.DataObject) -> None:
    """In this process, so that any exception but ours shows itself."""
    name = data.draw(st.sampled_from(sorted(MADE)))
    audio = bytearray(made(name))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(audio) - 1), st.integers(0, 255)), max_size=30)):
        audio[at] = byte
    try:
        assert len(arriving(MADE[name][0], bytes(audio[: data.draw(st.integers(1, len(audio)))]))) > 0
    except XingjiError as error:
        assert error.code in ("decode_failed", "unsupported_format", "not_streamable", "too_large")


# -- what it may cost ---------------------------------------------------------------------------


def test_a_bomb_is_cut_at_the_limit() -> None:
    bomb = encode(np.zeros(16_000 * 600, np.float32), 16_000, "flac", "flac")
    assert len(bomb) < 200_000
    assert refusal("flac", bomb, limits=replace(LIMITS, max_seconds=5)) == "too_large"


def test_rates_and_channels_are_bounded() -> None:
    audio = made("webm, Opus, two channels")
    assert refusal("webm", audio, limits=replace(LIMITS, max_channels=1)) == "unsupported_format"
    assert refusal("webm", audio, limits=replace(LIMITS, max_rate=44_100)) == "unsupported_format"


def test_a_message_that_no_opus_packet_can_be() -> None:
    assert refusal("opus", bytes(100_000)) == "unsupported_format"


# -- the child ----------------------------------------------------------------------------------


class Client:
    """Feeds a stream and keeps what comes out, in order."""

    def __init__(self, declared: str, limits: Limits = LIMITS) -> None:
        self.blocks: list[Samples] = []
        self.told = threading.Event()
        self._order = threading.Lock()
        self.decoder = decoder(AudioFormat(declared), limits, self._ready)
        self.decoder.begin()

    def _ready(self) -> None:
        self.feed(b"")
        self.told.set()

    def feed(self, data: bytes) -> None:
        with self._order:
            self.blocks.append(self.decoder.feed(data))

    def stop(self, timeout_s: float = 60.0) -> Samples:
        self.decoder.end()
        deadline = time.monotonic() + timeout_s
        while not self.decoder.drained(1.0):
            assert time.monotonic() < deadline
        self.blocks.append(self.decoder.flush())
        self.decoder.close()
        return self.heard

    @property
    def heard(self) -> Samples:
        with self._order:
            return np.concatenate(self.blocks)

    def wait_for(self, samples: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.heard) < samples:
            assert time.monotonic() < deadline and self.decoder.error is None
            time.sleep(0.01)

    @property
    def child(self) -> subprocess.Popen[bytes]:
        found = getattr(self.decoder, "_decoder", self.decoder)._child
        assert found is not None
        return found  # type: ignore[no-any-return]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """All their children and threads must have ended when the test ends."""
    started: list[subprocess.Popen[bytes]] = []
    spawn = stream.spawn

    def remember(*arguments: Any) -> subprocess.Popen[bytes]:
        started.append(spawn(*arguments))
        return started[-1]

    monkeypatch.setattr(stream, "spawn", remember)
    yield Client
    for thread in threading.enumerate():
        if thread.name == "decoder":
            thread.join(20)
            assert not thread.is_alive()
    for child in started:
        assert child.returncode is not None
        assert child.stdout and child.stderr
        assert child.stdout.closed and child.stderr.closed


@pytest.mark.parametrize("name", MADE)
def test_the_child_hears_what_we_hear(name: str, client: Callable[..., Client]) -> None:
    audio, random_ = made(name), random.Random(name)
    one = client(MADE[name][0])
    at = 0
    while at < len(audio):
        size = random_.choice((1, 100, 3000, 20_000))
        one.feed(audio[at : at + size])
        at += size
    assert np.array_equal(one.stop(), arriving(MADE[name][0], audio))
    assert one.decoder.error is None


def test_samples_come_while_the_stream_goes_on(client: Callable[..., Client]) -> None:
    audio = made("webm, Opus")
    one = client("webm")
    one.feed(audio[: len(audio) // 2])
    one.wait_for(round(0.4 * SECONDS * SAMPLE_RATE))
    one.feed(audio[len(audio) // 2 :])
    one.wait_for(round(0.9 * SECONDS * SAMPLE_RATE))
    assert same(one.stop(), inside(audio))


def test_nothing_fed_is_no_error(client: Callable[..., Client]) -> None:
    for declared in ("webm", "opus", "auto", "wav"):
        one = client(declared)
        assert len(one.stop()) == 0
        assert one.decoder.error is None


@pytest.mark.parametrize("declared", ["webm", "auto"])
def test_rubbish_is_told_while_the_stream_goes_on(declared: str, client: Callable[..., Client]) -> None:
    one = client(declared)
    one.feed(PDF)
    if declared == "webm":
        assert one.told.wait(60)
    assert one.decoder.error is not None and one.decoder.error.code == "unsupported_format"
    one.feed(PDF)  # late frames are no news
    assert len(one.stop()) == 0


def test_flush_takes_what_is_under_way(client: Callable[..., Client]) -> None:
    audio = made("webm, Opus")
    one = client("webm")
    one.feed(audio[:3000])
    one.wait_for(1)  # the child is there
    one.feed(audio[3000:])
    one.blocks.append(one.decoder.flush())
    assert same(one.heard, inside(audio))


def test_a_child_that_is_killed_costs_the_rest_of_its_own_stream(client: Callable[..., Client]) -> None:
    audio = made("ADTS")
    one, other = client("aac"), client("aac")
    for each in (one, other):
        each.feed(audio[: len(audio) // 2])
        each.wait_for(SAMPLE_RATE)
    one.told.clear()
    one.child.kill()
    assert one.told.wait(60)
    while one.decoder.error is None:
        assert one.told.wait(60)
    assert one.decoder.error.code == "decode_failed"
    one.feed(audio[len(audio) // 2 :])
    other.feed(audio[len(audio) // 2 :])
    kept = one.stop()
    assert len(kept) >= SAMPLE_RATE and np.array_equal(kept, inside(audio)[: len(kept)])
    assert np.array_equal(other.stop(), inside(audio))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
@pytest.mark.parametrize("end", ["drained", "flush"])
def test_a_child_that_hangs_is_killed(end: str, client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PATIENCE_S", 0.5)
    monkeypatch.setattr(stream, "REST_S", 0.5)
    one = client("aac")
    one.feed(made("ADTS")[:10_000])
    one.wait_for(1000)
    os.kill(one.child.pid, signal.SIGSTOP)
    one.feed(made("ADTS")[10_000:])
    if end == "flush":
        one.blocks.append(one.decoder.flush())
    else:
        one.stop(20)
    assert one.decoder.error is not None and one.decoder.error.code == "decode_failed"


def test_who_does_not_take_the_samples_stops_the_stream(client: Callable[..., Client]) -> None:
    """Ten minutes of silence in little: what is held stays small, and nothing of it is lost."""
    open_, bomb = threading.Event(), encode(np.zeros(16_000 * 600, np.float32), 16_000, "flac", "flac")
    many = [bomb[at : at + 10_000] for at in range(0, len(bomb), 10_000)]
    held: list[Samples] = []

    def ready() -> None:
        assert open_.wait(60)
        held.append(slow.feed(b""))

    slow = Stream("flac", replace(LIMITS, max_seconds=3600), ready)
    slow.begin()
    fed = 0
    for message in many:
        slow._queue.append(message)  # not feed, which would take what there is
        with slow._changed:
            slow._fed, slow._queued = True, slow._queued + len(message)
            slow._changed.notify_all()
        fed += len(message)
    time.sleep(1.0)
    assert sum(map(len, slow._samples)) <= stream.AT_ONCE
    open_.set()
    slow.end()
    while not slow.drained(1.0):
        pass
    held.append(slow.flush())
    assert sum(map(len, held)) == 16_000 * 600
    assert slow.error is None


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_child_that_does_not_read_stops_its_client(client: Callable[..., Client]) -> None:
    one = client("wav" if sys.platform == "win32" else "mp3")
    os.kill(one.child.pid, signal.SIGSTOP)
    assert one.decoder.accepts(0)
    one.feed(made("mp3, 16 kHz")[:100])
    one.feed(bytes(2 * MAX_QUEUED))
    assert not one.decoder.accepts(0.1)
    os.kill(one.child.pid, signal.SIGCONT)
    assert one.decoder.accepts(30)
    one.stop()


def test_fifty_that_are_dropped_leave_nothing(client: Callable[..., Client]) -> None:
    def files() -> int:
        return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

    before = files()
    for number in range(50):
        one = client("webm")
        if number % 2:
            one.feed(made("webm, Opus")[: number * 100])
        one.decoder.close()
    for thread in threading.enumerate():
        if thread.name == "decoder":
            thread.join(20)
    assert files() <= before


def test_a_child_that_cannot_be_started_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(stream, "spawn", none)
    one = Client("webm")
    assert one.decoder.error is not None and one.decoder.error.code == "internal"
    assert len(one.stop()) == 0


def test_a_stream_that_has_ended_before_it_began_starts_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "spawn", lambda *_: pytest.fail("a child"))
    one = Stream("webm", LIMITS, lambda: None)
    assert len(one.flush()) == 0
    one.begin()


GREEN = """
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
    import json, sys, time
    sys.path.insert(0, sys.argv[1])
    import numpy as np
    from xingji.audio import Limits, decoder
    from xingji.core.types import AudioFormat

    longest = 0.0
    def tick():
        global longest
        while True:
            then = time.monotonic()
            eventlet.sleep(0.005)
            longest = max(longest, time.monotonic() - then)
    eventlet.spawn(tick)

    data = open(sys.argv[2], "rb").read()
    lengths = []
    for kill in (False, True):
        got = []
        one = decoder(AudioFormat("aac"), Limits(60, 60, 256 << 20), lambda: got.append(one.feed(b"")))
        one.begin()
        for at in range(0, len(data), 500):
            got.append(one.feed(data[at : at + 500]))
            eventlet.sleep(0.001)
            if kill and at == 5000:
                one._child.kill()
        one.end()
        while not one.drained(1.0):
            pass
        got.append(one.flush())
        one.close()
        lengths.append(sum(map(len, got)))
    print(json.dumps({"lengths": lengths, "longest": longest, "code": one.error.code}))
"""


def test_under_eventlet_the_loop_keeps_turning(tmp_path: Path) -> None:
    pytest.importorskip("eventlet", exc_type=ImportError)
    path = tmp_path / "a.aac"
    path.write_bytes(made("ADTS"))
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GREEN), root, str(path)], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["lengths"][0] == len(inside(made("ADTS"))) > said["lengths"][1]
    assert said["code"] == "decode_failed"
    assert said["longest"] < 0.5


def test_names_of_all_that_may_be_declared() -> None:
    assert set(CONTAINERS) >= {"webm", "ogg", "opus", "speex", "mp3", "aac", "amr", "flac", "wav", "mp4", "auto"}
    with pytest.raises(XingjiError, match="bad_config"):
        decoder(AudioFormat("wma"), LIMITS, lambda: None)


def test_a_wav_needs_no_child() -> None:
    one = Client("auto")
    one.feed(wav(bytes(3200)))
    assert len(one.stop()) == 1600
