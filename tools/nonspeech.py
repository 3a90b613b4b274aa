"""Does anything but speech become text, and does quiet or noisy speech stay? A report in Markdown.

``python -m tools.nonspeech [--models DIR] [--vad DIR] [--minutes 30] [--speech FOLDER]`` plays synthetic sounds
through the real session and the real engines in this process, streaming and second pass, at six loudnesses: digital
silence, noises, hum, tones, beeps, clicks, chords, drums, tunes, music, breath and typing. Then it plays each wav of
``--speech`` (16 kHz, mono, 16 bit; default: the recordings of the tests) as it is, attenuated, and in noise, and
compares with what is heard of it as it is. ``--vad`` takes another detector than ``--models`` has. The exit status is 1
where a sound became text.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tools.replay import MODELS, Engines, read
from tools.trace import Trace
from training.minipack import sounds
from xingji.core.messages import Audio, Completed, Profile, SentenceRevised, SpeechStarted, Stop
from xingji.core.scoring import cer
from xingji.core.session import Session
from xingji.core.transcript import join
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.pinyin import Pypinyin

Wave = NDArray[np.float32]

PIECE_S = 20
LEVELS_DB = (-50, -40, -30, -20, -10, -3)  # peaks below full scale
FEED = SAMPLE_RATE
SPEECH = Path(__file__).resolve().parents[1] / "tests" / "data" / "speech"


def breath(rng: Generator, length: int) -> Wave:
    """Noise that swells and falls every two to five seconds."""
    swell = np.sin(2 * np.pi * rng.uniform(0.2, 0.5) * np.arange(length) / SAMPLE_RATE)
    return np.asarray(sounds.background(rng, length) * np.clip(swell, 0, 1) ** 2, np.float32)


def typing(rng: Generator, length: int) -> Wave:
    """Keys: two short knocks each, four to nine a second."""
    wave, at = np.zeros(length, np.float32), 0
    while at < length:
        for begin in (at, at + int(rng.uniform(0.04, 0.09) * SAMPLE_RATE)):
            tail = min(int(rng.integers(60, 400)), length - begin)
            if tail > 0:
                wave[begin : begin + tail] += rng.standard_normal(tail) * np.exp(-6 * np.arange(tail) / tail)
        at += int(SAMPLE_RATE / rng.uniform(4, 9))
    return wave


KINDS: dict[str, Callable[[Generator, int], Wave]] = {
    make.__name__: make
    for make in (
        sounds.silence, sounds.steady_noise, sounds.gated_noise, sounds.clicks, sounds.tone, sounds.hum, sounds.beeps,
        sounds.chord, sounds.drums, sounds.tune, sounds.music, breath, typing,
    )
}  # fmt: skip


@dataclass(slots=True)
class Heard:
    seconds: float = 0.0
    segments: int = 0
    shown: list[str] = field(default_factory=list)  # texts of revisions
    settled: list[str] = field(default_factory=list)


def hear(engines: Engines, audio: Samples, heard: Heard | None = None) -> Heard:
    heard = heard or Heard()
    trace = Trace(Session(Profile(correct=False), Pypinyin()), engines.answer)
    heard.seconds += len(audio) / SAMPLE_RATE
    for begin in range(0, len(audio), FEED):
        trace.handle(Audio(audio[begin : begin + FEED]))
        trace.settle()
    trace.handle(Stop())
    trace.settle()
    for event in trace.events:
        match event:
            case SpeechStarted():
                heard.segments += 1
            case SentenceRevised(sentence) if sentence.text:
                heard.shown.append(sentence.text)
            case Completed(sentences):
                heard.settled += [sentence.text for sentence in sentences]
            case _:
                pass
    return heard


def at_level(wave: Wave, peak_db: float) -> Samples:
    peak = float(np.abs(wave).max())
    scaled = wave / peak * 10 ** (peak_db / 20) if peak else wave
    return np.asarray(np.clip(scaled, -1, 1) * 32767, np.int16)


def attenuated(audio: Samples, db: float) -> Samples:
    return np.asarray(audio * 10 ** (-db / 20), np.int16)


def in_noise(audio: Samples, snr_db: float, rng: Generator) -> Samples:
    """The noise is so much below the mean power of what sounds."""
    wave = audio.astype(np.float32)
    sounding = wave[np.abs(wave) > 30]
    power = float(np.sqrt(np.mean(sounding**2))) if len(sounding) else 0.0
    noise = sounds.background(rng, len(wave))
    noisy = wave + noise / np.sqrt(np.mean(noise**2)) * power / 10 ** (snr_db / 20)
    return np.asarray(np.clip(noisy, -32768, 32767), np.int16)


def nonspeech(engines: Engines, minutes: float) -> dict[str, Heard]:
    rng, found = np.random.default_rng(7), {name: Heard() for name in KINDS}
    pieces = round(minutes * 60 / PIECE_S)
    for number in range(pieces):
        name = list(KINDS)[number % len(KINDS)]
        wave = KINDS[name](rng, PIECE_S * SAMPLE_RATE)
        hear(engines, at_level(wave, LEVELS_DB[number // len(KINDS) % len(LEVELS_DB)]), found[name])
    return found


def quiet_and_noisy(engines: Engines, files: list[Path]) -> Iterator[tuple[str, int, float]]:
    """(condition, recordings that lost all text, CER against what is heard of them as they are)."""
    rng = np.random.default_rng(7)
    recordings = [read(file) for file in files]
    plain = [join(hear(engines, audio).settled) for audio in recordings]
    spoken = [(audio, text) for audio, text in zip(recordings, plain, strict=True) if text]
    yield "as it is", len(recordings) - len(spoken), 0.0
    conditions = [(f"-{db} dB", partial(attenuated, db=db)) for db in (10, 20, 30)]
    conditions += [(f"SNR {db} dB", partial(in_noise, snr_db=db, rng=rng)) for db in (20, 10, 5)]
    for name, change in conditions:
        pairs = [(text, join(hear(engines, change(audio)).settled)) for audio, text in spoken]
        yield name, sum(not now for _, now in pairs), cer(pairs)


def report(models: Path, vad: Path | None, minutes: float, files: list[Path]) -> tuple[str, bool]:
    """The report, and whether no sound became text."""
    engines = Engines(models, {"vad": vad} if vad else {})
    lines = ["| sound | seconds | segments | texts shown | texts settled |", "|---|---|---|---|---|"]
    found = nonspeech(engines, minutes)
    for name, heard in found.items():
        shown, settled = (" ".join([str(len(texts)), *texts[:5]]) for texts in (heard.shown, heard.settled))
        lines.append(f"| {name} | {heard.seconds:.0f} | {heard.segments} | {shown} | {settled} |")
    lines += ["", "| speech | recordings lost | CER against as it is |", "|---|---|---|"]
    for condition, lost, rate in quiet_and_noisy(engines, files):
        lines.append(f"| {condition} | {lost} of {len(files)} | {rate:.3f} |")
    return "\n".join(lines), not any(heard.shown or heard.settled for heard in found.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.nonspeech", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="default: the embedded pack")
    parser.add_argument("--vad", type=Path, metavar="DIR", help="another detector")
    parser.add_argument("--minutes", type=float, default=30.0, help="of sounds that are no speech")
    parser.add_argument("--speech", type=Path, default=SPEECH, metavar="FOLDER")
    options = parser.parse_args()
    text, silent = report(options.models, options.vad, options.minutes, sorted(options.speech.glob("*.wav")))
    print(text)
    return 0 if silent else 1


if __name__ == "__main__":
    sys.exit(main())
