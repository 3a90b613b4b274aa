"""What hotwords that nobody said do to a transcript, and what they cost, as a Markdown table.

``python -m tools.quality.harmless HYPOTHESES.jsonl``. The tables are words of the lexicon, drawn at random, that occur
in no reference: whatever they change is wrong. Each is tried on the reading ``attention`` as it is recognised, by sound
alone and with the words weighed (``core.hotwords``).
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.quality.correctors import Texts, Utterance, difference, read, scored
from xingji.core.hotwords import HotwordIndex
from xingji.core.spelling import Spelling
from xingji.core.types import Hotword, Hypothesis, Stage
from xingji.engines.lexicon import Jieba
from xingji.engines.pinyin import Pypinyin

SIZES = (100, 1_000, 10_000, 50_000)
STEP = 3  # characters that the streamed text grows at a time


def unsaid(utterances: Sequence[Utterance], lexicon: Jieba, count: int, seed: int) -> list[Hotword]:
    said = "\n".join(u.reference for u in utterances)
    words = sorted(w for w in lexicon.words(0.0) if len(w) >= 2 and all("一" <= c <= "龥" for c in w))
    random.Random(seed).shuffle(words)
    fresh = (word for word in words if word not in said)
    return [Hotword(word) for word, _ in zip(fresh, range(count), strict=False)]


def mended(texts: Sequence[str], index: HotwordIndex) -> tuple[list[str], float]:
    """Texts after mending, and CPU milliseconds per sentence."""
    begun = time.process_time()
    result = [index.mend(text, Stage.SECOND_PASS)[0] for text in texts]
    return result, 1000 * (time.process_time() - begun) / len(texts)


def first_pass(texts: Sequence[str], index: HotwordIndex) -> float:
    """CPU milliseconds per sentence, all its steps together."""
    begun = time.process_time()
    for text in texts:
        spelling = Spelling(index)
        for end in range(STEP, len(text), STEP):
            spelling.write(Hypothesis(text[:end], stable=end), Stage.PARTIAL)
        spelling.write(Hypothesis(text), Stage.STREAMED)
    return 1000 * (time.process_time() - begun) / len(texts)


def shown(texts: Sequence[str], index: HotwordIndex) -> tuple[float, float]:
    """Words shown to a corrector per sentence, and CPU milliseconds."""
    begun = time.process_time()
    counts = [len(index.close_to(text)) for text in texts]
    return sum(counts) / len(texts), 1000 * (time.process_time() - begun) / len(texts)


def rows(utterances: Sequence[Utterance], seed: int) -> Iterator[str]:
    pronouncer, lexicon = Pypinyin(), Jieba()
    texts = [u.readings["attention"] for u in utterances]
    before: Texts = scored(utterances, texts)
    table = unsaid(utterances, lexicon, max(SIZES), seed)
    yield f"{len(texts)} sentences, {int(before.errors.sum())} errors, CER {before.cer:.2f} %"
    yield ""
    yield (
        "| 词数 words | 只凭读音 by sound: new errors | 加上词频 weighed: new errors | CER 差 difference "
        "| 复检 second pass, ms | 首遍 first pass, ms | 给 LLM shown to the LLM | ms |"
    )
    yield "|--:|--:|--:|---|--:|--:|--:|--:|"
    for size in SIZES:
        words = table[:size]
        plain, _ = mended(texts, HotwordIndex(words, pronouncer))
        index = HotwordIndex(words, pronouncer, lexicon)
        weighed, ms = mended(texts, index)
        by_sound, after = scored(utterances, plain), scored(utterances, weighed)
        new = [int(t.errors.sum() - before.errors.sum()) for t in (by_sound, after)]
        change, low, high = difference(before, after)
        hints, hints_ms = shown(texts, index)
        yield (
            f"| {size} | {new[0]} | {new[1]} | {change:+.3f}（{low:+.3f} – {high:+.3f}） | {ms:.2f} "
            f"| {first_pass(texts, index):.2f} | {hints:.2f} | {hints_ms:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hypotheses", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for row in rows(read(options.hypotheses), options.seed):
        sys.stdout.write(row + "\n")


if __name__ == "__main__":
    main()
