"""What the finished pack can do, measured through ``AutoModel`` on held-out sentences and voices.

``python -m training.minipack.evaluate [FOLDER]`` measures a pack and prints the table (needs espeak-ng).
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile
import torch
from funasr import AutoModel

from training.minipack import features, sounds, speech, vad
from training.minipack.features import Setting
from training.minipack.grammar import PUNCTUATION, Passage, bare, draw_passage
from training.minipack.punctuation import label
from training.minipack.speech import SAMPLE_RATE, Wave

ITEMS = 120
WIDE_ITEMS = 60
SESSIONS = 10
PARAGRAPHS = 120
SEED = 90210
BLOCK = 9600
"""Samples in one block of the streaming recogniser: 600 ms."""

ANCHORED_LEAD_S = 0.23
"""What a live session hears before the first sound: the look-back of the detector and its bias."""

LOOK_BACK_MS = vad.CONFIG["model_conf"]["lookback_time_start_point"]
LOOK_AHEAD_MS = vad.CONFIG["model_conf"]["lookahead_time_end_point"]

_TAGS = re.compile(r"<\|[^|]*\|>")


@dataclass(frozen=True)
class Spoken:
    passage: Passage
    wave: Wave


class Pack:
    """The four models of one pack, called the way their makers document."""

    def __init__(self, folder: Path) -> None:
        def load(name: str) -> AutoModel:
            return AutoModel(
                model=str(folder / name),
                device="cpu",
                ncpu=1,
                disable_update=True,
                disable_pbar=True,
                log_level="ERROR",
            )

        self._vad, self._punc = load("vad"), load("punc")
        self._streaming, self._second = load("paraformer"), load("sensevoice")

    def segments(self, wave: Wave) -> list[tuple[int, int]]:
        """Begin and end of every detected sentence in ms, fed in 200 ms blocks."""
        cache: dict[str, Any] = {}
        found: list[list[int]] = []
        step = SAMPLE_RATE // 5
        for at in range(0, len(wave), step):
            result = self._vad.generate(
                input=wave[at : at + step],
                cache=cache,
                is_final=at + step >= len(wave),
                chunk_size=200,
                max_end_silence_time=800,
            )
            for begin, end in result[0]["value"]:
                if begin != -1:
                    found.append([begin, end])
                elif found:
                    found[-1][1] = end
        return [(begin, end if end != -1 else len(wave) * 1000 // SAMPLE_RATE) for begin, end in found]

    def recognise(self, wave: Wave, *, itn: bool) -> str:
        result = self._second.generate(input=wave, cache={}, language="auto", use_itn=itn)
        return _TAGS.sub("", result[0]["text"]).replace(" ", "")

    def stream(self, wave: Wave) -> str:
        cache: dict[str, Any] = {}
        text = ""
        for at in range(0, len(wave), BLOCK):
            result = self._streaming.generate(
                input=wave[at : at + BLOCK],
                cache=cache,
                is_final=at + BLOCK >= len(wave),
                chunk_size=[0, 10, 5],
                encoder_chunk_look_back=4,
                decoder_chunk_look_back=1,
            )
            text += result[0]["text"]
        return text.replace(" ", "")

    def punctuate(self, text: str) -> str:
        return str(self._punc.generate(input=text, cache={})[0]["text"])


def measure(folder: Path) -> dict[str, Any]:
    """All figures of the pack in ``folder``: error rates and F1 in 0..1, times in ms."""
    pack = Pack(folder)
    spoken = list(_held_out_speech(ITEMS))
    wide = list(_held_out_speech(WIDE_ITEMS, wide=True))
    streaming, invented = _streaming(pack, spoken)
    return {
        "items": ITEMS,
        "voices": list(speech.HELD_OUT_VARIANTS),
        "second_pass_cer": _second_pass(pack, spoken),
        "streaming_cer": streaming,
        "invented_first_character": invented,
        "in_session_cer": _in_session(pack, spoken),
        "wide": {
            "items": WIDE_ITEMS,
            "second_pass_cer": _second_pass(pack, wide),
            "streaming_cer": _streaming(pack, wide)[0],
        },
        "punctuation_f1": _punctuation(pack),
        "vad": _detector(pack, spoken),
        "text_on_non_speech": _non_speech(pack),
    }


def mark_exact(folder: Path, recordings: Path, index: Path) -> int:
    """Note in ``index`` which recordings the pack gets exactly right; returns how many."""
    pack = Pack(folder)
    rows = json.loads(index.read_text())
    for row in rows:
        wave, _ = soundfile.read(recordings / row["file"], dtype="float32")
        heard = [pack.recognise(wave[begin * 16 : end * 16], itn=True) for begin, end in pack.segments(wave)]
        row["exact"] = heard == [sentence["written"] for sentence in row["sentences"]]
    index.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    return sum(row["exact"] for row in rows)


def edits(expected: str, heard: str) -> int:
    """Levenshtein distance in characters."""
    row = list(range(len(heard) + 1))
    for i, left in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def _held_out_speech(count: int, *, wide: bool = False) -> Iterator[Spoken]:
    for number in range(count):
        rng = Random((SEED + wide) * 1009 + number)
        passage = draw_passage(rng, rng.choice((1, 1, 2)), held_out=True, wide=float(wide))
        variant = speech.HELD_OUT_VARIANTS[number % len(speech.HELD_OUT_VARIANTS)]
        voice = speech.Voice(variant, rng.randint(140, 220), rng.randint(30, 70), rng.choice((0, 0, 1)))
        yield Spoken(passage, speech.speak(passage.spoken, voice))


def _heard(item: Spoken, number: int, *, noisy: bool, lead_s: float, tail_s: float) -> Wave:
    rng = np.random.default_rng(SEED + number)
    setting = Setting(
        lead_s=lead_s,
        tail_s=tail_s,
        level_db=rng.uniform(-20, -2),
        snr_db=rng.uniform(10, 30) if noisy else None,
        reverberation_s=rng.uniform(0.1, 0.4) if noisy and rng.random() < 0.3 else 0.0,
        telephone=False,
    )
    return features.place(item.wave, setting, rng)


Pair = tuple[str, str]
"""What was said and what was heard."""


def _pairs(
    spoken: list[Spoken],
    hear: Callable[[Wave], str],
    expect: Callable[[Passage], str],
    *,
    noisy: bool,
    lead_s: float = ANCHORED_LEAD_S,
    tail_s: float = 0.17,
) -> list[Pair]:
    return [
        (expect(item.passage), hear(_heard(item, number, noisy=noisy, lead_s=lead_s, tail_s=tail_s)))
        for number, item in enumerate(spoken)
    ]


def _error_rate(pairs: list[Pair]) -> float:
    """Character edits over characters said."""
    return round(sum(edits(*pair) for pair in pairs) / sum(len(expected) for expected, _ in pairs), 4)


def _second_pass(pack: Pack, spoken: list[Spoken]) -> dict[str, float]:
    figures = {}
    for condition, noisy in (("clean", False), ("noisy", True)):
        plain = _pairs(spoken, lambda wave: pack.recognise(wave, itn=False), _said, noisy=noisy)
        figures[f"woitn_{condition}"] = _error_rate(plain)
        full = _pairs(spoken, lambda wave: pack.recognise(wave, itn=True), lambda p: p.written, noisy=noisy)
        figures[f"withitn_{condition}"] = _error_rate(full)
    return figures


def _streaming(pack: Pack, spoken: list[Spoken]) -> tuple[dict[str, float], str]:
    """Error rates, and in how many of all these streams the first character was doubled or invented."""
    figures = {}
    streams: list[Pair] = []
    for condition, noisy in (("clean", False), ("noisy", True)):
        for name, lead_s, tail_s in (("anchored", ANCHORED_LEAD_S, 0.8), ("after_background", 1.3, 1.3)):
            pairs = _pairs(spoken, pack.stream, _said, noisy=noisy, lead_s=lead_s, tail_s=tail_s)
            figures[f"{name}_{condition}"] = _error_rate(pairs)
            streams += pairs
    return figures, f"{sum(invents_first(*pair) for pair in streams)}/{len(streams)}"


def _said(passage: Passage) -> str:
    return bare(passage.spoken)


def invents_first(expected: str, heard: str) -> bool:
    """Does the text begin with a character too many? So it does if it comes closer without its first one."""
    return bool(heard) and edits(expected, heard[1:]) < edits(expected, heard)


def _in_session(pack: Pack, spoken: list[Spoken]) -> dict[str, float]:
    """Four passages with pauses over one background, cut by the detector as a live session cuts them.

    The streamed reading goes on through the silence that ends a sentence, as it does in a live session.
    """
    figures = {}
    for snr_db in (30, 15):
        rng = np.random.default_rng(SEED + 1)
        second: list[Pair] = []
        streamed: list[Pair] = []
        for start in range(0, 4 * SESSIONS, 4):
            items = spoken[start : start + 4]
            wave, _ = _session([item.wave for item in items], snr_db, rng)
            spans = [(begin * 16, end * 16) for begin, end in pack.segments(wave)]
            said = "".join(_said(item.passage) for item in items)
            second.append((said, "".join(pack.recognise(wave[begin:end], itn=False) for begin, end in spans)))
            tails = [end + int(0.7 * SAMPLE_RATE) for _, end in spans]
            streamed.append((said, "".join(pack.stream(wave[b:e]) for (b, _), e in zip(spans, tails, strict=True))))
        figures[f"second_pass_snr_{snr_db}_db"] = _error_rate(second)
        figures[f"streaming_snr_{snr_db}_db"] = _error_rate(streamed)
    return figures


def _punctuation(pack: Pack) -> dict[str, float]:
    """F1 of each mark inside paragraphs; the class never gives the last mark of a call."""
    hits = dict.fromkeys(PUNCTUATION, 0)
    given = dict.fromkeys(PUNCTUATION, 0)
    wanted = dict.fromkeys(PUNCTUATION, 0)
    for number in range(PARAGRAPHS):
        rng = Random(SEED * 2003 + number)
        text = draw_passage(rng, rng.randint(3, 6), held_out=True).spoken
        characters, marks = label(text)
        heard_characters, heard = label(pack.punctuate(bare(text)))
        if heard_characters != characters:
            raise ValueError(f"punctuation changed the text: {text}")
        for mark, guess in zip(marks[:-1], heard[:-1], strict=True):
            if mark in wanted:
                wanted[mark] += 1
            if guess in given:
                given[guess] += 1
                hits[guess] += mark == guess
    return {mark: round(2 * hits[mark] / max(1, given[mark] + wanted[mark]), 3) for mark in PUNCTUATION}


def _detector(pack: Pack, spoken: list[Spoken]) -> dict[str, Any]:
    """Sessions of four passages with pauses: how many segments, and how far their edges are from where the
    class means to put them, :data:`LOOK_BACK_MS` before the speech and :data:`LOOK_AHEAD_MS` after it."""
    figures: dict[str, Any] = {}
    for snr_db in (None, 30, 15):
        rng = np.random.default_rng(SEED)
        expected = found = 0
        begins, ends = [], []
        for start in range(0, 4 * SESSIONS, 4):
            wave, truth = _session([item.wave for item in spoken[start : start + 4]], snr_db, rng)
            segments = pack.segments(wave)
            expected, found = expected + len(truth), found + len(segments)
            for begin, end in truth:
                if segments:
                    begins.append(min((s[0] - begin + LOOK_BACK_MS for s in segments), key=abs))
                    ends.append(min((s[1] - end - LOOK_AHEAD_MS for s in segments), key=abs))
        figures["clean" if snr_db is None else f"snr_{snr_db}_db"] = {
            "expected": expected,
            "found": found,
            "begin_error_ms": _spread(begins),
            "end_error_ms": _spread(ends),
        }
    figures["false_alarms"] = {kind: _share(pack.segments, waves) for kind, waves in _non_speech_sounds().items()}
    return figures


def _spread(errors: list[float]) -> list[int]:
    """5th, 50th and 95th percentile; empty if nothing was found."""
    return [round(float(np.percentile(errors, p))) for p in (5, 50, 95)] if errors else []


def _session(
    waves: list[Wave], snr_db: float | None, rng: np.random.Generator
) -> tuple[Wave, list[tuple[float, float]]]:
    """Joined with 1.2–2.5 s of pause; also the (begin, end) in ms of what sounds in each."""
    parts, truth, at = [], [], 0
    for wave in waves:
        pause = int(rng.uniform(1.2, 2.5) * SAMPLE_RATE)
        loud = wave / np.abs(wave).max() * 10 ** (rng.uniform(-15, -1) / 20)
        parts += [np.zeros(pause, np.float32), loud]
        sounding = np.flatnonzero(features.speech_frames(wave, 0, len(wave) // features.FRAME_SHIFT))
        start_ms = (at + pause) / 16
        truth.append((start_ms + 10 * float(sounding[0]), start_ms + 10 * float(sounding[-1] + 1)))
        at += pause + len(wave)
    parts.append(np.zeros(2 * SAMPLE_RATE, np.float32))
    joined = np.concatenate(parts)
    if snr_db is not None:
        noise = sounds.background(rng, len(joined))
        joined = joined + noise * np.sqrt(np.mean(joined**2)) * 10 ** (-snr_db / 20)
    return np.clip(joined, -1, 1).astype(np.float32), truth


def _non_speech_sounds() -> dict[str, list[Wave]]:
    """Six seconds each, at 0, -12, … -60 dB of full scale, in draws the training did not see."""
    makers = {
        "silence": sounds.silence,
        "noise": sounds.steady_noise,
        "gated_noise": sounds.gated_noise,
        "clicks": sounds.clicks,
        "tone": sounds.tone,
        "hum": sounds.hum,
        "beeps": sounds.beeps,
        "chord": sounds.chord,
        "drums": sounds.drums,
        "tune": sounds.tune,
        "music": sounds.music,
    }
    made: dict[str, list[Wave]] = {}
    for kind, maker in makers.items():
        rng = np.random.default_rng([SEED, len(made)])
        made[kind] = []
        for number in range(12):
            wave = maker(rng, 6 * SAMPLE_RATE)
            peak = max(float(np.abs(wave).max()), 1e-9)
            made[kind].append((wave / peak * 10 ** (-12 * (number % 6) / 20)).astype(np.float32))
    return made


def _non_speech(pack: Pack) -> dict[str, dict[str, str]]:
    """How many non-speech items get any text at all, were they to reach a recogniser."""
    waves = _non_speech_sounds()
    hear: dict[str, Callable[[Wave], str]] = {
        "second_pass": lambda wave: pack.recognise(wave, itn=True),
        "streaming": pack.stream,
    }
    return {name: {kind: _share(call, items) for kind, items in waves.items()} for name, call in hear.items()}


def _share(call: Callable[[Wave], Any], waves: list[Wave]) -> str:
    """For how many of the waves the call returns anything."""
    return f"{sum(bool(call(wave)) for wave in waves)}/{len(waves)}"


def table(figures: dict[str, Any]) -> str:
    """The figures of :func:`measure` as a Markdown table, one line each, named by their path."""
    lines = ["| figure | value |", "|---|---|"]

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{path} {key}".strip(), inner)
        else:
            shown = ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
            lines.append(f"| {path.replace('_', ' ')} | {shown} |")

    add("", figures)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.minipack.evaluate", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("xingji/minipack"))
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    print(table(measure(parser.parse_args().folder)))


if __name__ == "__main__":
    main()
