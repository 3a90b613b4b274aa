"""Files, Opus and the microphone of the Python client."""

import io
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import asr_audio
from asr_audio import FRAME, AudioError, Microphone, duration_ms, opus, read_file
from tests.support import ROOT, SPEECH, utterance

SAID = utterance("question")


def test_a_wav_at_16_khz_comes_out_as_it_is() -> None:
    frames = list(read_file(SPEECH / "question.wav"))
    assert b"".join(frames) == SAID.pcm
    assert {len(frame) for frame in frames[:-1]} == {FRAME} and 0 < len(frames[-1]) <= FRAME
    assert duration_ms(SPEECH / "question.wav") == SAID.milliseconds


def test_other_formats_and_rates() -> None:
    frames = list(read_file(ROOT / "tests" / "data" / "test.mp3"))
    length = duration_ms(ROOT / "tests" / "data" / "test.mp3")
    assert length is not None and abs(sum(map(len, frames)) / 32 - length) < 100


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("missing.wav", None, "打不开"), ("text.wav", b"no audio" * 99, "打不开"), ("folder", None, "打不开")],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path if name == "folder" else tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for read in (duration_ms, lambda path: list(read_file(path))):
        with pytest.raises(AudioError, match=words):
            read(path)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_opus_comes_piece_by_piece(rate: int) -> None:
    size = rate // 10 * 2
    tone = (np.sin(np.arange(rate * 3) * 2 * np.pi * 440 / rate) * 8000).astype("<i2").tobytes()
    given = [tone[at : at + size] for at in range(0, len(tone), size)]
    taken = 0

    def frames() -> Any:
        nonlocal taken
        for frame in given:
            taken += 1
            yield frame

    pieces, waited = [], 0
    for piece in opus(frames(), rate):
        pieces.append(piece)
        waited = taken if not b"".join(pieces) else waited
    assert waited <= 3, "the first piece must not wait for the end"
    assert len(pieces) == len(given) + 1
    whole = b"".join(pieces)
    assert whole.startswith(b"OggS")
    with av.open(io.BytesIO(whole)) as file:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
        assert abs(len(decoded) / 48_000 - 3) < 0.03
        spectrum = np.abs(np.fft.rfft(decoded[4800:-4800]))
        assert abs(np.argmax(spectrum) * 48_000 / (len(decoded) - 9600) - 440) < 2


def test_speech_as_opus_is_a_tenth() -> None:
    assert sum(map(len, opus(read_file(SPEECH / "question.wav")))) < len(SAID.pcm) / 10


class PortAudioError(Exception):
    pass


class Stream:
    def __init__(self, callback: Any, **settings: Any) -> None:
        self.callback, self.settings, self.open = callback, settings, True

    def start(self) -> None:
        for number, lost in enumerate((False, True, False)):
            frame = bytes([number]) * self.settings["blocksize"] * 2
            self.callback(memoryview(frame), len(frame) // 2, None, SimpleNamespace(input_overflow=lost))

    def stop(self) -> None:
        pass

    def close(self) -> None:
        self.open = False


def sounddevice(rates: tuple[int, ...]) -> Any:
    def check(samplerate: int, **_: Any) -> None:
        if samplerate not in rates:
            raise PortAudioError("Invalid sample rate")

    return SimpleNamespace(
        PortAudioError=PortAudioError,
        RawInputStream=Stream,
        check_input_settings=check,
        query_devices=lambda device, kind: {"default_samplerate": 44_100.0},
    )


@pytest.mark.parametrize(("rates", "expected"), [((16_000, 44_100), 16_000), ((44_100,), 44_100)])
def test_the_microphone_gives_every_frame_and_counts_what_the_system_lost(
    monkeypatch: pytest.MonkeyPatch, rates: tuple[int, ...], expected: int
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice(rates))
    with Microphone() as microphone:
        threading.Timer(0.05, microphone.stop).start()
        frames = list(microphone)
    assert [frame[0] for frame in frames] == [0, 1, 2] and len(frames[0]) == expected // 10 * 2
    assert (microphone.sample_rate, microphone.overflows) == (expected, 1)


def test_no_microphone_no_sounddevice_no_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = sounddevice((16_000,))
    broken.RawInputStream = lambda **_: (_ for _ in ()).throw(PortAudioError("no device"))
    monkeypatch.setitem(sys.modules, "sounddevice", broken)
    with pytest.raises(AudioError, match="打不开"):
        Microphone()
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match="sounddevice"):
        Microphone()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match="pip install av"):
        asr_audio.duration_ms("x.wav")
