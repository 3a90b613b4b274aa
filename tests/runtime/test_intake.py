"""One recording's bytes become samples: in order, decoded, and whole once the rest has been asked for."""

import numpy as np
import pytest

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, AudioFormat, Samples
from xingji.runtime.intake import Intake
from xingji.wire import Frame

NOTHING: list[int] = []


class Reader:
    """An intake and what it complained of."""

    def __init__(self, format: AudioFormat) -> None:
        self.complaints: list[XingjiError] = []
        self.intake = Intake(format, self.complaints.append)

    def read(self, data: bytes, seq: int | None = None) -> list[int]:
        return self.intake.read(Frame(data, seq)).tolist()

    def rest(self) -> list[int]:
        samples: Samples = self.intake.rest()
        assert samples.dtype == np.int16
        return samples.tolist()


@pytest.mark.parametrize(
    ("format", "pieces", "length"),
    [
        (AudioFormat(), [b"\1\0\2", b"\0", b"\3\0\4"], 3),  # half a sample at the end is none
        (AudioFormat("s16le", 8_000), [bytes(8_000), bytes(8_000)], SAMPLE_RATE),
        (AudioFormat("mulaw", 8_000), [b"\xff" * 8_000], SAMPLE_RATE),
        (AudioFormat("f32le", 48_000), [bytes(96_000), bytes(96_001)], SAMPLE_RATE),
        (AudioFormat("s16le", 8_000), [], 0),
    ],
    ids=["s16le", "s16le 8 kHz", "mulaw", "f32le 48 kHz", "nothing"],
)
def test_bytes_become_samples(format: AudioFormat, pieces: list[bytes], length: int) -> None:
    reader = Reader(format)
    samples = [sample for piece in pieces for sample in reader.read(piece)] + reader.rest()
    assert reader.intake.received_bytes == sum(map(len, pieces))
    assert abs(len(samples) - length) <= 2, "a resampler may round"
    assert reader.complaints == []


def test_what_waits_behind_a_gap_is_the_rest() -> None:
    reader = Reader(AudioFormat())
    assert reader.read(b"\1\0", 1) == [1]
    assert reader.read(b"\4\0", 4) == reader.read(b"\3\0", 3) == reader.read(b"\3\0", 3) == NOTHING
    assert reader.intake.received_bytes == 2
    assert reader.complaints == []
    assert reader.rest() == [3, 4]
    assert reader.intake.received_bytes == 6
    assert [(e.code, e.detail) for e in reader.complaints] == [("audio_gap", {"expected": 2, "got": 3})]


def test_a_sample_that_lies_across_held_frames_is_whole() -> None:
    reader = Reader(AudioFormat())
    assert reader.read(b"\1\0\2", 1) == [1]
    assert reader.read(b"\3\0\4", 3) == NOTHING
    assert reader.read(b"\0", 2) == [2, 3]
    assert reader.read(b"\5\0", 5) == NOTHING
    assert reader.read(b"\0", 4) == [4, 5]
    assert reader.rest() == NOTHING


def test_held_frames_are_checked_for_floats_too() -> None:
    reader = Reader(AudioFormat())
    reader.read(b"", 1)
    reader.read(np.sin(np.arange(3200) / 7).astype("<f4").tobytes(), 3)
    assert reader.complaints == []
    reader.rest()
    assert [e.code for e in reader.complaints] == ["audio_gap", "bad_audio"]


def test_a_codec_that_is_not_decoded_here() -> None:
    with pytest.raises(XingjiError) as refused:
        Intake(AudioFormat("midi"), lambda error: None)
    assert (refused.value.code, refused.value.field) == ("bad_config", "format")
