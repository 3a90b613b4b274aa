"""What hotwords would do to a recording, before anybody relies on them: it is recognised with and without them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..audio import Limits
from ..core.messages import Completed
from ..core.scoring import cer, normalise
from ..core.types import HotwordHit, Stage
from ..wire import Wishes
from .hub import Hub
from .upload import transcribe


@dataclass(frozen=True, slots=True)
class Texts:
    streamed: str
    second_pass: str


@dataclass(frozen=True, slots=True)
class Trial:
    """``hits``: with the number of their sentence, in order, each stage's own. What needs a truth is None without."""

    with_words: Texts
    without: Texts
    hits: tuple[tuple[int, HotwordHit], ...]
    false_alarms: tuple[str, ...] | None  # words that were put where the truth has none
    missed: tuple[str, ...] | None  # words of the truth that the last text lacks
    cer: tuple[float, float] | None  # with and without

    @property
    def acted(self) -> tuple[str, ...]:
        """Words that changed something."""
        return tuple(dict.fromkeys(hit.word for _, hit in self.hits if hit.replaced != hit.word))


def dry_run(hub: Hub, path: Path, wishes: Wishes, words: tuple[str, ...], truth: str, limits: Limits) -> Trial:
    """``wishes`` bring the words; ``words`` are their texts. The server's own table takes no part. Blocks.

    Raises XingjiError: what ``transcribe`` raises.
    """
    alone = replace(wishes, server_hotwords=False, stream=True, llm=False)
    done = transcribe(hub, path, alone, limits)
    after = _texts(done)
    before = _texts(transcribe(hub, path, replace(alone, hotwords=(), hotword_table=None), limits))
    trial = Trial(after, before, tuple(_hits(done)), None, None, None)
    if not truth:
        return trial
    said, got = normalise(truth), normalise(after.second_pass)
    return replace(
        trial,
        false_alarms=tuple(word for word in trial.acted if normalise(word) not in said),
        missed=tuple(word for word in words if normalise(word) in said and normalise(word) not in got),
        cer=(cer([(truth, after.second_pass)]), cer([(truth, before.second_pass)])),
    )


def _hits(done: Completed) -> Iterator[tuple[int, HotwordHit]]:
    for sentence, readings in zip(done.sentences, done.readings, strict=True):
        yield from ((sentence.id, hit) for hits in readings.hits.values() for hit in hits)


def _texts(done: Completed) -> Texts:
    """What people would have seen last of each pass; a sentence without a second pass keeps its streamed text."""
    streamed = [r.readings.get(Stage.STREAMED, "") for r in done.readings]
    return Texts("".join(streamed), "".join(sentence.text for sentence in done.sentences))
