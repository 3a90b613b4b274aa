"""Live streams with and without a WAV header, cut anywhere."""

import struct
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from xingji.audio import FORMATS
from xingji.audio.wav import LONGEST_HEADER

TONE = (np.sin(np.arange(1600) / 5) * 20_000).astype("<i2")


def wav(data: bytes, tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16, size: int | None = None,
        extra: bytes = b"") -> bytes:  # fmt: skip
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)
    size = len(data) if size is None else size
    chunks = b"fmt " + struct.pack("<I", 16) + form + extra + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", 0) + b"WAVE" + chunks + data


def heard(data: bytes, step: int = 1 << 20, rate: int = 16_000) -> Any:
    decoder = FORMATS["wav"](rate)
    parts = [decoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return np.concatenate([*parts, decoder.flush()])


LIST = b"LIST" + struct.pack("<I", 5) + b"hello\0"
HEADS: dict[str, bytes] = {
    "none": TONE.tobytes(),
    "plain": wav(TONE.tobytes()),
    "no size": wav(TONE.tobytes(), size=0),
    "endless": wav(TONE.tobytes(), size=0xFFFFFFFF),
    "other chunks": wav(TONE.tobytes(), extra=LIST) + LIST,
    "stereo": wav(np.repeat(TONE, 2).tobytes(), channels=2),
    "32 bits": wav((TONE.astype("<i4") << 16).tobytes(), bits=32),
    "24 bits": wav(b"".join(b"\0" + TONE[n : n + 1].tobytes() for n in range(len(TONE))), bits=24),
    "float": wav((TONE / 32768).astype("<f4").tobytes(), tag=3, bits=32),
    "double": wav((TONE / 32768).astype("<f8").tobytes(), tag=3, bits=64),
}


@pytest.mark.parametrize("step", [1, 7, 45, 1 << 20])
@pytest.mark.parametrize("kind", HEADS)
def test_the_header_says_what_follows(kind: str, step: int) -> None:
    assert heard(HEADS[kind], step).tolist() == TONE.tolist()


@pytest.mark.parametrize(("tag", "name"), [(6, "alaw"), (7, "mulaw")])
def test_telephone(tag: int, name: str) -> None:
    data = bytes(range(256))
    assert heard(wav(data, tag=tag, bits=8)).tolist() == FORMATS[name](16_000).feed(data).tolist()


def test_eight_bits() -> None:
    assert heard(wav(bytes([0, 128, 255]), bits=8)).tolist() == [-32768, 0, 32512]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_files_of_another_hand(subtype: str, tmp_path: Any) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE / 32768, 16_000, subtype=subtype, format="WAVEX")
    assert np.abs(heard(path.read_bytes()).astype(int) - TONE).max() <= (1 if subtype != "ULAW" else 700)


def test_the_rate_of_the_header_wins() -> None:
    assert abs(len(heard(wav(TONE.tobytes(), rate=8_000), rate=48_000)) - 3200) <= 1


def test_headers_that_make_no_sense_are_heard_as_audio_and_never_fail() -> None:
    for odd in (b"RI", b"RIFF", wav(b"", tag=2), wav(b"\0\0", channels=0), wav(b"\0\0", rate=1), b"RIFX" + bytes(99)):
        assert len(heard(odd)) <= len(odd)
    assert len(heard(wav(bytes(LONGEST_HEADER + 9), tag=2))) > LONGEST_HEADER // 2


@given(st.binary(max_size=200), st.integers(1, 50))
def test_anything(tail: bytes, step: int) -> None:
    heard(b"RIFF" + tail, step)
    assert heard(tail, step).tolist() == heard(tail).tolist()
