"""Which edits of the LLM may stand: those that the readings or the sound bear out, and no others.

Where there is doubt (the readings disagree, a recogniser was unsure, a hotword sounds close) an edit must sound near
what was heard; elsewhere it must be an exact homophone. As a text has many homophones, a lexicon must find it likelier
with the edit. Whatever sound and words say, the whole text must keep what ``guards`` holds.
"""

from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .alignment import Step, aligned, counterparts, touches
from .guards import Breach, breach, said
from .lexicon import Lexicon, gain
from .pronunciation import Pronouncer, near, same_sound
from .types import AcceptedEdit, Edit, RejectedEdit, Stage

Reason = (
    Breach
    | Literal[
        "out_of_range",  # not a place in the text
        "no_change",
        "overlap",  # touches characters of an edit that was accepted before
        "new_content",  # more characters than any reading has there
        "lost_content",  # fewer characters than any reading has there
        "name",  # what looks like a person's name, and is no hotword
        "not_near",  # in a doubtful place: sounds like none of the readings
        "not_homophone",  # where the readings agree: does not sound the same
        "unlikely",  # sounds right, but the words are less likely than those that stand there
    ]
)
Ground = Literal[
    "writing",  # only marks or the case of letters change
    "hotword",  # completes a hotword that sounds near what stood there
    "reading",  # another reading has it
    "near",  # in a doubtful place, sounds near what was heard
    "homophone",  # sounds the same
]

# Nats. Of homophones put in at random, 1 % of single characters and 9 % of words of two become likelier; of the edits
# of a corrector that knows the truth 31 % stand. At -1 these were 3, 15 and 35 %, at 1 they were 1, 4 and 28 %.
# Another reading is evidence by itself, so less is asked of it (AISHELL-1, half of the speakers, 2026-11; for the other
# half see docs/bench/correction.md).
LIKELIER = 0.0
AS_LIKELY = -2.0
_GRAMMAR = frozenset("的地得")  # which of them is right no list of words knows

# Surnames that are seldom anything else; a character or two after one is taken for a given name.
_SURNAMES = frozenset(
    "赵李吴郑王冯陈蒋沈韩杨朱秦许吕孔曹魏陶姜谢邹章苏潘葛范彭鲁袁柳唐薛雷贺倪汤罗郝邬傅卞康伍余顾孟黄穆萧"
    "尹姚邵汪毛狄戴宋庞熊纪舒屈项祝董梁杜阮蓝闵贾江童颜郭梅林徐邱骆蔡田樊胡霍虞柯卢莫裘丁邓崔刘龚程邢裴陆"
    "荀詹张"
)

_Change = tuple[int, int, list[str]]  # said characters [a, b) of the base become these


@dataclass(frozen=True, slots=True)
class _Against:
    reason: Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` is the base with ``accepted`` applied: in order, and trimmed to what really changes."""

    text: str
    accepted: tuple[AcceptedEdit, ...]
    rejected: tuple[RejectedEdit, ...]


def review(
    base: str,
    readings: Mapping[Stage, str],
    edits: Sequence[Edit],
    hotwords: Sequence[str],
    pronouncer: Pronouncer,
    lexicon: Lexicon | None = None,
    unsure: Sequence[tuple[int, int]] = (),
) -> Verdict:
    """Judge each edit of ``base``, from left to right, on top of those accepted before it.

    ``readings`` may hold ``base`` itself; ``hotwords`` are those that sound close to something in
    them; ``unsure`` are ranges of ``base`` that its recogniser doubts. Without a ``lexicon`` every
    homophone is as likely as any other. Bad edits, whatever is in them, are rejected and never raise.
    """
    others = [text for text in readings.values() if text != base]
    evidence = _Evidence(base, others, hotwords, pronouncer, lexicon, unsure)
    accepted: list[AcceptedEdit] = []
    rejected: list[RejectedEdit] = []
    text = base
    pairs = [(_trimmed(base, edit), edit) for edit in edits]
    for trimmed, edit in sorted(pairs, key=lambda pair: (pair[0].start, pair[0].end)):
        done = [item.edit for item in accepted]
        after = text
        reason: Reason | None = _misplaced(base, trimmed, done[-1] if done else None)
        if reason is None:
            after = applied(base, [*done, trimmed])
            reason = breach(base, after, hotwords)
        ground = _Against(reason) if reason else evidence.of(trimmed, done, text, after)
        if isinstance(ground, _Against):
            rejected.append(RejectedEdit(edit, ground.reason))
        else:
            accepted.append(AcceptedEdit(trimmed, base[trimmed.start : trimmed.end], ground))
            text = after
    return Verdict(text, tuple(accepted), tuple(rejected))


def applied(base: str, edits: Sequence[Edit]) -> str:
    """``base`` with edits that are in order and do not overlap carried out."""
    parts: list[str] = []
    end = 0
    for edit in edits:
        parts += base[end : edit.start], edit.replacement
        end = edit.end
    return "".join(parts) + base[end:]


def _trimmed(base: str, edit: Edit) -> Edit:
    """The same edit without what it leaves as it is at either end."""
    start, end, new = edit.start, edit.end, edit.replacement
    if not 0 <= start <= end <= len(base):
        return edit
    while start < end and new and base[start] == new[0]:
        start, new = start + 1, new[1:]
    while start < end and new and base[end - 1] == new[-1]:
        end, new = end - 1, new[:-1]
    return Edit(start, end, new)


def _misplaced(base: str, edit: Edit, before: Edit | None) -> Reason | None:
    if not 0 <= edit.start <= edit.end <= len(base):
        return "out_of_range"
    if edit.start == edit.end and not edit.replacement:
        return "no_change"
    if before and (edit.start < before.end or edit.start == edit.end == before.start == before.end):
        return "overlap"
    return None


class _Evidence:
    """What readings, hotwords, sounds and words say about a place of the base. Indices count said characters."""

    def __init__(
        self,
        base: str,
        others: Sequence[str],
        hotwords: Sequence[str],
        pronouncer: Pronouncer,
        lexicon: Lexicon | None,
        unsure: Sequence[tuple[int, int]],
    ) -> None:
        self._pronouncer, self._lexicon, self._unsure = pronouncer, lexicon, unsure
        self._at = said(base)
        self._base = [base[i] for i in self._at]
        self._others = [[text[i] for i in said(text)] for text in others]
        self._steps = [aligned(self._base, other) for other in self._others]
        self._hotwords = [[c for c in word if c.isalnum()] for word in hotwords]

    def of(self, edit: Edit, accepted: Sequence[Edit], before: str, after: str) -> Ground | _Against:
        """What bears out ``edit``, which makes ``after`` of ``before``. Edits accepted in the same place count too."""
        a, b, new = change = self._change(edit)
        old = self._base[a:b]
        if [c.lower() for c in old] == [c.lower() for c in new]:
            return "writing"
        if self._is_hotword(a, b, new):
            return "hotword"
        heard = self._heard(change, [self._change(e) for e in accepted], edit)
        if isinstance(heard, _Against):
            return heard
        if self._lexicon is not None and not (_GRAMMAR.issuperset(old) and _GRAMMAR.issuperset(new)):
            wanted = AS_LIKELY if heard == "reading" else LIKELIER
            if gain(before, after, self._lexicon) <= wanted:
                return _Against("unlikely")
        return heard

    def _heard(self, change: _Change, accepted: Sequence[_Change], edit: Edit) -> Ground | _Against:
        a, b, new = change
        old = self._base[a:b]
        places = [_place(steps, change, accepted) for steps in self._steps]
        doubtful = [(place, other) for place, other in zip(places, self._others, strict=True) if place.steps]
        results = [(place, other, place.after(self._base)) for place, other in doubtful]
        if any(result == place.theirs(other)[0] for place, other, result in results):
            return "reading"
        for place, other, result in results:
            for reading in (place.ours(self._base), place.theirs(other)):
                if self._sounds_like(result, *reading):
                    return "near"
        growth = [0, *(place.growth() for place, _ in doubtful)]
        if len(new) - len(old) > max(growth):
            return _Against("new_content")
        if len(new) - len(old) < min(growth):
            return _Against("lost_content")
        if doubtful:
            return _Against("not_near")
        if self._sounds_like(new, old, ()):
            return _Against("name") if self._is_name(a, b) else "homophone"
        if any(edit.start >= start and edit.end <= end for start, end in self._unsure):
            return "near" if self._sounds_like(new, old, range(len(old))) else _Against("not_near")
        return _Against("not_homophone")

    def _change(self, edit: Edit) -> _Change:
        a, b = bisect_left(self._at, edit.start), bisect_left(self._at, edit.end)
        return a, b, [c for c in edit.replacement if c.isalnum()]

    def _sounds_like(self, heard: Sequence[str], reading: Sequence[str], doubt: Container[int]) -> bool:
        """Character by character: the same sound, or near it at the indices in ``doubt``."""
        if len(heard) != len(reading):
            return False
        heard_sounds, sounds = (self._pronouncer.syllables("".join(text)) for text in (heard, reading))
        pairs = zip(heard, reading, heard_sounds, sounds, strict=True)
        return all(
            x.lower() == y.lower() or (near if i in doubt else same_sound)(x_sounds, y_sounds)
            for i, (x, y, x_sounds, y_sounds) in enumerate(pairs)
        )

    def _is_hotword(self, a: int, b: int, new: Sequence[str]) -> bool:
        """The change completes a hotword, and what stood there sounds near it."""
        if len(new) != b - a:
            return False
        after = [*self._base[:a], *new, *self._base[b:]]
        for word in self._hotwords:
            for start in range(max(0, b - len(word)), a + 1):
                place = slice(start, start + len(word))
                if after[place] == word and self._sounds_like(word, self._base[place], range(len(word))):
                    return True
        return False

    def _is_name(self, a: int, b: int) -> bool:
        """The change is in, or within two characters after, what is likely a surname."""
        reach = range(max(0, a - 2), b)
        return any(self._base[i] in _SURNAMES and self._at[a] - self._at[i] == a - i for i in reach)


@dataclass(frozen=True, slots=True)
class _Place:
    """A stretch ``[start, end)`` of the base, its counterpart in another reading, and what happens in it.

    ``steps`` are the disagreements inside; none means that the readings agree here.
    """

    start: int
    end: int
    other_start: int
    other_end: int
    steps: Sequence[Step]
    changes: Sequence[_Change]

    def ours(self, base: Sequence[str]) -> tuple[Sequence[str], Container[int]]:
        """What the base has here, and at which indices of it there is doubt."""
        doubt = {i - self.start for _, a, b, _, _ in self.steps for i in range(a, b)}
        return base[self.start : self.end], doubt

    def theirs(self, other: Sequence[str]) -> tuple[Sequence[str], Container[int]]:
        doubt = {j - self.other_start for _, _, _, c, d in self.steps for j in range(c, d)}
        return other[self.other_start : self.other_end], doubt

    def after(self, base: Sequence[str]) -> list[str]:
        """What the base would have here with the changes."""
        result: list[str] = []
        end = self.start
        for a, b, new in self.changes:
            result += [*base[end:a], *new]
            end = b
        return [*result, *base[end : self.end]]

    def growth(self) -> int:
        """How many characters more than the base the other reading has here."""
        return (self.other_end - self.other_start) - (self.end - self.start)


def _place(steps: Sequence[Step], change: _Change, accepted: Sequence[_Change]) -> _Place:
    """The smallest stretch around ``change`` that cuts no disagreement and no accepted change."""
    start, end, _ = change
    while True:
        differing = [s for s in steps if s[0] != "equal" and touches(s[1], s[2], start, end)]
        inside = [c for c in accepted if touches(c[0], c[1], start, end)]
        bounds = [(start, end), *((s[1], s[2]) for s in differing), *((c[0], c[1]) for c in inside)]
        grown = min(a for a, _ in bounds), max(b for _, b in bounds)
        if grown == (start, end):
            break
        start, end = grown
    return _Place(
        start,
        end,
        min(counterparts(steps, differing, start), default=0),
        max(counterparts(steps, differing, end), default=0),
        differing,
        [*inside, change],  # edits come from left to right
    )
