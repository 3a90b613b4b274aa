"""The training corpus on disk: clean speech once, then features with plenty of background on both sides."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from training.minipack import features, sounds, speech
from training.minipack.grammar import WIDE_SHARE, Passage, draw_passage, draw_salad

log = logging.getLogger(__name__)

SPEECH_SEED = 11
FEATURE_SEED = 23
NOISE_SEED = 777
UTTERANCES = 10000
NOISE_ITEMS = 1200

LEAD_S = 2.2
TAIL_S = 1.5
"""Background kept around every utterance; batches crop it, so each epoch hears another onset."""

_WORKERS = 2


@dataclass(frozen=True)
class Text:
    """What an utterance says, in both forms; both carry punctuation."""

    spoken: str
    written: str


class Corpus:
    """Features of many items in one file. Lengths are in 10 ms frames."""

    def __init__(self, folder: Path) -> None:
        self._frames = np.load(folder / "frames.npy", mmap_mode="r")
        self._labels: NDArray[np.uint8] = np.load(folder / "labels.npy")
        self._starts = np.load(folder / "starts.npy")
        self.texts = [Text(**text) for text in json.loads((folder / "texts.json").read_text())]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def frames(self, index: int) -> features.Frames:
        return np.asarray(self._frames[self._span(index)], np.float32)

    def labels(self, index: int) -> NDArray[np.uint8]:
        """1 where a frame sounds, 0 where it is background."""
        return self._labels[self._span(index)]

    def speech_span(self, index: int) -> tuple[int, int]:
        """First sounding frame and the frame after the last one; (0, 0) when nothing sounds."""
        sounding = np.flatnonzero(self.labels(index))
        return (int(sounding[0]), int(sounding[-1]) + 1) if len(sounding) else (0, 0)

    def normaliser(self) -> features.Normaliser:
        picks = np.random.default_rng(0).choice(len(self), min(1500, len(self)), replace=False)
        parts = []
        for index in picks:
            first, last = self.speech_span(index)
            parts.append(self.frames(index)[max(0, first - 40) : last + 40 : 3])
        return features.Normaliser.measure(np.concatenate(parts))

    def _span(self, index: int) -> slice:
        return slice(int(self._starts[index]), int(self._starts[index + 1]))


def make_speech(folder: Path) -> None:
    """Speak the training passages: ``folder`` gets int16 samples, their starts, and the texts."""
    with Pool(_WORKERS) as pool:
        items = pool.map(_speak_one, range(UTTERANCES), chunksize=50)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "samples.npy", np.concatenate([samples for samples, _ in items]))
    np.save(folder / "starts.npy", _starts(len(samples) for samples, _ in items))
    _write_texts(folder, [text for _, text in items])
    hours = sum(len(samples) for samples, _ in items) / speech.SAMPLE_RATE / 3600
    log.info("spoke %d passages, %.1f h", len(items), hours)


def make_features(source: Path, folder: Path) -> None:
    """Features and labels of the spoken passages, each in its own drawn setting."""
    with Pool(_WORKERS, _open_speech, (source,)) as pool:
        items = pool.map(_feature_one, range(UTTERANCES), chunksize=50)
    texts = [Text(**text) for text in json.loads((source / "texts.json").read_text())]
    _write(folder, items, texts)


def make_noise(folder: Path) -> None:
    """Features of items without speech."""
    items = [_noise_one(index) for index in range(NOISE_ITEMS)]
    _write(folder, items, [Text("", "")] * NOISE_ITEMS)


_Item = tuple[NDArray[np.float16], NDArray[np.uint8]]
_speech: tuple[NDArray[np.int16], NDArray[np.int64]]


def _draw_training_passage(rng: Random) -> Passage:
    if rng.random() < 0.12:
        return draw_salad(rng)
    return draw_passage(rng, rng.choice((1, 1, 1, 1, 1, 2, 2, 3)), held_out=False, wide=WIDE_SHARE)


def _speak_one(index: int) -> tuple[NDArray[np.int16], Text]:
    rng = Random(SPEECH_SEED * 1_000_003 + index)
    passage = _draw_training_passage(rng)
    voice = speech.draw_voice(rng, speech.TRAINING_VARIANTS)
    if rng.random() < 0.5:
        wave = speech.speak(passage.spoken, voice)
    else:
        wave = _with_pauses([speech.speak(sentence.spoken, voice) for sentence in passage.sentences], rng)
    return (wave * 32767).astype(np.int16), Text(passage.spoken, passage.written)


def _with_pauses(sentences: Sequence[speech.Wave], rng: Random) -> speech.Wave:
    """One after the other with 0.2–1 s between them, where the background will go on."""
    parts = [sentences[0]]
    for sentence in sentences[1:]:
        parts += [np.zeros(int(rng.uniform(0.2, 1.0) * speech.SAMPLE_RATE), np.float32), sentence]
    return np.concatenate(parts)


def _open_speech(source: Path) -> None:
    global _speech
    _speech = np.load(source / "samples.npy", mmap_mode="r"), np.load(source / "starts.npy")


def _feature_one(index: int) -> _Item:
    rng = np.random.default_rng(FEATURE_SEED * 1_000_003 + index)
    samples, starts = _speech
    clean = samples[starts[index] : starts[index + 1]].astype(np.float32) / np.float32(32768)
    setting = features.draw_setting(rng, LEAD_S, TAIL_S)
    frames = features.fbank(features.place(clean, setting, rng))
    labels = features.speech_frames(clean, round(LEAD_S * speech.SAMPLE_RATE), len(frames))
    return frames.astype(np.float16), labels


def _noise_one(index: int) -> _Item:
    rng = np.random.default_rng(NOISE_SEED * 1_000_003 + index)
    wave = sounds.draw_non_speech(rng, int(speech.SAMPLE_RATE * rng.uniform(1, 7)))
    frames = features.fbank((np.round(wave * 32767) / 32768).astype(np.float32))
    return frames.astype(np.float16), np.zeros(len(frames), np.uint8)


def _write(folder: Path, items: Sequence[_Item], texts: Sequence[Text]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    starts = _starts(len(frames) for frames, _ in items)
    shape = (int(starts[-1]), features.MELS)
    stored = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.float16, shape)
    for (frames, _), start in zip(items, starts[:-1], strict=True):
        stored[start : start + len(frames)] = frames
    stored.flush()
    np.save(folder / "labels.npy", np.concatenate([labels for _, labels in items]))
    np.save(folder / "starts.npy", starts)
    _write_texts(folder, texts)
    log.info("stored %d items, %.1f h of features", len(items), starts[-1] / 100 / 3600)


def _write_texts(folder: Path, texts: Sequence[Text]) -> None:
    rows = [{"spoken": text.spoken, "written": text.written} for text in texts]
    (folder / "texts.json").write_text(json.dumps(rows, ensure_ascii=False))


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(list(lengths))]).astype(np.int64)
