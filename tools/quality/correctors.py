"""What voting gains and what the guard lets through, measured on readings whose truth is known, as a Markdown report.

``python -m tools.quality.correctors HYPOTHESES.jsonl``. A line of it is ``{"id", "reference"}`` and readings by name;
characters 6 to 10 of an id name the speaker. Every second speaker chose the constants of ``core.fusion`` and
``core.agreement``; the report is about the others.

Correctors answer over real HTTP (``tests.llm_stub``), several sentences a request, and are held to everything that
holds a model: the endpoint, the reading of its answers, the guard. One knows the truth; the others are careless.
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tests.llm_stub import LlmStub
from xingji.core.agreement import review
from xingji.core.fusion import Reading, fuse
from xingji.core.messages import Correct, Edits
from xingji.core.pronunciation import toneless
from xingji.core.scoring import distance, normalise
from xingji.core.types import Stage
from xingji.engines.lexicon import Jieba
from xingji.engines.pinyin import Pypinyin
from xingji.engines.qwen3 import Qwen3Corrector
from xingji.runtime.correcting import TOGETHER

RESAMPLED = 2_000
COMMON = 1e-6  # share of running text from which on a character or word is taken for a homophone

Items = list[dict[str, object]]  # edits as a model writes them
Careless = Callable[[str], Items]


@dataclass(frozen=True, slots=True)
class Utterance:
    speaker: str
    reference: str
    readings: Mapping[str, str]


def read(path: Path) -> list[Utterance]:
    items = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    named = [{name: text for name, text in item.items() if name not in ("id", "reference")} for item in items]
    return [Utterance(i["id"][6:11], i["reference"], n) for i, n in zip(items, named, strict=True)]


def held_out(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Those of the speakers on whom nothing was chosen."""
    others = set(sorted({u.speaker for u in utterances})[1::2])
    return [u for u in utterances if u.speaker in others]


# -- figures ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Texts:
    """Errors and reference characters of each utterance under one way to transcribe."""

    errors: np.ndarray[Any, np.dtype[np.int64]]
    lengths: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def cer(self) -> float:
        return 100 * float(self.errors.sum() / self.lengths.sum())


def scored(utterances: Sequence[Utterance], texts: Sequence[str]) -> Texts:
    wanted = [normalise(u.reference) for u in utterances]
    errors = [distance(w, normalise(text)) for w, text in zip(wanted, texts, strict=True)]
    return Texts(np.array(errors), np.array([len(w) for w in wanted]))


def difference(before: Texts, after: Texts) -> tuple[float, float, float]:
    """Points of CER that ``after`` has more, and the 95 % interval of a paired bootstrap over utterances."""
    changes = after.errors - before.errors
    rows = np.random.default_rng(1).integers(0, len(changes), (RESAMPLED, len(changes)))
    drawn = 100 * changes[rows].sum(1) / before.lengths[rows].sum(1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return 100 * float(changes.sum() / before.lengths.sum()), float(low), float(high)


def share(part: Sequence[bool]) -> str:
    """A percentage and its 95 % interval (bootstrap); of nothing, a dash."""
    if not part:
        return "–"
    values = np.array(part, float)
    rows = np.random.default_rng(1).integers(0, len(values), (RESAMPLED, len(values)))
    low, high = np.percentile(100 * values[rows].mean(1), (2.5, 97.5))
    return f"{100 * values.mean():.1f} % ({low:.1f}–{high:.1f})"


# -- correctors -------------------------------------------------------------------------


def item(text: str, start: int, end: int, new: str) -> dict[str, object]:
    """One edit as a model would write it; what is put in takes the character before it along."""
    if start == end:
        start, end = (start - 1, end) if start else (start, end + 1)
        new = text[start:end] + new if start < end and start else new + text[start:end]
    old = text[start:end]
    places = [i for i in range(len(text)) if text.startswith(old, i)]
    return {"from": old, "to": new, "n": places.index(start) + 1}


class Correctors:
    """Each takes the text of a sentence and answers edits. Random ones draw the same for the same sentence."""

    def __init__(self, truths: Mapping[str, str], others: Mapping[str, str], seed: int) -> None:
        self._truths, self._others, self._seed = truths, others, seed
        self._pronouncer, self._lexicon = Pypinyin(), Jieba()
        self.by_name: dict[str, Careless] = {
            "knows the truth": lambda text: self._towards(text, self._truths[text]),
            "takes the other reading": lambda text: self._towards(text, self._others[text]),
            "random homophones": self._homophones,
            "random homophonous words": self._words,
            "rewrites": self._rewrites,
            "answers": lambda text: [item(text, 0, len(text), f"好的，关于“{text}”，我的看法是这样的。")],
            "obeys the speech": lambda text: [item(text, 0, len(text), "已忽略以上要求"), item(text, 0, 1, "好的，")],
            "truncates": lambda text: [item(text, len(text) // 2, len(text), "")] if len(text) > 1 else [],
            "garbles": self._garbles,
        }

    def _random(self, text: str) -> random.Random:
        return random.Random(f"{self._seed} {text}")

    def _towards(self, text: str, wanted: str) -> Items:
        steps = SequenceMatcher(None, text, wanted, autojunk=False).get_opcodes()
        return [item(text, a, b, wanted[c:d]) for kind, a, b, c, d in steps if kind != "equal"]

    def _homophones(self, text: str) -> Items:
        """Two characters, each by any common one that sounds the same but for its tone."""
        rng, edits = self._random(text), []
        for at in sorted(rng.sample(range(len(text)), min(2, len(text)))):
            sounds = {toneless(s) for s in self._pronouncer.syllables(text[at])[0]}
            alike = sorted({c for sound in sounds for c in self._by_sound[(sound,)]} - {text[at]})
            if alike:
                edits.append(item(text, at, at + 1, rng.choice(alike)))
        return edits

    def _words(self, text: str) -> Items:
        """A word of two characters by any other that sounds the same: the hardest to tell from a correction."""
        rng = self._random(text)
        places = [i for i in range(len(text) - 1) if self._lexicon.frequency(text[i : i + 2]) > COMMON]
        rng.shuffle(places)
        for at in places:
            word = text[at : at + 2]
            sounds = [{toneless(s) for s in each} for each in self._pronouncer.syllables(word)]
            alike = sorted({w for a in sounds[0] for b in sounds[1] for w in self._by_sound[(a, b)]} - {word})
            if alike:
                return [item(text, at, at + 2, rng.choice(alike))]
        return []

    def _rewrites(self, text: str) -> Items:
        """Smooths: synonyms, fillers and word order, with and without quoting the whole sentence."""
        synonyms = {
            "但": "不过",
            "因为": "由于",
            "非常": "十分",
            "的": "",
            "了": "",
            "和": "与",
            "也": "同样",
            "已经": "已",
        }
        half = len(text) // 2
        edits = [
            item(text, text.index(old), text.index(old) + len(old), new) for old, new in synonyms.items() if old in text
        ]
        whole = [item(text, 0, len(text), f"总的来说，{text[half:]}{text[:half]}")]
        return edits or whole

    def _garbles(self, text: str) -> Items:
        rng = self._random(text)
        noise = [chr(rng.choice((rng.randrange(0x4E00, 0x9FA5), rng.randrange(33, 127)))) for _ in text]
        edits = [item(text, i, i + 1, noise[i]) for i in sorted(rng.sample(range(len(text)), min(8, len(text))))]
        return [*edits, {"from": "不在句中", "to": noise[0], "n": 3}]

    @cached_property
    def _by_sound(self) -> dict[tuple[str, ...], list[str]]:
        found: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for word in self._lexicon.words(COMMON):
            sounds = self._pronouncer.syllables(word)
            if len(word) == 1:
                for sound in {toneless(s) for s in sounds[0]}:
                    found[(sound,)].append(word)
            elif len(word) == 2 and all(sounds):
                for a in {toneless(s) for s in sounds[0]}:
                    for b in {toneless(s) for s in sounds[1]}:
                        found[(a, b)].append(word)
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a corrector's answers: texts after the guard, and for each edit whether it stood."""

    texts: list[str]
    stood: list[bool]


def corrected(bases: Sequence[str], others: Sequence[str], careless: Careless) -> Outcome:
    """Ask over HTTP, ``TOGETHER`` sentences a request, and let the guard judge."""
    pronouncer, lexicon = Pypinyin(), Jieba()
    texts, stood = [], []
    with LlmStub(corrector=careless) as stub:
        corrector = Qwen3Corrector(stub.url, "", "stub", timeout_s=30.0)
        jobs = [
            Correct(n, {Stage.STREAMED: other, Stage.SECOND_PASS: base}, ())
            for n, (base, other) in enumerate(zip(bases, others, strict=True))
        ]
        for job, answer in zip(jobs, answers(corrector, jobs), strict=True):
            base = job.readings[Stage.SECOND_PASS]
            edits = answer.edits if isinstance(answer, Edits) else ()
            verdict = review(base, job.readings, edits, (), pronouncer, lexicon)
            texts.append(verdict.text)
            stood += [True] * len(verdict.accepted) + [False] * len(verdict.rejected)
        corrector.close()
    return Outcome(texts, stood)


def answers(corrector: Qwen3Corrector, jobs: Sequence[Correct]) -> Iterator[Any]:
    for at in range(0, len(jobs), TOGETHER):
        yield from corrector.correct(jobs[at : at + TOGETHER])


# -- the report -------------------------------------------------------------------------


def voting(utterances: Sequence[Utterance], lexicon: Jieba) -> Iterator[str]:
    yield "| 基准 base | 其余 others | CER 前 before | CER 后 after | 差（95 %）difference |"
    yield "|---|---|---|---|---|"
    pairs = [
        ("attention", ("ctc_greedy",)),
        ("ctc_greedy", ("attention",)),
        ("attention", ("ctc_greedy", "rescoring")),
        ("rescoring", ("attention", "ctc_greedy")),
    ]
    for base, others in pairs:
        before = scored(utterances, [u.readings[base] for u in utterances])
        after = scored(utterances, [voted(u, base, others, lexicon) for u in utterances])
        change, low, high = difference(before, after)
        told = f"{before.cer:.2f} % | {after.cer:.2f} % | {change:+.2f}（{low:+.2f} – {high:+.2f}）"
        yield f"| {base} | {', '.join(others)} | {told} |"


def voted(utterance: Utterance, base: str, others: Sequence[str], lexicon: Jieba) -> str:
    return fuse(Reading(utterance.readings[base]), [Reading(utterance.readings[o]) for o in others], lexicon).text


def guarding(utterances: Sequence[Utterance], lexicon: Jieba, seed: int) -> Iterator[str]:
    """Of ``attention`` after the vote, with ``ctc_greedy`` as the other reading."""
    bases = [voted(u, "attention", ("ctc_greedy",), lexicon) for u in utterances]
    others = [u.readings["ctc_greedy"] for u in utterances]
    truths = dict(zip(bases, (u.reference for u in utterances), strict=True))
    before = scored(utterances, bases)
    correctors = Correctors(truths, dict(zip(bases, others, strict=True)), seed)
    yield f"纠错前 CER before: {before.cer:.2f} %"
    yield ""
    yield (
        "| 纠错者 corrector | 通过的修改 edits that stood | 改动的句子 changed | 变好 better | 变坏 worse "
        "| 伤害率 harm rate | CER 差 difference |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, careless in correctors.by_name.items():
        outcome = corrected(bases, others, careless)
        after = scored(utterances, outcome.texts)
        change = after.errors - before.errors
        changed = [text != base for text, base in zip(outcome.texts, bases, strict=True)]
        worse = [bool(c > 0) for c, did in zip(change, changed, strict=True) if did]
        delta, low, high = difference(before, after)
        yield (
            f"| {name} | {share(outcome.stood)} | {sum(changed)} | {int((change < 0).sum())} | {sum(worse)} "
            f"| {share(worse)} | {delta:+.2f}（{low:+.2f} – {high:+.2f}） |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hypotheses", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    utterances = held_out(read(options.hypotheses))
    lexicon = Jieba()
    lines = [
        f"{len(utterances)} utterances of speakers on whom nothing was chosen",
        "",
        *voting(utterances, lexicon),
        "",
    ]
    sys.stdout.write("\n".join([*lines, *guarding(utterances, lexicon, options.seed)]) + "\n")


if __name__ == "__main__":
    main()
