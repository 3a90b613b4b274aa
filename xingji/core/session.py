"""One recording, as a pure state machine.

Facts come in through ``handle()`` and ``resolve()``; both answer with effects, in order: events
for the client and jobs for the engines. No socket, thread, clock or model is known here.

Every input changes facts, then ``_pump()`` asks which jobs have become possible. Nothing is
scheduled from anywhere else, so any interleaving of results is legal. Three rules keep the
settled text independent of packet size and timing:

* the detector sees a fixed grid of hops from the recording's start (or the last commit);
* the streaming recogniser sees a fixed grid of chunks from just before the onset as far as the detector
  has *cleared* the audio hop by hop; a pause that turns out to be the end is not cleared;
* the second pass sees exactly ``[onset, endpoint)``. It may begin in a pause, before the endpoint is
  decided; if speech goes on, what it gave is thrown away.
"""

from collections import deque
from dataclasses import replace

from .agreement import review
from .fusion import Reading, confidences, fuse
from .lexicon import Lexicon
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
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Transcribe,
)
from .pronunciation import Pronouncer
from .segment import Segment
from .spelling import Spelling
from .tape import Tape
from .timing import reworded
from .types import SAMPLE_RATE, HotwordHit, Hypothesis, Sentence, Span, Stage

PREROLL = 2 * SAMPLE_RATE  # a detector may place an onset this far back, and a restarted one hears it again
STEPS = 25  # hops (or chunks) that one job may carry: long enough to catch up, short enough to be fair
PASSES_AT_ONCE = 8  # second passes under way per recording: enough to fill the batches of two workers
CORRECTIONS_AT_ONCE = 8  # per recording: as many as go together in one request
EARLY = 0.3  # of the end silence: so long after a pause is known the second pass begins (0.5 s of silence in 0.8)
RETRIES = 3  # times that one stream is given again from its start before it counts as lost


class ProtocolError(Exception):
    """A command after Stop. Whoever drives the session must not let it come to this."""


class Session:
    def __init__(self, profile: Profile, pronouncer: Pronouncer, lexicon: Lexicon | None = None) -> None:
        """Without a ``lexicon`` readings are not put to the vote, and corrections are judged by their sound alone."""
        self._lexicon = lexicon
        self._profiles = deque([(0, profile)])  # with the sample from which each one counts
        self._pronouncer = pronouncer
        self._hop, self._chunk, self._longest = profile.hop, profile.chunk, profile.longest
        self.stopped = self.completed = False
        self._hurried = False
        self._tape = Tape()
        self._flushes: deque[int] = deque()  # samples where the client ended the sentence
        self._heard = 0  # samples the detector has been given
        self._judged = 0  # samples the detector has answered for; never falls
        self._fresh = True  # the next Detect begins with a new state
        self._deaf_since: int | None = None  # where the detector's state began, while it has heard no onset
        self._restarts = 0
        self._detecting: Detect | None = None
        self._decoding: Decode | None = None
        self._floor = 0  # no sentence can begin before this any more; never falls
        self._live: dict[int, Segment] = {}  # in order of their ids
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
                self._profiles.append((self._tape.end, profile))
            case Stop():
                self.stopped = True
                self._flushes.append(self._tape.end)
            case Hurry():  # pragma: no branch
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
                    self._resolve_decode(segment, job, segment.believed(job, result))
            case Transcribe():
                if (segment := self._live.get(job.segment)) and job is segment.transcribing:
                    segment.asked.discard(Stage.SECOND_PASS)
                    answer = segment.believed(job, result)
                    if segment.end is None:
                        segment.early = answer
                    else:
                        self._resolve_transcribe(segment, answer)
            case Correct():  # pragma: no branch
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
        """Everything before this sample is settled or known to be silence; never falls."""
        return min([self._floor, *(s.start for s in self._live.values())])

    @property
    def backlog(self) -> int:
        """Samples that were received but that some pass has yet to be given."""
        marks = [self._judged]
        for segment in self._live.values():
            if Stage.STREAMED in segment.owed:
                marks.append(segment.anchor + segment.decoded)
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
            self._heard = opened.start if opened else self._floor
            self._fresh = True
            if job.flush:
                self._flushes.appendleft(end)
            return
        if isinstance(result, tuple):
            self._restarts = 0
            if job.first:
                self._deaf_since = job.offset
            edges = deque(result)
        else:
            # A lost detector fails open, and from where it may have begun to hear something: better
            # to transcribe silence than to lose speech.
            self._fresh, self._deaf_since = True, None
            edges = deque([Edge("onset", self._floor, job.offset)])
        if (opened := self._open()) and (job.first or not isinstance(result, tuple)):
            opened.resume()  # this detector knows of no pause
        # Hop by hop, so that nothing depends on how many hops one job carries.
        for start in range(job.offset, end, self._hop):
            # Before the hop: a flush that ends here may come with its hop or after it.
            self._cut_long_speech()
            step = min(start + self._hop, end)
            self._judged = max(self._judged, step)
            if self._open() is None:
                self._floor = max(self._floor, step - PREROLL)
            while edges and edges[0].decided <= step:
                self._cross(edges.popleft())
            self._close_unheard_speech(step)
            if (opened := self._open()) and opened.pause is None:
                opened.cleared = max(opened.cleared, step)
        for edge in edges:
            self._cross(edge)
        if job.flush:
            self._flushed(end)

    def _flushed(self, at: int) -> None:
        """Nothing that begins before ``at`` goes on after it."""
        self._fresh = True
        if opened := self._open():
            self._close(opened, at, at)
        self._floor = at

    def _open(self) -> Segment | None:
        """The segment that is being spoken; it is always the newest."""
        return next((s for s in reversed(self._live.values()) if s.end is None), None)

    def _cross(self, edge: Edge) -> None:
        opened = self._open()
        if edge.kind == "onset":
            self._deaf_since = None
            if opened is None:
                at = min(max(edge.at, self._floor), self._judged)
                self._begin(max(at - self._profile(at).preroll, self._floor))
        elif opened is None:
            return
        elif edge.kind == "resume":
            opened.resume()
        else:
            at = min(max(edge.at, opened.start), self._judged)
            if edge.kind == "pause":
                opened.pause = at
                opened.cleared = max(opened.cleared, at)
            else:
                opened.certainty = edge.certainty
                self._close(opened, at, opened.cleared if at == opened.pause else self._judged)

    def _begin(self, start: int) -> None:
        profile = self._profile(start)
        wanted = {
            Stage.STREAMED: profile.stream,
            Stage.SECOND_PASS: profile.second_pass,
            Stage.CORRECTED: profile.correct,
        }
        anchor = max(self._floor, start - profile.lead)
        owed = {stage for stage, on in wanted.items() if on}
        segment = Segment(self._next_id, start, anchor, profile, owed, cleared=self._judged)
        self._next_id += 1
        self._live[segment.id] = segment
        self._out.append(SpeechStarted(segment.id, start))
        if self._hurried:
            self._miss(segment, Stage.CORRECTED, "timeout")

    def _profile(self, at: int) -> Profile:
        """What the client wanted when it sent this sample."""
        return next(profile for since, profile in reversed(self._profiles) if since <= at)

    def _close(self, segment: Segment, end: int, decided: int) -> None:
        segment.end, segment.decided = end, decided
        self._floor = end
        self._out.append(SpeechEnded(segment.id, Span(segment.start, end)))
        if end == segment.start:
            segment.silence()  # as after a cut behind the last word
        if early := segment.heard_early():
            self._resolve_transcribe(segment, early)
        else:
            self._settle(segment)

    def _close_unheard_speech(self, step: int) -> None:
        """End speech in which the detector began anew and has heard none since."""
        opened, since = self._open(), self._deaf_since
        if opened is not None and since is not None and step - since >= PREROLL:
            self._close(opened, self._judged, self._judged)

    def _cut_long_speech(self) -> None:
        opened = self._open()
        if opened is None or self._judged - opened.start < self._longest:
            return
        latest = opened.start + self._longest
        cut = self._tape.quietest(latest - self._hold_back, latest)
        self._close(opened, cut, cut)
        self._begin(cut)

    @property
    def _hold_back(self) -> int:
        """Where long speech may be cut: the decoder stays out until the cut is known."""
        return min(2 * SAMPLE_RATE, self._longest // 4)

    # -- the recognisers' answers ---------------------------------------------------

    def _resolve_decode(self, segment: Segment, job: Decode, result: Result) -> None:
        end = job.offset + len(job.samples)
        match result:
            case Forgotten() if segment.replays < RETRIES:
                segment.replays += 1
                segment.decoded = 0
            case Hypothesis():
                segment.streamed = result
                if job.last and segment.heard is not None:
                    segment.read(Stage.STREAMED, self._spelled(segment, result, Stage.STREAMED))  # only to vote
                    self._read(segment, Stage.SECOND_PASS, self._fused(segment, segment.heard))
                elif job.last:
                    self._read(segment, Stage.STREAMED, self._spelled(segment, result, Stage.STREAMED))
                elif end > segment.shown:
                    segment.shown = end
                    self._read(segment, Stage.PARTIAL, self._spelled(segment, result, Stage.PARTIAL))
            case _:
                self._miss(segment, Stage.STREAMED, _reason(result))

    def _resolve_transcribe(self, segment: Segment, result: Result) -> None:
        match result:
            case NoSpeech():
                segment.silence()
                self._settle(segment)
            case Hypothesis(text) if text:
                segment.heard = result
                self._read(segment, Stage.SECOND_PASS, self._fused(segment, result))
            case Hypothesis():
                self._miss(segment, Stage.SECOND_PASS, "empty")
            case _:
                self._miss(segment, Stage.SECOND_PASS, _reason(result))

    def _spelled(self, segment: Segment, heard: Hypothesis, stage: Stage) -> Hypothesis:
        """The streamed reading with hotwords where it will not change any more."""
        if segment.profile.hotwords is None or not segment.profile.hotwords.longest:
            return heard
        if segment.spelling is None:
            segment.spelling = Spelling(segment.profile.hotwords)
        return segment.spelling.write(heard, stage)

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

    def _resolve_correct(self, segment: Segment, job: Correct, result: Result) -> None:
        if not isinstance(result, Edits):
            self._miss(segment, Stage.CORRECTED, _reason(result))
            return
        base = segment.readings[segment.best]
        verdict = review(
            base.text, job.readings, result.edits, job.hotwords, self._pronouncer, self._lexicon, job.doubts
        )
        segment.accepted, segment.rejected = verdict.accepted, verdict.rejected
        hits = base.hotword_hits + _hotwords_put_in(base.text, verdict.text, job.hotwords)
        corrected = replace(reworded(base, verdict.text), bare="", stable=0, hotword_hits=hits)
        self._read(segment, Stage.CORRECTED, corrected)

    def _read(self, segment: Segment, stage: Stage, reading: Hypothesis) -> None:
        if segment.read(stage, reading):
            self._out.append(SentenceRevised(segment.sentence()))
        self._settle(segment)

    def _miss(self, segment: Segment, stage: Stage, reason: str) -> None:
        segment.miss(stage, reason)
        self._settle(segment)

    def _settle(self, segment: Segment) -> None:
        if not segment.settled:
            return
        del self._live[segment.id]
        ending = segment.ending()
        if isinstance(ending, SentenceSettled):
            self._settled[segment.id] = (ending.sentence, ending.readings)
        self._out.append(ending)

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
            end = self._flushes[0] if self._flushes else self._tape.end
            waiting = end - self._heard
            flush = bool(self._flushes) and waiting <= STEPS * self._hop
            if flush:
                self._flushes.popleft()
                if waiting == 0 and self._fresh:
                    self._flushed(end)  # no state of the detector knows more about it
                    continue
            else:
                waiting = min(waiting // self._hop, STEPS) * self._hop
                if waiting == 0:
                    return
            samples = self._tape.cut(self._heard, self._heard + waiting)
            silence = self._profile(self._heard).end_silence
            self._detecting = Detect(samples, self._heard, self._fresh, flush, silence, self._hop, self._longest)
            self._heard += waiting
            self._fresh = False
            self._out.append(self._detecting)

    def _pump_decoder(self) -> None:
        segment = next((s for s in self._live.values() if Stage.STREAMED in s.owed), None)
        if self._decoding is not None or segment is None:
            return
        begin = segment.anchor + segment.decoded
        if segment.decided is None:
            # Strictly more must be known to follow, so that the last chunk is never empty.
            limit = min(segment.cleared, segment.start + self._longest - self._hold_back)
            size = min((limit - begin - 1) // self._chunk, STEPS) * self._chunk
            if size <= 0:
                return
            last = False
        else:
            size = segment.decided - begin
            last = size <= STEPS * self._chunk
            size = size if last else STEPS * self._chunk
        samples = self._tape.cut(begin, begin + size)
        punctuation = segment.profile.punctuation
        self._decoding = Decode(segment.id, samples, segment.decoded, last, self._chunk, punctuation, begin)
        segment.decoded += size
        self._out.append(self._decoding)

    def _pump_second_pass(self) -> None:
        stage = Stage.SECOND_PASS
        under_way = sum(stage in s.asked for s in self._live.values())
        for segment in self._live.values():
            if under_way >= PASSES_AT_ONCE:
                return
            end = self._likely_end(segment) if segment.end is None else segment.end
            if end is not None and stage in segment.owed and segment.transcribing is None:
                segment.asked.add(stage)
                under_way += 1
                samples, profile = self._tape.cut(segment.start, end), segment.profile
                wanted = profile.language, profile.itn, profile.model, profile.bias
                tables = profile.hotwords.tables if profile.hotwords else ()
                segment.transcribing = Transcribe(segment.id, samples, *wanted, begin=segment.start, hotwords=tables)
                self._out.append(segment.transcribing)

    def _likely_end(self, segment: Segment) -> int | None:
        """Where speech has paused, once for so long that it will hardly go on."""
        pause = segment.pause
        if pause is None or pause == segment.start:
            return None
        return pause if self._judged - pause >= segment.profile.end_silence * EARLY else None

    def _pump_corrector(self) -> None:
        stage = Stage.CORRECTED
        under_way = sum(stage in s.asked for s in self._live.values())
        for segment in list(self._live.values()):
            if segment.end is None or segment.owed != {stage} or segment.asked or under_way >= CORRECTIONS_AT_ONCE:
                continue
            # A partial reading stops somewhere in the sentence: to a corrector its end would look deleted.
            readings = {s: r.text for s, r in segment.readings.items() if r.text and s > Stage.PARTIAL}
            if not readings:
                self._miss(segment, stage, "empty")
                continue
            if Stage.SECOND_PASS in readings and Stage.STREAMED in readings and segment.streamed:
                readings[Stage.STREAMED] = segment.streamed.text  # what was heard says more than what it became
            segment.asked.add(stage)
            under_way += 1
            hotwords = segment.profile.hotwords
            close = hotwords.close_to("\n".join(readings.values())) if hotwords else ()
            doubts = segment.doubts if Stage.SECOND_PASS in readings else ()
            self._out.append(Correct(segment.id, readings, self._context(segment), close, doubts))

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

    def _forget(self) -> None:
        needed = [self._floor]
        for segment in self._live.values():
            wanted = Stage.STREAMED in segment.owed or Stage.SECOND_PASS in segment.owed - segment.asked
            if segment.end is None or wanted:
                needed.append(segment.anchor)
        self._tape.forget(min(needed))
        while len(self._profiles) > 1 and self._profiles[1][0] <= self._tape.start:
            self._profiles.popleft()

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


__all__ = ["PREROLL", "ProtocolError", "Session"]
