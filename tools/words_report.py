"""When words are said to be said, and what hotwords do, on speech whose words and times are known, as Markdown.

``python -m tools.words_report [MODELS] [--items 120] [--official DIR]`` (needs ``libespeak-ng``, 3 minutes). The
speech is the mini pack's held-out set (``training.minipack.evaluate``: its sentences, voices and settings, clean and
noisy), synthesised again through espeak-ng's library, which says when each word begins and ends. ``MODELS`` is a pack
that knows this domain; ``--official`` names a SenseVoice directory of official size, whose time with and without
10 000 hotwords is measured on one thread.
"""

import argparse
import ctypes
import itertools
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from pypinyin.phrases_dict import phrases_dict

from training.minipack import grammar, speech
from training.minipack.evaluate import SEED
from training.minipack.features import Setting, place
from xingji.core.hotwords import HotwordIndex
from xingji.core.messages import Align, Decode, Transcribe
from xingji.core.scoring import cer
from xingji.core.types import SAMPLE_RATE, Hotword, HotwordTable, Hypothesis, Samples, Stage, Word
from xingji.engines.lexicon import Jieba
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.pinyin import Pypinyin
from xingji.engines.sensevoice import SenseVoice

MINIPACK = Path(__file__).resolve().parents[1] / "xingji" / "minipack"
MS = SAMPLE_RATE // 1000
LEAD_S, TAIL_S = 0.23, 0.17  # what a segment has before and after the speech
FRAMES = (
    "请{}明天下午检查设计文档", "大家好我是{}欢迎参加今天的会议", "请联系{}", "这个任务由{}负责周末之前完成",
    "{}的测试结果非常重要", "谢谢{}老师",
)  # fmt: skip
NEAR = grammar.WIDE_WORDS["near_name"]  # the pack was trained on them, and often takes them for a usual name
# The pack has never been told these. 张玮 is left out: it differs from 章薇 in a tone, and the pack knows neither name.
NEVER_HEARD = tuple(name for name in grammar.CONFUSABLE_NAMES if name != "张玮")
INSISTED_ON = {"赵雷": 80}  # no token of the pack has this sound with its tone: nothing but the weight can put it in
LARGE = 10_000

Told = tuple[str, float, float]  # a word, its begin and its end in ms


@dataclass(frozen=True, slots=True)
class Clip:
    samples: Samples
    spoken: str
    written: str
    words: list[Told]


# -- speech that says when its words are --------------------------------------------------


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("uid", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )  # fmt: skip


_WORD, _PHONEME = 1, 7
_RATE, _VOLUME, _PITCH, _GAP = 1, 2, 3, 7  # espeak_PARAMETER
_HEARD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library behind ``training.minipack.speech``: the same samples, and events with times."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._callback = _HEARD(self._heard)
        self._rate = self._library.espeak_Initialize(2, 0, None, 1)  # synchronous, with phoneme events
        self._library.espeak_SetSynthCallback(self._callback)
        self._pieces: list[Any] = []
        self._events: list[tuple[int, int, int, int, bytes]] = []

    def _heard(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in itertools.takewhile(lambda event: event.type, (events[n] for n in itertools.count())):
            self._events.append((event.type, event.text_position, event.length, event.sample, event.name))
        return 0

    def say(self, text: str, voice: speech.Voice) -> tuple[speech.Wave, list[Told]]:
        """The trimmed wave, and its words; marks are none."""
        self._pieces, self._events = [], []
        name = "cmn-latn-pinyin" + (f"+{voice.variant}" if voice.variant else "")
        self._library.espeak_SetVoiceByName(name.encode())
        for number, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_GAP, voice.gap), (_VOLUME, 100)):
            self._library.espeak_SetParameter(number, value, 0)
        spelt = speech._readable(text).encode()
        self._library.espeak_Synth(spelt, len(spelt) + 1, 0, 1, 0, 1 | 0x1000, None, None)
        self._library.espeak_Synchronize()
        sound = soxr.resample(np.concatenate(self._pieces).astype(np.float32) / 32768, self._rate, SAMPLE_RATE)
        wave = np.clip(sound, -1, 1).astype(np.float32)
        trimmed = speech.trim(wave)
        begin = max(0, int(np.flatnonzero(np.abs(wave) > 2e-3)[0]) - 80)
        return trimmed, [
            (unit, (start / self._rate - begin / SAMPLE_RATE) * 1000, (end / self._rate - begin / SAMPLE_RATE) * 1000)
            for unit, start, end in self._words(text)
        ]

    def _words(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Begin and end in samples of the library: from a word's first phoneme to the pause that ends it."""
        places, at = [], 0
        for unit in grammar.units(text):
            length = len(speech._readable(unit))
            if unit not in grammar.PUNCTUATION:
                places.append((unit, at, at + length))
            at += length
        spans: dict[int, list[int]] = {}
        now: int | None = None
        for kind, position, length, sample, name in self._events:
            if kind == _WORD:
                found = (n for n, (_, start, end) in enumerate(places) if length and start <= position - 1 < end)
                now = next(found, None)
            elif kind == _PHONEME and now is not None and not name.startswith(b"("):  # (en): another language
                if not name.startswith(b"_"):
                    spans.setdefault(now, [sample, sample])
                elif now in spans:
                    spans[now][1] = max(spans[now][1], sample)
                    now = now if name.startswith(b"_|") else None  # a pause is no part of the word
        return ((places[n][0], *spans[n]) for n in sorted(spans))


def held_out(espeak: Espeak, count: int, *, wide: bool, noisy: bool) -> Iterator[Clip]:
    """The passages, voices and settings of the pack's own evaluation."""
    for number in range(count):
        rng = random.Random((SEED + wide) * 1009 + number)
        passage = grammar.draw_passage(rng, rng.choice((1, 1, 2)), held_out=True, wide=float(wide))
        variant = speech.HELD_OUT_VARIANTS[number % len(speech.HELD_OUT_VARIANTS)]
        voice = speech.Voice(variant, rng.randint(140, 220), rng.randint(30, 70), rng.choice((0, 0, 1)))
        wave, words = espeak.say(passage.spoken, voice)
        later = [(word, begin + LEAD_S * 1000, end + LEAD_S * 1000) for word, begin, end in words]
        yield Clip(_heard(wave, SEED + number, noisy), grammar.bare(passage.spoken), passage.written, later)


def with_names(espeak: Espeak, names: Sequence[str]) -> Iterator[tuple[str, Samples]]:
    for (number, name), (turn, frame) in itertools.product(enumerate(names), enumerate(FRAMES)):
        rng = random.Random(number * 100 + turn)
        variant = speech.HELD_OUT_VARIANTS[(number + turn) % len(speech.HELD_OUT_VARIANTS)]
        voice = speech.Voice(variant, rng.randint(140, 220), rng.randint(30, 70), 0)
        wave, _ = espeak.say(frame.format(name), voice)
        yield name, _heard(wave, number * 10 + turn, noisy=turn % 2 == 1)


def _heard(wave: speech.Wave, seed: int, noisy: bool) -> Samples:
    rng = np.random.default_rng(seed)
    level = rng.uniform(-20, -2)
    snr = rng.uniform(10, 30) if noisy else None
    echo = rng.uniform(0.1, 0.4) if noisy and rng.random() < 0.3 else 0.0
    samples: Samples = (place(wave, Setting(LEAD_S, TAIL_S, level, snr, echo, False), rng) * 32768).astype(np.int16)
    return samples


# -- what the engines say --------------------------------------------------------------------


def transcribe(engine: SenseVoice, samples: Samples, itn: bool, *tables: HotwordTable) -> Hypothesis:
    heard = engine.transcribe([Transcribe(0, samples, "auto", itn, hotwords=tables)])[0]
    return heard if isinstance(heard, Hypothesis) else Hypothesis("")


def aligned(engine: SenseVoice, samples: Samples, text: str) -> tuple[Word, ...]:
    return engine.align([Align(0, samples, text, "auto")])[0].words


def with_errors(clip: Clip) -> str:
    """As somebody might read it who mishears every fifth character."""
    rng = random.Random(clip.spoken)
    return "".join(rng.choice("赵钱孙李周吴郑王冯陈褚卫") if rng.random() < 0.2 else c for c in clip.spoken)


def streamed(engine: StreamingParaformer, samples: Samples) -> tuple[Word, ...]:
    state, sound = engine.open(), np.append(samples, np.zeros(SAMPLE_RATE // 2, np.int16))
    engine.decode([(state, Decode(0, sound, 0, True, SAMPLE_RATE * 6 // 10, False))])
    return engine.words(state)


def errors(heard: Sequence[Word], told: Sequence[Told]) -> list[tuple[float, float]]:
    """Of begin and end in ms, for every word that was read as it was said."""
    matcher = SequenceMatcher(None, [word.text for word in heard], [word for word, _, _ in told], autojunk=False)
    pairs = ((heard[a + n].span, told[b + n]) for a, b, size in matcher.get_matching_blocks() for n in range(size))
    return [(span.start / MS - begin, span.end / MS - end) for span, (_, begin, end) in pairs]


def times(second: SenseVoice, stream: StreamingParaformer, clips: dict[str, list[Clip]]) -> Iterator[str]:
    yield "| | | words | begin p50 | p95 | end p50 | p95 | all p50 | p95 |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    passes = {
        "second pass (`ctc`), spoken form": lambda clip: transcribe(second, clip.samples, False).words,
        "second pass (`ctc`), written form": lambda clip: transcribe(second, clip.samples, True).words,
        "a given text (`ctc_alignment`), spoken form": lambda clip: aligned(second, clip.samples, clip.spoken),
        "a given text (`ctc_alignment`), written form": lambda clip: aligned(second, clip.samples, clip.written),
        "… of which every fifth character is wrong": lambda clip: aligned(second, clip.samples, with_errors(clip)),
        "streaming (`cif`)": lambda clip: streamed(stream, clip.samples),
    }
    for (title, read), (condition, items) in itertools.product(passes.items(), clips.items()):
        found = np.abs([pair for clip in items for pair in errors(read(clip), clip.words)])
        figures = [found[:, 0], found[:, 1], found.reshape(-1)]
        shown = " | ".join(f"{np.percentile(each, p):.0f}" for each in figures for p in (50, 95))
        yield f"| {title} | {condition} | {len(found)} | {shown} |"


def recall(engine: SenseVoice, espeak: Espeak) -> Iterator[str]:
    yield "| hotwords | said | as read | by the text | by posteriors and text | put in | wrongly |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for title, names in (("near names", NEAR), ("names never heard", NEVER_HEARD)):
        index = HotwordIndex([Hotword(name, INSISTED_ON.get(name, 50)) for name in names], Pypinyin(), Jieba())
        engine.tables.learn(index.tables[0])
        counts, put_in, wrong, said = [0, 0, 0], 0, 0, 0
        for name, samples in with_names(espeak, names):
            plain = transcribe(engine, samples, False).text
            biased = transcribe(engine, samples, False, *index.tables).text
            texts = plain, index.mend(plain, Stage.SECOND_PASS)[0], index.mend(biased, Stage.SECOND_PASS)[0]
            counts = [count + (name in text) for count, text in zip(counts, texts, strict=True)]
            new = [other for other in names if texts[2].count(other) > plain.count(other)]
            said, put_in, wrong = said + 1, put_in + len(new), wrong + sum(other != name for other in new)
        yield f"| {title} | {said} | {counts[0]} | {counts[1]} | {counts[2]} | {put_in} | {wrong} |"


def unrelated(said: Sequence[str]) -> HotwordTable:
    """10 000 everyday words, none of which sounds just like something that was said: such a word would be a homophone
    in use, and putting it in would be right."""
    pinyin = Pypinyin()

    def sounds(text: str) -> list[tuple[str, ...]]:
        return [pinyin.syllables(character)[0] or (character,) for character in text if character.isalnum()]

    heard = {
        way
        for text in said
        for length in range(2, 9)
        for start in range(len(text))
        for way in itertools.product(*sounds(text)[start : start + length])
    }
    pool = sorted(word for word in phrases_dict if re.fullmatch(r"[\u4e00-\u9fff]{2,8}", word))
    chosen = [w for w in random.Random(1).sample(pool, 15_000) if heard.isdisjoint(itertools.product(*sounds(w)))]
    return HotwordTable("unrelated", tuple(map(Hotword, chosen[:LARGE])))


def damage(engine: SenseVoice, clips: Sequence[Clip], table: HotwordTable) -> Iterator[str]:
    engine.tables.learn(table)
    index = HotwordIndex(table.words, Pypinyin(), Jieba())
    pairs: dict[str, list[tuple[str, str]]] = {name: [] for name in ("none", "posteriors", "text", "both")}
    for clip, itn in itertools.product(clips, (False, True)):
        plain, biased = (transcribe(engine, clip.samples, itn, *tables).text for tables in ((), (table,)))
        texts = plain, biased, *(index.mend(text, Stage.SECOND_PASS)[0] for text in (plain, biased))
        for name, text in zip(pairs, texts, strict=True):
            pairs[name].append((clip.written if itn else clip.spoken, text))
    yield "| 10 000 unrelated words act | error rate | ΔCER, points | texts changed |"
    yield "|---|--:|--:|--:|"
    base = cer(pairs["none"])
    for name, read in pairs.items():
        changed = sum(a != b for a, b in zip(read, pairs["none"], strict=True))
        yield f"| {name} | {100 * cer(read):.2f} % | {100 * (cer(read) - base):.2f} | {changed} of {len(read)} |"


def cost(engine: SenseVoice, clip: Samples, table: HotwordTable) -> str:
    """Best of five, one after the other."""
    began = time.perf_counter()
    engine.tables.learn(table)
    learnt = time.perf_counter() - began
    took: dict[bool, list[float]] = {False: [], True: []}
    for with_table in (False, True) * 5:
        began = time.perf_counter()
        transcribe(engine, clip, True, *((table,) if with_table else ()))
        took[with_table].append(time.perf_counter() - began)
    plain, biased = min(took[False]), min(took[True])
    about = engine.describe()
    return (
        f"{about.runtime}, {about.parameters / 1e6:.0f} M parameters: {len(clip) / SAMPLE_RATE:.1f} s of speech take "
        f"{1000 * plain:.0f} ms, with {len(table.words)} words {1000 * biased:.0f} ms "
        f"({100 * (biased / plain - 1):+.0f} %); learning the table took {1000 * learnt:.0f} ms, once a worker."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.words_report", description=__doc__)
    parser.add_argument("models", type=Path, nargs="?", default=MINIPACK)
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--official", type=Path)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    espeak = Espeak()
    clips = {
        condition: [
            clip
            for wide in (False, True)
            for clip in held_out(espeak, options.items // (1 + wide), wide=wide, noisy=noisy)
        ]
        for condition, noisy in (("clean", False), ("noisy", True))
    }
    everything = [clip for items in clips.values() for clip in items]
    second = SenseVoice(options.models / "sensevoice", "cpu", options.precision)
    stream = StreamingParaformer(options.models / "paraformer", "cpu", options.precision)
    table = unrelated([text for clip in everything for text in (clip.spoken, clip.written)])
    lines = [*times(second, stream, clips), "", *recall(second, espeak), "", *damage(second, everything, table), ""]
    lines.append(cost(second, everything[0].samples, table))
    if options.official:
        lines.append(cost(SenseVoice(options.official, "cpu", "int8"), everything[0].samples, table))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
