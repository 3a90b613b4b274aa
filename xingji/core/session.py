"""One recording, as a pure state machine.

Facts come in through ``handle()`` and ``resolve()``; both answer with effects, in order: events
for the client and jobs for the engines. No socket, thread, clock or model is known here.

Every input changes facts, then ``_pump()`` asks which jobs have become possible. Nothing is
scheduled from anywhere else, so any interleaving of results is legal. Three rules keep the
settled text independent of packet size and timing:

* the detector sees a fixed grid of hops from the recording's start (or the last commit);
* the streaming recogniser sees a fixed grid of chunks from the onset to the place where the
  endpoint was *decided*, which the detector alone determines; it never runs past the detector;
* the second pass sees exactly ``[onset, endpoint)``.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from .agreement import review
from .messages import (
    Audio,
    Command,
    Commit,
    Completed,
    Configure,
    Correct,
    Decode,
    Detect,
    Edge,
    Edits,
    Effect,
    Forgotten,
    Hurry,
    Job,
    Lost,
    NoSpeech,
    Profile,
    Result,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Transcribe,
)
from .pronunciation import Pronouncer
from .tape import Tape
from .types import SAMPLE_RATE, HotwordHit, Hypothesis, RejectedEdit, Samples, Sentence, Span, Stage

PREROLL = 2 * SAMPLE_RATE  # what a restarted detector hears again when nobody was speaking
STEPS = 25  # hops (or chunks) that one job may carry: long enough to catch up, short enough to be fair
AT_ONCE = 4  # second passes (or corrections) under way per recording
RETRIES = 3  # times that one stream is given again from its start before it counts as lost


class ProtocolError(Exception):
    """A command after Stop. Whoever drives the session must not let it come to this."""


@dataclass(slots=True)
class _Segment:
    id: int
    start: int
    profile: Profile
    owed: set[Stage]
    end: int | None = None  # None while speech goes on
    decided: int | None = None  # where the endpoint was decided; the decoder goes on to here
    decoded: int = 0  # samples already given to the streaming recogniser
    shown: int = 0  # samples whose streaming text the client has seen; a replay stays silent up to here
    replays: int = 0
    asked: set[Stage] = field(default_factory=set)
    readings: dict[Stage, Hypothesis] = field(default_factory=dict)
    lost: dict[Stage, str] = field(default_factory=dict)
    rejected: tuple[RejectedEdit, ...] = ()
    silent: bool = False  # the second pass says that nobody spoke here
    revision: int = 0
    told: tuple[Stage, str] = (Stage.PARTIAL, "")  # the last revision sent

    @property
    def best(self) -> Stage:
        return max(self.readings, default=Stage.PARTIAL)


class Session:
    def __init__(self, profile: Profile, pronouncer: Pronouncer) -> None:
        self._profile = profile
        self._pronouncer = pronouncer
        self._hop, self._chunk, self._longest = profile.hop, profile.chunk, profile.longest
        self.stopped = self.completed = False
        self._hurried = False
        self._tape = Tape()
        self._flushes: deque[int] = deque()  # samples where the client ended the sentence
        self._heard = 0  # samples the detector has been given
        self._judged = 0  # samples the detector has answered for; never falls
        self._fresh = True  # the next Detect begins with a new state
        self._restarts = 0
        self._detecting: Detect | None = None
        self._decoding: Decode | None = None
        self._last_end = 0  # end of the newest closed segment
        self._live: dict[int, _Segment] = {}  # in order of their ids
        self._next_id = 0
        self._settled: dict[int, tuple[Sentence, SentenceReadings]] = {}
        self._out: list[Effect] = []

    # -- inputs ---------------------------------------------------------------

    def handle(self, command: Command) -> list[Effect]:
        """What the client (or its driver) wants. Raises ProtocolError after Stop, except for Hurry."""
        if self.stopped and not isinstance(command, Hurry):
            raise ProtocolError(f"{type(command).__name__} after Stop")
        match command:
            case Audio(samples):
                self._tape.append(samples)
            case Commit():
                self._flushes.append(self._tape.end)
            case Configure(profile):
                self._profile = profile
            case Stop():
                self.stopped = True
                self._flushes.append(self._tape.end)
            case Hurry():
                self._hurried = True
                for segment in list(self._live.values()):
                    self._miss(segment, Stage.CORRECTED, "timeout")
        return self._pump()

    def resolve(self, job: Job, result: Result) -> list[Effect]:
        """What an engine answered to a job of this session; each job is answered exactly once."""
        match job:
            case Detect():
                self._detecting = None
                self._resolve_detect(job, result)
            case Decode():
                self._decoding = None
                if segment := self._live.get(job.segment):
                    self._resolve_decode(segment, job, result)
            case Transcribe():
                if segment := self._live.get(job.segment):
                    segment.asked.discard(Stage.SECOND_PASS)
                    self._resolve_transcribe(segment, result)
            case Correct():
                if segment := self._live.get(job.segment):
                    segment.asked.discard(Stage.CORRECTED)
                    self._resolve_correct(segment, job, result)
        return self._pump()

    # -- what the outside may ask -----------------------------------------------

    @property
    def received(self) -> int:
        return self._tape.end

    @property
    def judged(self) -> int:
        return self._judged

    @property
    def done(self) -> int:
        """Everything before this sample is settled or known to be silence."""
        return min([self._judged, *(s.start for s in self._live.values())])

    @property
    def backlog(self) -> int:
        """Samples that were received but that some pass has yet to be given."""
        marks = [self._judged]
        for segment in self._live.values():
            if Stage.STREAMED in segment.owed:
                marks.append(segment.start + segment.decoded)
            if segment.end is not None and Stage.SECOND_PASS in segment.owed - segment.asked:
                marks.append(segment.start)
        return self._tape.end - min(marks)

    @property
    def awaits_only_corrections(self) -> bool:
        return (
            self.stopped
            and bool(self._live)
            and self._detecting is None
            and not self._flushes
            and all(s.end is not None and s.owed == {Stage.CORRECTED} for s in self._live.values())
        )

    # -- the detector's answers ---------------------------------------------------

    def _resolve_detect(self, job: Detect, result: Result) -> None:
        end = job.offset + len(job.samples)
        if isinstance(result, Forgotten) and self._restarts < RETRIES:
            self._restarts += 1
            opened = self._open()
            self._heard = opened.start if opened else max(self._last_end, self._judged - PREROLL, self._tape.start)
            self._fresh = True
            if job.flush:
                self._flushes.appendleft(end)
            return
        if isinstance(result, tuple):
            edges = deque(result)
            self._restarts = 0
        else:
            # A lost detector fails open: better to transcribe silence than to lose speech.
            edges = deque((Edge("onset", job.offset, end),))
            self._fresh = True
        # Hop by hop, so that cutting long speech does not depend on how many hops one job carries.
        step = job.offset
        while step < end:
            step = min(step + self._hop, end)
            self._judged = max(self._judged, step)
            while edges and edges[0].decided <= step:
                self._cross(edges.popleft())
            self._cut_long_speech()
        for edge in edges:
            self._cross(edge)
        if job.flush:
            self._fresh = True
            if opened := self._open():
                self._close(opened, end, end)

    def _open(self) -> _Segment | None:
        """The segment that is being spoken; it is always the newest."""
        return next((s for s in reversed(self._live.values()) if s.end is None), None)

    def _cross(self, edge: Edge) -> None:
        opened = self._open()
        if edge.kind == "onset" and opened is None:
            self._begin(min(max(edge.at, self._last_end), self._judged))
        elif edge.kind == "endpoint" and opened is not None:
            self._close(opened, min(max(edge.at, opened.start), self._judged), self._judged)

    def _begin(self, start: int) -> None:
        profile = self._profile
        wanted = {
            Stage.STREAMED: profile.stream,
            Stage.SECOND_PASS: profile.second_pass,
            Stage.CORRECTED: profile.correct,
        }
        segment = _Segment(self._next_id, start, profile, {stage for stage, on in wanted.items() if on})
        self._next_id += 1
        self._live[segment.id] = segment
        self._out.append(SpeechStarted(segment.id, start))
        if self._hurried:
            self._miss(segment, Stage.CORRECTED, "timeout")

    def _close(self, segment: _Segment, end: int, decided: int) -> None:
        segment.end, segment.decided = end, decided
        self._last_end = end
        self._out.append(SpeechEnded(segment.id, Span(segment.start, end)))
        self._settle(segment)

    def _cut_long_speech(self) -> None:
        opened = self._open()
        if opened is None or self._judged - opened.start < self._longest:
            return
        cut = self._quietest(opened.start + self._longest - self._hold_back, opened.start + self._longest)
        self._close(opened, cut, cut)
        self._begin(cut)

    @property
    def _hold_back(self) -> int:
        """Where long speech may be cut: the decoder stays out until the cut is known."""
        return min(2 * SAMPLE_RATE, self._longest // 4)

    def _quietest(self, start: int, end: int) -> int:
        """Middle of the quietest 100 ms in ``[start, end)``, on a 10 ms grid."""
        window, step = SAMPLE_RATE // 10, SAMPLE_RATE // 100
        power = np.square(self._tape.cut(start, end).astype(np.int64))
        total = np.concatenate([[0], np.cumsum(power)])
        if len(power) <= window:
            return start + len(power) // 2
        energy = total[window::step] - total[:-window:step]
        return start + int(np.argmin(energy)) * step + window // 2

    # -- the recognisers' answers ---------------------------------------------------

    def _resolve_decode(self, segment: _Segment, job: Decode, result: Result) -> None:
        end = job.offset + len(job.samples)
        match result:
            case Forgotten() if segment.replays < RETRIES:
                segment.replays += 1
                segment.decoded = 0
            case Hypothesis():
                if job.last:
                    segment.owed.discard(Stage.STREAMED)
                    self._read(segment, Stage.STREAMED, result)
                elif end > segment.shown:
                    segment.shown = end
                    self._read(segment, Stage.PARTIAL, result)
            case _:
                self._miss(segment, Stage.STREAMED, _reason(result))

    def _resolve_transcribe(self, segment: _Segment, result: Result) -> None:
        match result:
            case NoSpeech():
                segment.silent = True
                segment.owed.clear()
                self._settle(segment)
            case Hypothesis(text) if text:
                segment.owed.discard(Stage.SECOND_PASS)
                self._read(segment, Stage.SECOND_PASS, self._mend(segment, result))
            case Hypothesis():
                self._miss(segment, Stage.SECOND_PASS, "empty")
            case _:
                self._miss(segment, Stage.SECOND_PASS, _reason(result))

    def _mend(self, segment: _Segment, heard: Hypothesis) -> Hypothesis:
        """Put hotwords where the second pass wrote something that sounds the same."""
        if segment.profile.hotwords is None:
            return heard
        text, hits = segment.profile.hotwords.mend(heard.text, Stage.SECOND_PASS)
        return Hypothesis(text, heard.bare, heard.stable, heard.language, heard.words, hits)

    def _resolve_correct(self, segment: _Segment, job: Correct, result: Result) -> None:
        if not isinstance(result, Edits) or Stage.CORRECTED not in segment.owed:
            self._miss(segment, Stage.CORRECTED, _reason(result))
            return
        base = segment.readings[segment.best]
        verdict = review(base.text, job.readings, result.edits, job.hotwords, self._pronouncer)
        segment.rejected = verdict.rejected
        segment.owed.discard(Stage.CORRECTED)
        hits = base.hotword_hits + _hotwords_put_in(base.text, verdict.text, job.hotwords)
        self._read(segment, Stage.CORRECTED, Hypothesis(verdict.text, language=base.language, hotword_hits=hits))

    def _miss(self, segment: _Segment, stage: Stage, reason: str) -> None:
        """This pass will give nothing; what is there already stands."""
        if stage in segment.owed:
            segment.owed.discard(stage)
            segment.lost[stage] = reason
            self._settle(segment)

    def _read(self, segment: _Segment, stage: Stage, reading: Hypothesis) -> None:
        # A late reading of a lower stage is kept as a reading but never shown.
        shows = stage >= segment.best
        segment.readings[stage] = reading
        if shows and (stage, reading.text) != segment.told and (reading.text or segment.told[1]):
            segment.told = (stage, reading.text)
            segment.revision += 1
            self._out.append(SentenceRevised(self._sentence(segment)))
        self._settle(segment)

    def _settle(self, segment: _Segment) -> None:
        if segment.end is None or segment.owed or segment.id not in self._live:
            return
        del self._live[segment.id]
        sentence = self._sentence(segment)
        answered = Stage.STREAMED not in segment.lost and segment.lost.get(Stage.SECOND_PASS, "empty") == "empty"
        if segment.silent or (answered and not sentence.text):  # everybody who was asked heard nothing
            self._out.append(SentenceDropped(segment.id, Span(segment.start, segment.end)))
            return
        readings = SentenceReadings(
            {stage: reading.text for stage, reading in sorted(segment.readings.items())},
            segment.rejected,
            tuple(sorted(segment.lost.items())),
        )
        self._settled[segment.id] = (sentence, readings)
        self._out.append(SentenceSettled(sentence))

    def _sentence(self, segment: _Segment) -> Sentence:
        reading = segment.readings.get(segment.best, Hypothesis(""))
        return Sentence(
            segment.id, segment.start, segment.end, segment.best, segment.revision,
            reading.text, reading.stable, reading.language, reading.words, reading.hotword_hits,
            tuple(sorted(segment.lost)),
        )  # fmt: skip

    # -- what has become possible -----------------------------------------------------

    def _pump(self) -> list[Effect]:
        self._pump_detector()
        self._pump_decoder()
        self._pump_second_pass()
        self._pump_corrector()
        self._forget()
        if self.stopped and not (self.completed or self._detecting or self._flushes or self._live):
            self.completed = True
            self._out.append(self._summary())
        out, self._out = self._out, []
        return out

    def _pump_detector(self) -> None:
        while self._detecting is None:
            flush_at = self._flushes[0] if self._flushes else None
            waiting = (self._tape.end if flush_at is None else flush_at) - self._heard
            flush = flush_at is not None and waiting <= STEPS * self._hop
            if flush:
                self._flushes.popleft()
                if waiting == 0 and self._fresh:
                    continue  # nothing was said since the last flush
            else:
                waiting = min(waiting // self._hop, STEPS) * self._hop
                if waiting == 0:
                    return
            samples = self._tape.cut(self._heard, self._heard + waiting)
            silence = self._profile.end_silence
            self._detecting = Detect(samples, self._heard, self._fresh, flush, silence, self._hop)
            self._heard += waiting
            self._fresh = False
            self._out.append(self._detecting)

    def _pump_decoder(self) -> None:
        segment = next((s for s in self._live.values() if Stage.STREAMED in s.owed), None)
        if self._decoding is not None or segment is None:
            return
        begin = segment.start + segment.decoded
        if segment.decided is None:
            # Strictly more must be known to follow, so that the last chunk is never empty.
            limit = min(self._judged, segment.start + self._longest - self._hold_back)
            size = min((limit - begin - 1) // self._chunk, STEPS) * self._chunk
            if size <= 0:
                return
            last = False
        else:
            size = segment.decided - begin
            last = size <= STEPS * self._chunk
            size = size if last else STEPS * self._chunk
        samples = self._tape.cut(begin, begin + size)
        self._decoding = Decode(segment.id, samples, segment.decoded, last, self._chunk, segment.profile.punctuation)
        segment.decoded += size
        self._out.append(self._decoding)

    def _pump_second_pass(self) -> None:
        stage = Stage.SECOND_PASS
        under_way = sum(stage in s.asked for s in self._live.values())
        for segment in self._live.values():
            if under_way >= AT_ONCE:
                return
            if segment.end is not None and stage in segment.owed - segment.asked:
                segment.asked.add(stage)
                under_way += 1
                samples = self._tape.cut(segment.start, segment.end)
                profile = segment.profile
                self._out.append(Transcribe(segment.id, samples, profile.language, profile.itn))

    def _pump_corrector(self) -> None:
        stage = Stage.CORRECTED
        under_way = sum(stage in s.asked for s in self._live.values())
        for segment in list(self._live.values()):
            if segment.end is None or segment.owed != {stage} or segment.asked or under_way >= AT_ONCE:
                continue
            if not segment.readings.get(segment.best, Hypothesis("")).text:
                self._miss(segment, stage, "empty")
                continue
            segment.asked.add(stage)
            under_way += 1
            readings = {s: r.text for s, r in segment.readings.items() if r.text}
            hotwords = segment.profile.hotwords
            close = hotwords.close_to(readings[segment.best]) if hotwords else ()
            self._out.append(Correct(segment.id, readings, self._context(segment), close))

    def _context(self, segment: _Segment) -> tuple[str, ...]:
        """Text of the sentences just before this one, oldest first."""
        texts: list[str] = []
        for id in range(segment.id - 1, max(-1, segment.id - 1 - 3 * segment.profile.context), -1):
            if len(texts) == segment.profile.context:
                break
            if earlier := self._live.get(id):
                text = earlier.readings.get(earlier.best, Hypothesis("")).text
            else:
                text = self._settled[id][0].text if id in self._settled else ""
            if text:
                texts.append(text)
        return tuple(reversed(texts))

    def _forget(self) -> None:
        needed = [self._heard, self._judged - PREROLL]
        for segment in self._live.values():
            wanted = Stage.STREAMED in segment.owed or Stage.SECOND_PASS in segment.owed - segment.asked
            if segment.end is None or wanted:
                needed.append(segment.start)
        self._tape.forget(min(needed))

    def _summary(self) -> Completed:
        kept = [self._settled[id] for id in sorted(self._settled)]
        silent, at = [], 0
        for sentence, _ in kept:
            assert sentence.end is not None
            if sentence.start > at:
                silent.append(Span(at, sentence.start))
            at = sentence.end
        if self._tape.end > at:
            silent.append(Span(at, self._tape.end))
        return Completed(
            tuple(sentence for sentence, _ in kept),
            tuple(readings for _, readings in kept),
            tuple(silent),
            self._tape.end,
        )


def _reason(result: Result) -> str:
    match result:
        case Lost(reason):
            return reason
        case Forgotten():
            return "forgotten"
        case _:
            return "unexpected"


def _hotwords_put_in(before: str, after: str, hotwords: tuple[str, ...]) -> tuple[HotwordHit, ...]:
    """Hotwords that are in the corrected text more often than before."""
    return tuple(
        HotwordHit(word, "", Stage.CORRECTED, 1.0) for word in hotwords if after.count(word) > before.count(word)
    )


__all__ = ["PREROLL", "ProtocolError", "Samples", "Session"]
