"""What one client can know of how long it waited. Pure: what it heard and when its audio came go in.

A partial of our wire says which sentence it belongs to and how far the detector was (``current_time_ms``), not how
much audio it holds. But the recogniser steps on a grid that begins just before the onset and has one job under way,
and a job takes all the whole chunks that were judged when it was asked: when the answer before it was told. So the
count of chunks can be followed from one event to the next. Where the detector itself was behind it may be too low,
never too high; a job whose text does not differ from the last is not told, and then it is too low as well. ``lag``
is therefore never too short, and exact where every job was told, which ``Observed.partials``, compared with the
server's count of jobs, shows. ``least`` supposes that the partial holds all that was judged, and is never too long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.support import RATE
from xingji.core.messages import Profile
from xingji.wire import milliseconds

from .speech import Arrivals, Speech

_USUAL = Profile()
LEAD_MS = milliseconds(_USUAL.lead)  # the recogniser's grid begins at least so long before a sentence, but not in the
HOP_MS = milliseconds(_USUAL.hop)  # one before; its steps end where the detector's do
CHUNK_MS = milliseconds(_USUAL.chunk)  # the recogniser's step, unless the server is set otherwise
END_SILENCE_MS = milliseconds(_USUAL.end_silence)
SLACK_MS = 300  # a detector's boundary may be so far from the label's


@dataclass(frozen=True, slots=True)
class Heard:
    """One message. Milliseconds count from the recording's start."""

    at: float  # seconds of the client's clock
    kind: Literal["start", "end", "partial", "streamed", "second", "final"]
    sentence: int = 0
    start_ms: int = 0
    end_ms: int = 0
    text: bool = True
    covered_ms: int = 0  # our wire: how far the detector was; the baseline's: how much audio the partial holds


@dataclass(slots=True)
class Observed:
    """Seconds, of one client or of all."""

    partial: list[tuple[float, float, float]] = field(default_factory=list)  # since the recording began; lag; least
    first_text: list[float] = field(default_factory=list)  # label's begin → first text
    second_pass: list[float] = field(default_factory=list)  # t_decided → second pass
    end_to_second: list[float] = field(default_factory=list)  # label's end → second pass
    final: list[float] = field(default_factory=list)  # stop → final result
    late: list[float] = field(default_factory=list)  # how far behind its own plan the client sent
    partials: int = 0
    sentences: int = 0  # that speech began in
    seconds_passed: int = 0  # sentences with a second pass
    recordings: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # code → how often

    def add(self, other: "Observed") -> None:
        for name in ("partial", "first_text", "second_pass", "end_to_second", "final", "late"):
            getattr(self, name).extend(getattr(other, name))
        for name in ("partials", "sentences", "seconds_passed", "recordings"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for code, count in other.errors.items():
            self.fault(code, count)

    def fault(self, code: str, count: int = 1) -> None:
        self.errors[code] = self.errors.get(code, 0) + count


def ours(
    heard: Sequence[Heard],
    said: Speech,
    arrivals: Arrivals,
    begun: float,
    stopped: float,
    chunk_ms: int = CHUNK_MS,
) -> Observed:
    """``begun``, ``stopped``: the client's clock at the recording's start and at ``stop_recording``."""
    seen = Observed(recordings=1)
    covered: dict[int, int] = {}  # sentence → chunks that its newest partial holds
    asked_ms = 0  # how far the detector was when the job under way was asked
    decided: dict[int, float] = {}  # end → when it was decided
    labels = [(begin * 1000 // RATE, end * 1000 // RATE) for begin, end in said.labels]
    told: set[int] = set()
    anchors: dict[int, int] = {}  # sentence → where its grid begins
    for one in heard:
        match one.kind:
            case "start":
                seen.sentences += 1
            case "end":
                decided[one.end_ms] = one.at
            case "partial":
                seen.partials += 1
                anchor = anchors.setdefault(one.sentence, max(0, *decided, _at_a_hop(one.start_ms - LEAD_MS)))
                before = covered.get(one.sentence, 0)
                now = max(before + 1, _chunks(asked_ms - anchor, chunk_ms))
                most = max(now, _chunks(one.covered_ms - anchor, chunk_ms))
                covered[one.sentence] = now
                lag, least = (
                    one.at - begun - arrivals.due_s((anchor + chunks * chunk_ms) * RATE // 1000)
                    for chunks in (now, most)
                )
                if one.at <= stopped:
                    seen.partial.append((one.at - begun, lag, least))
                label = next((begin for begin, _ in labels if begin >= max(0, one.start_ms - SLACK_MS)), None)
                if one.text and one.sentence not in told:
                    told.add(one.sentence)
                    if label is not None and label < one.start_ms + 2 * SLACK_MS:
                        seen.first_text.append(one.at - begun - label / 1000)
            case "second":
                seen.seconds_passed += 1
                if one.end_ms in decided and one.at <= stopped:
                    seen.second_pass.append(one.at - decided[one.end_ms])
                    ends = [end for _, end in labels if one.start_ms < end <= one.end_ms + SLACK_MS]
                    if ends and ends[-1] > one.end_ms - END_SILENCE_MS:
                        seen.end_to_second.append(one.at - begun - ends[-1] / 1000)
            case "final":
                seen.final.append(one.at - stopped)
        if one.kind in ("start", "partial", "streamed"):
            asked_ms = one.covered_ms
    if not seen.final:
        seen.fault("no final result")
    return seen


def _at_a_hop(milliseconds: int) -> int:
    return milliseconds - milliseconds % HOP_MS


def _chunks(milliseconds: int, chunk_ms: int) -> int:
    """Whole chunks, as the session asks for them."""
    return max(0, milliseconds // chunk_ms)


def theirs(heard: Sequence[Heard], said: Speech, arrivals: Arrivals, begun: float, stopped: float) -> Observed:
    """The baseline's partials say what they hold (our shim adds it). Its sentences have no place on the wire: they
    are taken for the labelled ones where there are as many of them. First text is not measured, for it reads the
    silence before speech as well."""
    seen = Observed(recordings=1)
    second = [one for one in heard if one.kind == "second" and one.at <= stopped]
    for one in heard:
        if one.kind == "partial":
            seen.partials += 1
            lag = one.at - begun - arrivals.due_s(one.covered_ms * RATE // 1000)
            if one.at <= stopped:
                seen.partial.append((one.at - begun, lag, lag))
        elif one.kind == "final":
            seen.final.append(one.at - stopped)
    seen.sentences = seen.seconds_passed = sum(one.kind == "second" for one in heard)
    ends = [end / RATE for _, end in said.labels if end + RATE * END_SILENCE_MS // 1000 < said.samples]
    if len(second) == len(ends):
        seen.end_to_second = [one.at - begun - end for one, end in zip(second, ends, strict=True)]
    if not seen.final:
        seen.fault("no final result")
    return seen
