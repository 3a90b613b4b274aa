"""Which recogniser is asked for which segment, and when.

* The streaming recogniser sees a fixed grid of chunks, from the end of a hop before the onset as far as the detector
  has *cleared* the audio hop by hop; a pause that turns out to be the end is not cleared.
* The second pass sees exactly ``[onset, endpoint)``. It may begin in a pause, before the endpoint is decided; if
  speech goes on, what it gave is thrown away.
* Where nobody streams, the second pass is also asked about what has been said so far; see ``preview``.
* The corrector is asked last, and shown what the others read.
"""

from collections.abc import Iterator, Mapping

from .messages import Correct, Decode, Job, Profile, SentenceReadings, Transcribe
from .segment import STEPS, Segment
from .segmenting import hold_back
from .tape import Tape
from .types import Sentence, Stage

AT_ONCE = 8  # second passes under way per recording: enough to fill the batches of two workers
CORRECTIONS_AT_ONCE = 8  # per recording: as many as go together in one request
EARLY = 0.3  # of the end silence: so long after a pause is known the second pass begins (0.5 s of silence in 0.8)

Settled = Mapping[int, tuple[Sentence, SentenceReadings]]


class Passes:
    def __init__(self, tape: Tape, live: Mapping[int, Segment], settled: Settled, profile: Profile) -> None:
        """``live``: the segments that are not settled, in order of their ids; the settled ones are context."""
        self._tape, self._live, self._settled = tape, live, settled
        self._chunk, self._longest = profile.chunk, profile.longest
        self._decoding: Decode | None = None
        self._previewing: Transcribe | None = None

    def decoded(self) -> None:
        """The streaming recogniser has answered and is free."""
        self._decoding = None

    def previewed(self) -> None:
        """The preview that was asked for has come."""
        self._previewing = None

    def ask(self, judged: int) -> Iterator[Job]:
        """Every job that has become possible; ``judged``: samples that the detector has answered for."""
        yield from self._decode()
        yield from self._transcribe(judged)
        yield from self._correct()
        yield from self._preview()

    def _decode(self) -> Iterator[Decode]:
        segment = next((s for s in self._live.values() if Stage.STREAMED in s.owed), None)
        if self._decoding is not None or segment is None:
            return
        begin = segment.anchor + segment.decoded
        if segment.decided is None:
            size = min((self._audible(segment) - begin) // self._chunk, STEPS) * self._chunk
            if size <= 0:
                return
            last = False
        else:
            size = segment.decided - begin
            last = size <= STEPS * self._chunk
            size = size if last else STEPS * self._chunk
        samples = self._tape.cut(begin, begin + size)
        how = last, self._chunk, segment.profile.punctuation
        self._decoding = Decode(segment.id, samples, segment.decoded, *how, begin, segment.needs(begin + size))
        segment.decoded += size
        yield self._decoding

    def _audible(self, segment: Segment) -> int:
        """How far one that is being spoken may be heard."""
        return min(segment.cleared, segment.start + self._longest - hold_back(self._longest))

    def _transcribe(self, judged: int) -> Iterator[Transcribe]:
        stage = Stage.SECOND_PASS
        under_way = sum(stage in s.asked for s in self._live.values())
        for segment in self._live.values():
            if under_way >= AT_ONCE:
                return
            end = _likely_end(segment, judged) if segment.end is None else segment.end
            if end is not None and stage in segment.owed and segment.transcribing is None:
                segment.asked.add(stage)
                under_way += 1
                segment.transcribing = self._second_pass(segment, end)
                yield segment.transcribing

    def _second_pass(self, segment: Segment, end: int, preview: bool = False) -> Transcribe:
        samples, profile = self._tape.cut(segment.start, end), segment.profile
        wanted = profile.language, profile.itn, profile.model, profile.bias
        tables = profile.hotwords.tables if profile.hotwords else ()
        return Transcribe(segment.id, samples, *wanted, segment.start, tables, preview)

    def _preview(self) -> Iterator[Transcribe]:
        """One at a time; what is said meanwhile goes into the next."""
        segment = next((s for s in self._live.values() if s.end is None and s.profile.preview), None)
        if segment is None or self._previewing is not None:
            return
        end = self._audible(segment)
        if segment.preview.due(end - segment.start):
            self._previewing = self._second_pass(segment, end, preview=True)
            yield self._previewing

    def _correct(self) -> Iterator[Correct]:
        """A segment of which nothing was read misses its correction."""
        stage = Stage.CORRECTED
        under_way = sum(stage in s.asked for s in self._live.values())
        for segment in self._live.values():
            if segment.end is None or segment.owed != {stage} or segment.asked or under_way >= CORRECTIONS_AT_ONCE:
                continue
            # A partial reading stops somewhere in the sentence: to a corrector its end would look deleted.
            readings = {s: r.text for s, r in segment.readings.items() if r.text and s > Stage.PARTIAL}
            if not readings:
                segment.miss(stage, "empty")
                continue
            if Stage.SECOND_PASS in readings and Stage.STREAMED in readings and segment.streamed:
                readings[Stage.STREAMED] = segment.streamed.text  # what was heard says more than what it became
            segment.asked.add(stage)
            under_way += 1
            hotwords = segment.profile.hotwords
            close = hotwords.close_to("\n".join(readings.values())) if hotwords else ()
            doubts = segment.doubts if Stage.SECOND_PASS in readings else ()
            yield Correct(segment.id, readings, self._context(segment), close, doubts)

    def _context(self, segment: Segment) -> tuple[str, ...]:
        """Text of the sentences just before this one, oldest first."""
        texts: list[str] = []
        for id in range(segment.id - 1, max(-1, segment.id - 1 - 3 * segment.profile.context), -1):
            if len(texts) == segment.profile.context:
                break
            if earlier := self._live.get(id):
                text = earlier.text
            else:
                text = self._settled[id][0].text if id in self._settled else ""
            if text:
                texts.append(text)
        return tuple(reversed(texts))


def _likely_end(segment: Segment, judged: int) -> int | None:
    """Where speech has paused, once for so long that it will hardly go on."""
    pause = segment.pause
    if pause is None or pause == segment.start:
        return None
    return pause if judged - pause >= segment.profile.end_silence * EARLY else None
