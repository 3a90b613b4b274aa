"""Uploaded files: every format sounds as it was encoded; every bad file gets its stable code."""

import io
import struct
import wave
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xingji.audio import FORMAT_NAMES, Limits, decode_child, decode_file
from xingji.core.errors import XingjiError

LIMITS = Limits(max_seconds=60, max_wall_s=60, max_memory_bytes=256 << 20)
Encode = Callable[..., bytes]
Chirp = Callable[..., np.ndarray]
Hear = Callable[..., np.ndarray]


def inside(data: bytes, limits: Limits = LIMITS) -> np.ndarray:
    """What the child does, done in this process: quicker, where the child itself is not in question."""
    blocks = decode_child.decode(io.BytesIO(data), limits, lambda seconds: None)
    return np.concatenate(list(decode_child.capped(blocks, limits.max_seconds)))


def refusal(data: bytes, limits: Limits) -> str:
    with pytest.raises(XingjiError) as error:
        inside(data, limits)
    return error.value.code


# Good files

EXPERIMENTAL = {"strict": "-2"}
GOOD = [  # container, codec, Hz, channels, options, least SNR in dB
    ("wav", "pcm_s16le", 16_000, 1, {}, 80),
    ("wav", "pcm_s16le", 44_100, 2, {}, 80),
    ("wav", "pcm_s16le", 48_000, 6, {}, 80),
    ("wav", "pcm_s24le", 48_000, 1, {}, 80),
    ("wav", "pcm_u8", 8_000, 1, {}, 35),
    ("wav", "pcm_f32le", 48_000, 2, {}, 80),
    ("wav", "pcm_f64le", 22_050, 1, {}, 80),
    ("wav", "pcm_mulaw", 8_000, 1, {}, 35),
    ("wav", "pcm_alaw", 8_000, 1, {}, 35),
    ("flac", "flac", 44_100, 2, {}, 80),
    ("mp3", "libmp3lame", 44_100, 2, {}, 20),
    ("mp3", "libmp3lame", 16_000, 1, {}, 20),
    ("ogg", "libopus", 48_000, 1, {}, 30),
    ("ogg", "vorbis", 44_100, 2, EXPERIMENTAL, 30),
    ("ipod", "aac", 44_100, 2, {}, 20),  # .m4a
    ("ipod", "alac", 44_100, 2, {}, 80),
    ("adts", "aac", 44_100, 1, {}, 20),
    ("asf", "wmav2", 44_100, 1, {"b": "64000"}, 20),
    ("webm", "libopus", 48_000, 1, {}, 30),
    ("matroska", "flac", 48_000, 1, {}, 80),
    ("amr", "libopencore_amrnb", 8_000, 1, {}, 10),
    ("3gp", "libopencore_amrnb", 8_000, 1, {}, 10),
]


@pytest.mark.parametrize(("form", "codec", "rate", "channels", "options", "snr"), GOOD)
def test_a_file_sounds_as_it_was_encoded(
    form: str, codec: str, rate: int, channels: int, options: dict[str, str], snr: float,
    encode: Encode, chirp: Chirp, distance: Callable[..., tuple[float, float]], hear: Hear,
) -> None:  # fmt: skip
    if codec not in av.codecs_available:
        pytest.skip(f"this libav has no {codec} encoder")
    heard = hear(encode(np.stack([chirp(rate)] * channels), rate, form, codec, options))
    lossless = snr >= 35
    measured, shift_ms = distance(heard, chirp(16_000))
    assert heard.dtype == np.int16
    assert abs(len(heard) - 24_000) <= (0 if lossless else 16 * 60)
    assert abs(shift_ms) <= (0.01 if lossless else 60)
    assert measured >= snr


def test_16k_int16_passes_unchanged_in_chunks_of_one_second(encode: Encode, chirp: Chirp, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encode(chirp(16_000, 2.5), 16_000, "wav", "pcm_s16le"))
    with wave.open(str(path)) as file:
        wanted = file.readframes(file.getnframes())
    chunks = list(decode_file(path, LIMITS))
    assert [len(chunk) for chunk in chunks] == [16_000, 16_000, 8_000]
    assert b"".join(chunk.tobytes() for chunk in chunks) == wanted


def test_channels_are_averaged(encode: Encode, chirp: Chirp) -> None:
    left = chirp(16_000)
    both = inside(encode(np.stack([left, np.zeros_like(left)]), 16_000, "wav", "pcm_s16le"))
    assert np.abs(both - left * 16_384).max() <= 1


def test_a_film_gives_its_sound(hear: Hear, chirp: Chirp) -> None:
    assert abs(len(hear(film(chirp(48_000)))) - 24_000) <= 16 * 60


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_tags_in_gbk_do_not_cost_the_audio(form: str, encode: Encode, chirp: Chirp) -> None:
    codec = {"wav": "pcm_s16le", "mp3": "libmp3lame"}[form]
    data = encode(chirp(16_000), 16_000, form, codec, {}, title="ABCDEFGH")
    assert b"ABCDEFGH" in data
    assert len(inside(data.replace(b"ABCDEFGH", "会议录音".encode("gbk")))) == 24_000


def test_a_rate_that_changes_on_the_way(encode: Encode, chirp: Chirp) -> None:
    joined = b"".join(encode(chirp(rate), rate, "mp3", "libmp3lame") for rate in (16_000, 48_000))
    assert len(inside(joined)) == pytest.approx(48_000, abs=16 * 120)


def test_chained_ogg_is_read_to_its_end(encode: Encode, chirp: Chirp) -> None:
    assert len(inside(2 * encode(chirp(48_000), 48_000, "ogg", "libopus"))) == pytest.approx(48_000, abs=16 * 120)


def test_nan_and_infinity_are_silence() -> None:
    samples = np.tile(np.array([np.nan, np.inf, -np.inf, 0.5], "<f4"), 4000)
    assert inside(wav(samples.tobytes(), tag=3, bits=32)).tolist() == [0, 0, 0, 16_384] * 4000


def test_the_public_list_is_what_is_promised() -> None:
    promised = {"wav", "mp3", "ogg", "flac", "m4a", "aac", "wma", "webm"}
    assert list(FORMAT_NAMES) == sorted(promised)


# Damaged files keep what can be heard


@pytest.mark.parametrize(
    ("form", "codec"),
    [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "flac"), ("adts", "aac")],
)
def test_a_file_cut_in_the_middle_keeps_its_first_half(form: str, codec: str, encode: Encode, chirp: Chirp) -> None:
    data = encode(chirp(16_000, 4), 16_000, form, codec)
    assert 0.2 * 64_000 < len(inside(data[: len(data) // 2])) < 0.8 * 64_000


@pytest.mark.parametrize(("form", "codec", "rate"), [("mp3", "libmp3lame", 16_000), ("adts", "aac", 16_000)])
def test_damage_in_the_middle_costs_only_the_middle(
    form: str, codec: str, rate: int, encode: Encode, chirp: Chirp
) -> None:
    data = bytearray(encode(chirp(rate, 4), rate, form, codec))
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff" * 400
    assert 0.7 * 64_000 < len(inside(bytes(data))) <= 1.02 * 64_000


def test_ten_hours_declared_and_little_there() -> None:
    assert len(inside(wav(bytes(1000), declared=36_000 * 32_000))) == 500


# Bad files


def wav(
    data: bytes,
    rate: int = 16_000,
    channels: int = 1,
    tag: int = 1,
    bits: int = 16,
    declared: int | None = None,
) -> bytes:
    size = len(data) if declared is None else declared
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)
    return (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size) + data
    )


def film(sound: np.ndarray | None = None) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        audio = output.add_stream("aac", rate=48_000, layout="mono") if sound is not None else None
        for _ in range(10):
            output.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(video.encode(None))
        if audio is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="fltp", layout="mono")
            frame.rate = 48_000
            output.mux(audio.encode(frame) + audio.encode(None))
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.wav", wav(bytes(32_000)))
    return buffer.getvalue()


PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n" + b"stream 0 0 m\n" * 500 + b"%%EOF\n"
BAD = {
    "nothing": (b"", "empty_file"),
    "one byte": (b"R", "unsupported_format"),
    "pdf": (PDF, "unsupported_format"),
    "zip": (archive(), "unsupported_format"),
    "text": ("今天天气不错。\n".encode() * 400, "unsupported_format"),
    "noise": (np.random.default_rng(5).bytes(100_000), "unsupported_format"),
    "zeros": (bytes(100_000), "unsupported_format"),
    "film without sound": (film(), "unsupported_format"),
    "1 Hz": (wav(bytes(1_900_000), rate=1), "unsupported_format"),
    "2 GHz": (wav(bytes(1000), rate=2_000_000_000), "unsupported_format"),
    "64 channels": (wav(bytes(64_000), channels=64), "unsupported_format"),
    "64-bit integers": (wav(bytes(64_000), bits=64), "unsupported_format"),
    "unknown wave codec": (wav(bytes(64_000), tag=0x7777), "decode_failed"),
    "wav header only": (wav(b""), "decode_failed"),
    "half a wav header": (wav(b"")[:20], "decode_failed"),
    "ftyp only": (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "decode_failed"),
    "flac name only": (b"fLaC", "decode_failed"),
}


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_gets_its_code(data: bytes, code: str, code_of: Callable[..., str]) -> None:
    assert code_of(data) == code


@pytest.mark.parametrize("cut", [0.3, 0.97])
def test_an_m4a_without_its_index_is_damaged_not_unknown(
    cut: float, encode: Encode, chirp: Chirp, code_of: Callable[..., str]
) -> None:
    data = encode(chirp(44_100), 44_100, "ipod", "aac")
    assert data.rindex(b"moov") > len(data) * 0.8
    assert code_of(data[: int(len(data) * cut)]) == "decode_failed"


@given(st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_damage_has_another_end(encode: Encode, chirp: Chirp, data: st.DataObject) -> None:
    """In this process, so that any exception but ours shows itself."""
    form, codec, rate = data.draw(st.sampled_from([
        ("wav", "pcm_s16le", 16_000), ("mp3", "libmp3lame", 16_000), ("ogg", "libopus", 48_000),
        ("flac", "flac", 16_000), ("ipod", "aac", 16_000), ("adts", "aac", 16_000),
        ("webm", "libopus", 48_000),
    ]))  # fmt: skip
    file = bytearray(encode(chirp(rate, 0.3), rate, form, codec))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(file) - 1), st.integers(0, 255)), max_size=30)):
        file[at] = byte
    file = file[: data.draw(st.integers(1, len(file)))]
    try:
        assert len(inside(bytes(file))) > 0
    except XingjiError as error:
        assert error.code in ("decode_failed", "unsupported_format", "too_large")


# What is allowed


def test_audio_exactly_at_the_limit_is_welcome() -> None:
    data = wav(bytes(32_000))
    assert len(inside(data, replace(LIMITS, max_seconds=1))) == 16_000
    assert refusal(data, replace(LIMITS, max_seconds=0.99)) == "too_large"


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 1), (192_000, 1), (16_000, 8)])
def test_the_bounds_belong_to_what_is_allowed(rate: int, channels: int) -> None:
    assert len(inside(wav(bytes(rate * channels * 2), rate, channels))) == 16_000


@pytest.mark.parametrize(("rate", "channels"), [(3_999, 1), (192_001, 1), (16_000, 9)])
def test_beyond_the_bounds_is_not(rate: int, channels: int) -> None:
    assert refusal(wav(bytes(rate * channels * 2), rate, channels), LIMITS) == "unsupported_format"
