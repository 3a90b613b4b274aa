"""What recognisers' answers become: readings of a segment, with hotwords put in, after votes and corrections.

Every method takes a segment and what was answered about it (of recognisers: if it is ``Segment.believed``), and says
whether that makes a new revision.
"""

from dataclasses import replace

from .agreement import review
from .fusion import Reading, confidences, fuse
from .lexicon import Lexicon
from .messages import Correct, Decode, Edits, Forgotten, Lost, NoSpeech, Result
from .pronunciation import Pronouncer
from .segment import RETRIES, Segment
from .spelling import Spelling
from .timing import reworded
from .types import HotwordHit, Hypothesis, Stage


class Readings:
    def __init__(self, pronouncer: Pronouncer, lexicon: Lexicon | None = None) -> None:
        """Without a ``lexicon`` readings are not put to the vote, and corrections are judged by their sound alone."""
        self._pronouncer, self._lexicon = pronouncer, lexicon

    def streamed(self, segment: Segment, job: Decode, result: Result) -> bool:
        end = job.offset + len(job.samples)
        match result:
            case Forgotten() if segment.replays < RETRIES:
                segment.replays += 1
                segment.decoded = 0
            case Hypothesis():
                segment.streamed = result
                if job.last and segment.heard is not None:
                    segment.read(Stage.STREAMED, _spelled(segment, result, Stage.STREAMED))  # only to vote
                    return segment.read(Stage.SECOND_PASS, self._fused(segment, segment.heard))
                if job.last:
                    return segment.read(Stage.STREAMED, _spelled(segment, result, Stage.STREAMED))
                if end > segment.shown:
                    segment.shown = end
                    return segment.read(Stage.PARTIAL, _spelled(segment, result, Stage.PARTIAL))
            case _:
                segment.miss(Stage.STREAMED, _reason(result))
        return False

    def previewed(self, segment: Segment, result: Result) -> bool:
        """Nothing is missed where none came."""
        if segment.end is not None or not isinstance(result, Hypothesis) or not result.text:
            return False
        return segment.read(Stage.PARTIAL, _spelled(segment, segment.preview.read(result), Stage.PARTIAL))

    def transcribed(self, segment: Segment, result: Result) -> bool:
        match result:
            case NoSpeech():
                segment.silence()
            case Hypothesis(text) if text:
                segment.heard = result
                return segment.read(Stage.SECOND_PASS, self._fused(segment, result))
            case Hypothesis():
                segment.miss(Stage.SECOND_PASS, "empty")
            case _:
                segment.miss(Stage.SECOND_PASS, _reason(result))
        return False

    def corrected(self, segment: Segment, job: Correct, result: Result) -> bool:
        if not isinstance(result, Edits):
            segment.miss(Stage.CORRECTED, _reason(result))
            return False
        base = segment.readings[segment.best]
        verdict = review(
            base.text, job.readings, result.edits, job.hotwords, self._pronouncer, self._lexicon, job.doubts
        )
        segment.accepted, segment.rejected = verdict.accepted, verdict.rejected
        hits = base.hotword_hits + _hotwords_put_in(base.text, verdict.text, job.hotwords)
        corrected = replace(reworded(base, verdict.text), bare="", stable=0, hotword_hits=hits)
        return segment.read(Stage.CORRECTED, corrected)

    def _fused(self, segment: Segment, heard: Hypothesis) -> Hypothesis:
        """The second pass after a vote with the streamed reading, and with hotwords where something sounds the same.

        What comes of it is the same whichever of the two readings comes first.
        """
        streamed, text, hits = segment.streamed, heard.text, heard.hotword_hits
        if self._lexicon is not None:
            complete = streamed is not None and streamed.text and Stage.STREAMED in segment.readings
            others = [Reading(streamed.text, confidences(streamed))] if streamed and complete else []
            fused = fuse(Reading(text, confidences(heard)), others, self._lexicon)
            text, segment.votes, segment.doubts = fused.text, fused.votes, fused.doubts
        if segment.profile.hotwords is not None:
            mended, found = segment.profile.hotwords.mend(text, Stage.SECOND_PASS)
            if len(mended) != len(text):
                segment.doubts = ()
            text, hits = mended, _told_once(found, hits)
        return replace(reworded(heard, text), hotword_hits=hits)


def _spelled(segment: Segment, heard: Hypothesis, stage: Stage) -> Hypothesis:
    """The streamed reading with hotwords where it will not change any more."""
    if segment.profile.hotwords is None or not segment.profile.hotwords.longest:
        return heard
    if segment.spelling is None:
        segment.spelling = Spelling(segment.profile.hotwords)
    return segment.spelling.write(heard, stage)


def _reason(result: Result) -> str:
    match result:
        case Lost(reason):
            return reason
        case Forgotten():
            return "forgotten"
        case _:
            return "unexpected"


def _told_once(hits: tuple[HotwordHit, ...], spotted: tuple[HotwordHit, ...]) -> tuple[HotwordHit, ...]:
    """A word that the recogniser put in stands there as written when the text is searched: what it says counts."""
    known = list(spotted)
    told = []
    for hit in hits:
        own = next((other for other in known if other.word == hit.word == hit.replaced), hit)
        if own is not hit:
            known.remove(own)
        told.append(own)
    return tuple(told)


def _hotwords_put_in(before: str, after: str, hotwords: tuple[str, ...]) -> tuple[HotwordHit, ...]:
    """Hotwords that are in the corrected text more often than before."""
    return tuple(
        HotwordHit(word, "", Stage.CORRECTED, 1.0) for word in hotwords if after.count(word) > before.count(word)
    )
