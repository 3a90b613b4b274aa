"""Where segments begin and end: what the detector is given, and what its edges mean.

The detector sees a fixed grid of hops from the recording's start (or the last commit), and what it answers is gone
through hop by hop, so that nothing depends on how many hops one job carries.
"""

from collections import deque
from collections.abc import Iterator

from .messages import Detect, Edge, Forgotten, Profile, Result
from .segment import RETRIES, STEPS, Segment
from .tape import Tape
from .types import SAMPLE_RATE, Stage

PREROLL = 2 * SAMPLE_RATE  # a detector may place an onset this far back, and a restarted one hears it again


class Segmenter:
    def __init__(self, tape: Tape, profile: Profile) -> None:
        self._tape = tape
        self._profiles = deque([(0, profile)])  # with the sample from which each one counts
        self._hop, self._longest = profile.hop, profile.longest
        self._origin = 0  # of the grid of hops
        self._flushes: deque[int] = deque()  # samples where the client ended the sentence
        self._heard = 0  # samples the detector has been given
        self.judged = 0  # samples the detector has answered for; never falls
        self._fresh = True  # the next Detect begins with a new state
        self._deaf_since: int | None = None  # where the detector's state began, while it has heard no onset
        self._restarts = 0
        self._detecting: Detect | None = None
        self.floor = 0  # no segment can begin before this any more; never falls
        self._open: Segment | None = None  # the one that is being spoken
        self._next_id = 0

    # -- what the client wants ------------------------------------------------------

    def flush(self) -> None:
        """Nothing that was begun before the tape's end goes on after it."""
        self._flushes.append(self._tape.end)

    def configure(self, profile: Profile) -> None:
        """For segments that begin after the tape's end."""
        self._profiles.append((self._tape.end, profile))

    # -- what the detector is asked ----------------------------------------------------

    @property
    def idle(self) -> bool:
        """It owes no answer, and there is no flush to come."""
        return self._detecting is None and not self._flushes

    def ask(self) -> Iterator[Detect | Segment]:
        """The next job, if one is possible, and before it a segment that has ended."""
        while self._detecting is None:
            end = self._flushes[0] if self._flushes else self._tape.end
            waiting = end - self._heard
            flush = bool(self._flushes) and waiting <= STEPS * self._hop
            if flush:
                self._flushes.popleft()
                if waiting == 0 and self._fresh:
                    yield from self._flushed(end)  # no state of the detector knows more about it
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
            yield self._detecting

    # -- what it answers ----------------------------------------------------------------

    def answered(self, job: Detect, result: Result) -> Iterator[Segment]:
        """Segments as they begin and as they end, one by one; ``end`` says which of the two."""
        self._detecting = None
        end = job.offset + len(job.samples)
        if isinstance(result, Forgotten) and self._restarts < RETRIES:
            self._restarts += 1
            self._heard = self._open.start if self._open else self.floor
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
            edges = deque([Edge("onset", self.floor, job.offset)])
        if self._open and (job.first or not isinstance(result, tuple)):
            self._open.resume()  # this detector knows of no pause
        for start in range(job.offset, end, self._hop):
            # Before the hop: a flush that ends here may come with its hop or after it.
            yield from self._cut_long_speech()
            step = min(start + self._hop, end)
            self.judged = max(self.judged, step)
            if self._open is None:
                self.floor = max(self.floor, step - PREROLL)
            while edges and edges[0].decided <= step:
                yield from self._cross(edges.popleft())
            yield from self._close_unheard_speech(step)
            if self._open and self._open.pause is None:
                self._open.clear(step, self._hop)
        for edge in edges:
            yield from self._cross(edge)
        if job.flush:
            yield from self._flushed(end)

    def _flushed(self, at: int) -> Iterator[Segment]:
        self._fresh = True
        self._origin = at
        if self._open:
            yield self._close(self._open, at, at)
        self.floor = at

    def _cross(self, edge: Edge) -> Iterator[Segment]:
        opened = self._open
        if edge.kind == "onset":
            self._deaf_since = None
            if opened is None:
                at = min(max(edge.at, self.floor), self.judged)
                yield self._begin(max(at - self._profile(at).preroll, self.floor))
        elif opened is None:
            return
        elif edge.kind == "resume":
            opened.resume()
        else:
            at = min(max(edge.at, opened.start), self.judged)
            if edge.kind == "pause":
                opened.pause = at
                opened.cleared = max(opened.cleared, at)
            else:
                opened.certainty = edge.certainty
                yield self._close(opened, at, opened.cleared if at == opened.pause else self.judged)

    def _begin(self, start: int) -> Segment:
        profile = self._profile(start)
        wanted = {
            Stage.STREAMED: profile.stream,
            Stage.SECOND_PASS: profile.second_pass,
            Stage.CORRECTED: profile.correct,
        }
        anchor = max(self.floor, self._at_a_hop(start - profile.lead))
        owed = {stage for stage, on in wanted.items() if on}
        self._open = Segment(self._next_id, start, anchor, profile, owed, cleared=self.judged)
        self._next_id += 1
        return self._open

    def _at_a_hop(self, at: int) -> int:
        """The last place up to ``at`` from which chunks of whole hops end where hops do: what is decoded then needs
        not one sample more than it hears."""
        return at - (at - self._origin) % self._hop

    def _close(self, segment: Segment, end: int, decided: int) -> Segment:
        segment.close(end, decided)
        self._open, self.floor = None, end
        return segment

    def _close_unheard_speech(self, step: int) -> Iterator[Segment]:
        """End speech in which the detector began anew and has heard none since."""
        since = self._deaf_since
        if self._open and since is not None and step - since >= PREROLL:
            yield self._close(self._open, self.judged, self.judged)

    def _cut_long_speech(self) -> Iterator[Segment]:
        opened = self._open
        if opened is None or self.judged - opened.start < self._longest:
            return
        latest = opened.start + self._longest
        cut = self._tape.quietest(latest - hold_back(self._longest), latest)
        yield self._close(opened, cut, cut)
        yield self._begin(cut)

    # -- profiles --------------------------------------------------------------------------

    def _profile(self, at: int) -> Profile:
        """What the client wanted when it sent this sample."""
        return next(profile for since, profile in reversed(self._profiles) if since <= at)

    def forget(self) -> None:
        """Profiles that no segment can have any more."""
        while len(self._profiles) > 1 and self._profiles[1][0] <= self._tape.start:
            self._profiles.popleft()


def hold_back(longest: int) -> int:
    """Where long speech may be cut: nobody who streams hears it until the cut is known."""
    return min(2 * SAMPLE_RATE, longest // 4)
