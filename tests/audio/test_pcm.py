"""Live codecs: right values, any rate, and the same samples however the bytes were cut."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xingji.audio import FORMATS, looks_like_float
from xingji.audio.g711 import ALAW, MULAW
from xingji.core.errors import XingjiError

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000)


def decode(codec: str, rate: int, *pieces: bytes) -> np.ndarray:
    decoder = FORMATS[codec](rate)
    return np.concatenate([*(decoder.feed(piece) for piece in pieces), decoder.flush()])


def tone(rate: int, hertz: float, samples: int, peak: float = 16_000) -> np.ndarray:
    return np.rint(peak * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype("<i2")


# G.711 itself


@pytest.mark.parametrize(
    ("byte", "value"),  # table 2a, decoder output values, 14 bits
    [(0x80, 8031), (0x8F, 4191), (0x9F, 2079), (0xAF, 1023), (0xBF, 495), (0xCF, 231), (0xDF, 99), (0xEF, 33),
     (0xFE, 2), (0xFF, 0), (0x00, -8031), (0x0F, -4191), (0x7E, -2), (0x7F, 0)],
)  # fmt: skip
def test_mulaw_table(byte: int, value: int) -> None:
    assert MULAW[byte] == 4 * value


@pytest.mark.parametrize(
    ("byte", "value"),  # table 1a, decoder output values, 13 bits; even bits inverted
    [(0xFF, 4032), (0xF0, 2112), (0xE0, 1056), (0xD0, 528), (0xC0, 264), (0xB0, 132), (0xA0, 66), (0x80, 1),
     (0x7F, -4032), (0x00, -1)],
)  # fmt: skip
def test_alaw_table(byte: int, value: int) -> None:
    assert ALAW[byte ^ 0x55] == 8 * value


@pytest.mark.parametrize(("codec", "table"), [("pcm_mulaw", MULAW), ("pcm_alaw", ALAW)])
def test_every_code_as_libav_decodes_it(codec: str, table: np.ndarray) -> None:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8_000, "mono"
    (frame,) = context.decode(av.Packet(bytes(range(256))))
    assert frame.to_ndarray()[0].tolist() == table.tolist()


# One stream


def test_s16le_at_16k_is_handed_through_without_a_copy() -> None:
    data = tone(16_000, 440, 1600).tobytes()
    samples = FORMATS["s16le"](16_000).feed(data)
    assert samples.base is data
    assert samples.dtype == np.int16
    assert samples.tobytes() == data


def test_an_odd_byte_waits_for_its_other_half_and_is_dropped_at_the_end() -> None:
    decoder = FORMATS["s16le"](16_000)
    assert decoder.feed(b"\x01").tolist() == []
    assert decoder.feed(b"\x02\x03").tolist() == [0x0201]
    assert decoder.flush().tolist() == []
    assert decoder.flush().tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(FORMATS)), st.sampled_from(RATES), st.binary(max_size=3000))
def test_cuts_do_not_change_a_sample(data: st.DataObject, codec: str, rate: int, audio: bytes) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(audio)), max_size=8)))
    pieces = [audio[a:b] for a, b in zip([0, *cuts], [*cuts, len(audio)], strict=True)]
    assert decode(codec, rate, *pieces).tobytes() == decode(codec, rate, audio).tobytes()


@pytest.mark.parametrize("rate", RATES)
def test_single_bytes_give_the_same_samples(rate: int) -> None:
    audio = np.random.default_rng(1).normal(0, 3000, rate // 4).astype("<i2").tobytes()
    pieces = [audio[i : i + 1] for i in range(len(audio))]
    assert decode("s16le", rate, *pieces).tobytes() == decode("s16le", rate, audio).tobytes()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [300, 3000])
def test_a_tone_keeps_its_curve_and_the_recording_its_length(rate: int, hertz: float) -> None:
    heard = decode("s16le", rate, tone(rate, hertz, rate).tobytes())
    assert len(heard) == 16_000
    middle = slice(2000, 14_000)  # the filter rings where the tone starts and stops
    error = heard[middle].astype(float) - tone(16_000, hertz, 16_000)[middle]
    assert np.abs(error).max() <= 1.5


def test_what_16k_cannot_hold_is_gone() -> None:
    heard = decode("s16le", 48_000, tone(48_000, 10_000, 48_000).tobytes())
    assert np.abs(heard[2000:14_000]).max() == 0


def test_overshoot_saturates_instead_of_wrapping() -> None:
    square = np.where(np.arange(44_100) // 100 % 2, 32_767, -32_768).astype("<i2")
    heard = decode("s16le", 44_100, square.tobytes()).astype(int)
    wanted = decode("s16le", 44_100, (square // 4).astype("<i2").tobytes()).astype(int) * 4
    assert np.abs(heard - np.clip(wanted, -32_768, 32_767)).max() <= 8


@pytest.mark.parametrize("rate", [7_999, 48_001, 0, -16_000])
@pytest.mark.parametrize("codec", sorted(FORMATS))
def test_a_rate_out_of_range_is_the_clients_mistake(codec: str, rate: int) -> None:
    with pytest.raises(XingjiError) as error:
        FORMATS[codec](rate)
    assert (error.value.code, error.value.field) == ("bad_config", "sample_rate")


# Floats


def test_f32_values() -> None:
    nan, inf = float("nan"), float("inf")
    audio = np.array([0, 0.5, -0.5, 1, -1, 1.7, -9e30, nan, inf, -inf, 1e-40, 100 / 32768], "<f4")
    wanted = [0, 16384, -16384, 32767, -32768, 32767, -32768, 0, 0, 0, 0, 100]
    assert decode("f32le", 16_000, audio.tobytes()).tolist() == wanted


@given(st.integers(-32_768, 32_767))
def test_f32_of_an_int16_is_that_int16(value: int) -> None:
    assert decode("f32le", 16_000, np.float32(value / 32768).tobytes()).tolist() == [value]


def test_a_burst_of_nan_does_not_outlive_itself() -> None:
    audio = (tone(48_000, 300, 48_000) / 32768).astype("<f4")
    clean = decode("f32le", 48_000, audio.tobytes())
    audio[24_000:24_100] = np.nan
    dirty = decode("f32le", 48_000, audio.tobytes())
    assert np.array_equal(dirty[:7_000], clean[:7_000])
    assert np.abs(dirty[9_500:].astype(int) - clean[9_500:]).max() <= 1


# Float sent as int16 by mistake


def voice(samples: int, seed: int) -> np.ndarray:
    """Harmonics under a syllable rhythm, with breath noise; peak 1."""
    random = np.random.default_rng(seed)
    t = np.arange(samples) / 16_000
    pitch = random.uniform(80, 250)
    buzz = sum(np.sin(2 * np.pi * k * pitch * t + random.uniform(0, 6)) / k for k in range(1, 20))
    sound = (buzz + 0.05 * random.normal(size=samples)) * np.sin(2 * np.pi * 2 * t) ** 2
    return np.asarray(sound / np.abs(sound).max())


@given(st.floats(1e-4, 1.5), st.integers(0, 2**32), st.sampled_from(["voice", "noise", "from int16"]))
@settings(max_examples=40, deadline=None)
def test_float_audio_is_noticed(peak: float, seed: int, kind: str) -> None:
    sound = peak * (np.random.default_rng(seed).uniform(-1, 1, 1600) if kind == "noise" else voice(1600, seed))
    if kind == "from int16":
        sound = np.rint(np.clip(sound, -1, 1) * 32767) / 32768
        if np.count_nonzero(sound) < 64:
            return
    data = sound.astype("<f4").tobytes()
    assert looks_like_float(data)
    assert looks_like_float(data + b"\x00\x11")


@given(st.floats(0, 32_767), st.integers(0, 2**32), st.floats(20, 8_000), st.sampled_from(range(5)))
@settings(max_examples=150, deadline=None)
def test_int16_audio_is_not(peak: float, seed: int, hertz: float, kind: int) -> None:
    random = np.random.default_rng(seed)
    sound = (
        peak * voice(1600, seed),
        random.uniform(-peak, peak, 1600),
        random.normal(0, peak, 1600),
        tone(16_000, hertz, 1600, peak),
        np.stack([peak * voice(800, seed), peak * voice(800, seed + 1)], axis=1).ravel(),  # two channels
    )[kind]
    assert not looks_like_float(np.clip(np.rint(sound), -32_768, 32_767).astype("<i2").tobytes())


@given(st.integers(-32_768, 32_767), st.integers(-32_768, 32_767), st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=300, deadline=None)
def test_square_waves_and_constants_are_not(low: int, high: int, down: int, up: int) -> None:
    wave = np.resize(np.repeat([low, high], [down, up]), 1600).astype("<i2")
    assert not looks_like_float(wave.tobytes())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(6400),
        np.full(1600, 0.25, "<f4").tobytes(),
        voice(63, 1).astype("<f4").tobytes(),
        np.where(np.arange(1600) // 40 % 2, 32_767, -32_768).astype("<i2").tobytes(),
        np.where(np.arange(1600) // 40 % 2, 15_000, -20_000).astype("<i2").tobytes(),
        np.random.default_rng(3).bytes(6400),
    ],
    ids=["nothing", "silence", "constant", "too short", "full scale", "in both bands", "noise"],
)
def test_without_evidence_nobody_is_accused(data: bytes) -> None:
    assert not looks_like_float(data)
