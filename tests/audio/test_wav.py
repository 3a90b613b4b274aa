"""WAV while it arrives: libav's samples of the whole file, however it is cut and whatever its header claims."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.conftest import chirp, encode
from tests.audio.test_container import inside, wav
from xingji.audio import Limits, decoder
from xingji.core.types import AudioFormat, Samples

LIMITS = Limits(max_seconds=60, max_wall_s=60, max_memory_bytes=256 << 20)


def hear(*pieces: bytes, declared: str = "wav") -> tuple[Samples, str | None]:
    """Samples, and the code of the error that ended them."""
    one = decoder(AudioFormat(declared), LIMITS, lambda: None)
    one.begin()
    heard = np.concatenate([*(one.feed(piece) for piece in pieces), one.flush()])
    one.close()
    assert heard.dtype == np.int16
    return heard, None if one.error is None else one.error.code


KINDS = [("pcm_s16le", 16_000, 1), ("pcm_s16le", 44_100, 2), ("pcm_s24le", 48_000, 1), ("pcm_s32le", 22_050, 2),
         ("pcm_u8", 8_000, 1), ("pcm_f32le", 48_000, 2), ("pcm_f64le", 11_025, 1), ("pcm_mulaw", 8_000, 1),
         ("pcm_alaw", 8_000, 2), ("pcm_s16le", 48_000, 6)]  # fmt: skip


@pytest.mark.parametrize(("codec", "rate", "channels"), KINDS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_cuts_do_not_change_a_sample(codec: str, rate: int, channels: int, data: st.DataObject) -> None:
    audio = encode(np.stack([chirp(rate, 0.4)] * channels), rate, "wav", codec)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(audio)), max_size=30)))
    pieces = [audio[a:b] for a, b in zip([0, *cuts], [*cuts, len(audio)], strict=True)]
    heard, error = hear(*pieces, declared=data.draw(st.sampled_from(["wav", "auto"])))
    assert error is None
    assert np.array_equal(heard, inside(audio))


def test_one_byte_at_a_time() -> None:
    audio = encode(chirp(16_000, 0.4), 16_000, "wav", "pcm_s16le")
    assert np.array_equal(hear(*(audio[at : at + 1] for at in range(len(audio))))[0], inside(audio))


TONE = np.arange(1600, dtype="<i2").tobytes()


@pytest.mark.parametrize("declared", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
def test_a_header_that_does_not_know_how_much_will_come(declared: int) -> None:
    heard, error = hear(wav(b"")[:-4] + struct.pack("<I", declared), TONE, TONE)
    assert (heard.tobytes(), error) == (2 * TONE, None)


def test_samples_come_with_their_bytes() -> None:
    one = decoder(AudioFormat("wav"), LIMITS, lambda: None)
    assert len(one.feed(wav(b"", declared=0)[:-1])) == 0
    assert one.feed(wav(b"")[-1:] + TONE[:5]).tobytes() == TONE[:4]


def test_a_header_on_each_piece() -> None:
    assert hear(wav(TONE), wav(TONE), wav(TONE)) == (pytest.approx(np.tile(np.arange(1600), 3)), None)
    slow = wav(bytes(8000), rate=8_000)
    heard, error = hear(slow, wav(TONE), slow)
    assert (len(heard), error) == (17_600, None)
    assert heard[8000:9600].tobytes() == TONE


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def test_other_chunks_are_passed_over() -> None:
    head, data = wav(TONE)[:12], wav(TONE)[36:]
    form = wav(TONE)[12:36]
    file = head + chunk(b"LIST", b"INFOodd") + form + chunk(b"fact", bytes(4)) + data + chunk(b"id3 ", b"x" * 999)
    assert hear(*(file[at : at + 7] for at in range(0, len(file), 7)))[0].tobytes() == TONE


def test_half_a_sample_at_the_end_is_none() -> None:
    assert hear(wav(TONE + b"\1"))[0].tobytes() == TONE
    assert hear(wav(TONE + b"\1", declared=0))[0].tobytes() == TONE


BAD = {
    "not a wav": ((b"\xff\xfb\x90\x00" * 9,), 0, "unsupported_format"),
    "a RIFF of something else": ((b"RIFF\0\0\0\0AVI LIST",), 0, "unsupported_format"),
    "three bytes": ((b"RIF",), 0, "unsupported_format"),
    "a header alone": ((wav(b""),), 0, "decode_failed"),
    "half a header": ((wav(b"")[:30],), 0, "decode_failed"),
    "data before its form": ((wav(b"")[:12] + b"data\x10\0\0\0" + bytes(16),), 0, "decode_failed"),
    "a form that is too short": ((wav(b"")[:12] + chunk(b"fmt ", bytes(4)),), 0, "decode_failed"),
    "1 Hz": ((wav(TONE, rate=1),), 0, "unsupported_format"),
    "2 GHz": ((wav(TONE, rate=2_000_000_000),), 0, "unsupported_format"),
    "64 channels": ((wav(TONE, channels=64),), 0, "unsupported_format"),
    "no channel": ((wav(TONE, channels=1)[:22] + b"\0\0" + wav(TONE)[24:],), 0, "unsupported_format"),
    "an unknown codec": ((wav(TONE, tag=0x7777),), 0, "unsupported_format"),
    "noise after its end": ((wav(TONE), b"\x01\x02\x03\x04" * 99), 1600, "decode_failed"),
    "a chunk without end": ((wav(TONE) + b"LIST\xff\xff\xff\x7f",), 1600, "decode_failed"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_is_told_and_what_was_right_is_kept(kind: str) -> None:
    pieces, kept, code = BAD[kind]
    heard, error = hear(*pieces)
    assert (len(heard), error) == (kept, code)


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=8))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_damage_has_another_end(more: bytes, changes: list[tuple[int, int]]) -> None:
    audio = bytearray(wav(bytes(64)))
    for at, byte in changes:
        audio[at] = byte
    _, error = hear(bytes(audio), more)
    assert error in (None, "decode_failed", "unsupported_format")


def either(*pieces: bytes, rate: int = 16_000) -> Samples:
    one = decoder(AudioFormat("pcm", rate), LIMITS, lambda: None)
    return np.concatenate([*(one.feed(piece) for piece in pieces), one.flush()])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 11, 12, 1000])
@pytest.mark.parametrize("first", [b"RI", b"\xff\xfb"], ids=["a RIFF's half", "an MP3's sync"])
def test_bare_samples_are_heard_as_they_are(first: bytes, size: int) -> None:
    data = (first + TONE)[:size]
    for step in (1, 2, 3, 1000):
        assert either(*(data[at : at + step] for at in range(0, size, step))).tobytes() == data[: size - size % 2]


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("flac", "flac")])
def test_where_bare_samples_are_expected_a_compressed_file_is_heard_too(container: str, codec: str) -> None:
    heard, error = hear(encode(chirp(48_000, 0.4), 48_000, container, codec), declared="pcm")
    assert error is None and abs(len(heard) - 6_400) < 400


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_where_bare_samples_are_expected_a_file_is_heard_too(step: int) -> None:
    data = wav(TONE)
    assert either(*(data[at : at + step] for at in range(0, len(data), step)), rate=8_000).tobytes() == TONE


def test_a_header_that_lies_is_told_where_bare_samples_are_expected() -> None:
    assert hear(b"RIFF", bytes(40), declared="pcm")[1] == "unsupported_format"


def test_a_header_alone_is_no_audio_where_bare_samples_are_expected() -> None:
    heard, error = hear(wav(b""), declared="pcm")
    assert (len(heard), error) == (0, None)
