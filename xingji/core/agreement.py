"""Which edits of the LLM may stand: those that the readings or the sound bear out, and no others.

Where the readings disagree, or where a hotword sounds close, an edit must sound near one of them;
elsewhere it must be an exact homophone. Whatever the sound says, the whole text must keep what
``guards`` holds.
"""

from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from .guards import Breach, breach, said
from .pronunciation import Pronouncer, near, same_sound
from .types import Edit, RejectedEdit, Stage

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
    ]
)

# Surnames that are seldom anything else; a character or two after one is taken for a given name.
_SURNAMES = frozenset(
    "赵李吴郑王冯陈蒋沈韩杨朱秦许吕孔曹魏陶姜谢邹章苏潘葛范彭鲁袁柳唐薛雷贺倪汤罗郝邬傅卞康伍余顾孟黄穆萧"
    "尹姚邵汪毛狄戴宋庞熊纪舒屈项祝董梁杜阮蓝闵贾江童颜郭梅林徐邱骆蔡田樊胡霍虞柯卢莫裘丁邓崔刘龚程邢裴陆"
    "荀詹张"
)

_Change = tuple[int, int, list[str]]  # said characters [a, b) of the base become these
_Step = tuple[str, int, int, int, int]  # an opcode of difflib: kind, [i1, i2) of the base, [j1, j2) of the other


@dataclass(frozen=True, slots=True)
class Verdict:
    """``text`` is the base with ``accepted`` applied: in order, and trimmed to what really changes."""

    text: str
    accepted: tuple[Edit, ...]
    rejected: tuple[RejectedEdit, ...]


def review(
    base: str,
    readings: Mapping[Stage, str],
    edits: Sequence[Edit],
    hotwords: Sequence[str],
    pronouncer: Pronouncer,
) -> Verdict:
    """Judge each edit of ``base``, from left to right, on top of those accepted before it.

    ``readings`` may hold ``base`` itself; ``hotwords`` are those that sound close to something in
    them. Bad edits, whatever is in them, are rejected and never raise.
    """
    evidence = _Evidence(base, [text for text in readings.values() if text != base], hotwords, pronouncer)
    accepted: list[Edit] = []
    rejected: list[RejectedEdit] = []
    text = base
    pairs = [(_trimmed(base, edit), edit) for edit in edits]
    for trimmed, edit in sorted(pairs, key=lambda pair: (pair[0].start, pair[0].end)):
        after = text
        reason = _misplaced(base, trimmed, accepted[-1] if accepted else None)
        if reason is None:
            after = applied(base, [*accepted, trimmed])
            reason = breach(base, after, hotwords) or evidence.against(trimmed, accepted)
        if reason is None:
            accepted.append(trimmed)
            text = after
        else:
            rejected.append(RejectedEdit(edit, reason))
    return Verdict(text, tuple(accepted), tuple(rejected))


def applied(base: str, edits: Sequence[Edit]) -> str:
    """``base`` with edits that are in order and do not overlap carried out."""
    parts: list[str] = []
    end = 0
    for edit in edits:
        parts += base[end : edit.start], edit.replacement
        end = edit.end
    return "".join(parts) + base[end:]


def disagreements(base: str, other: str) -> tuple[tuple[int, int, str], ...]:
    """Where readings differ, marks and spaces ignored: ``(start, end, what other has there)`` in ``base``.

    >>> disagreements("今天天汽，很好。", "今天天气很好啊")
    ((3, 4, '气'), (7, 7, '啊'))
    """
    at, theirs = said(base), [other[i] for i in said(other)]
    places = [*at, at[-1] + 1 if at else 0]
    return tuple(
        (places[a], places[b - 1] + 1 if b > a else places[a], "".join(theirs[c:d]))
        for kind, a, b, c, d in _aligned([base[i] for i in at], theirs)
        if kind != "equal"
    )


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


def _aligned(ours: Sequence[str], theirs: Sequence[str]) -> list[_Step]:
    return [*SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()]


class _Evidence:
    """What readings, hotwords and sounds say about a place of the base. Indices count said characters."""

    def __init__(self, base: str, others: Sequence[str], hotwords: Sequence[str], pronouncer: Pronouncer) -> None:
        self._pronouncer = pronouncer
        self._at = said(base)
        self._base = [base[i] for i in self._at]
        self._others = [[text[i] for i in said(text)] for text in others]
        self._steps = [_aligned(self._base, other) for other in self._others]
        self._hotwords = [[c for c in word if c.isalnum()] for word in hotwords]

    def against(self, edit: Edit, accepted: Sequence[Edit]) -> Reason | None:
        """Why nothing bears out ``edit``, or None. Edits accepted in the same doubtful place count too."""
        a, b, new = change = self._change(edit)
        old = self._base[a:b]
        if [c.lower() for c in old] == [c.lower() for c in new] or self._is_hotword(a, b, new):
            return None
        others = [self._change(e) for e in accepted]
        places = [_place(steps, change, others) for steps in self._steps]
        doubtful = [(place, other) for place, other in zip(places, self._others, strict=True) if place.steps]
        for place, other in doubtful:
            result = place.after(self._base)
            for reading in (place.ours(self._base), place.theirs(other)):
                if self._sounds_like(result, *reading):
                    return None
        growth = [0, *(place.growth() for place, _ in doubtful)]
        if len(new) - len(old) > max(growth):
            return "new_content"
        if len(new) - len(old) < min(growth):
            return "lost_content"
        if doubtful:
            return "not_near"
        if not self._sounds_like(new, old, ()):
            return "not_homophone"
        return "name" if self._is_name(a, b) else None

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
    steps: Sequence[_Step]
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


def _place(steps: Sequence[_Step], change: _Change, accepted: Sequence[_Change]) -> _Place:
    """The smallest stretch around ``change`` that cuts no disagreement and no accepted change."""
    start, end, _ = change
    while True:
        differing = [s for s in steps if s[0] != "equal" and _touches(s[1], s[2], start, end)]
        inside = [c for c in accepted if _touches(c[0], c[1], start, end)]
        bounds = [(start, end), *((s[1], s[2]) for s in differing), *((c[0], c[1]) for c in inside)]
        grown = min(a for a, _ in bounds), max(b for _, b in bounds)
        if grown == (start, end):
            break
        start, end = grown
    return _Place(
        start,
        end,
        min(_counterparts(steps, differing, start), default=0),
        max(_counterparts(steps, differing, end), default=0),
        differing,
        [*inside, change],  # edits come from left to right
    )


def _touches(a: int, b: int, start: int, end: int) -> bool:
    """Two ranges share a character, or one of them is empty and lies in or at the edge of the other."""
    if a == b or start == end:
        return a <= end and start <= b
    return a < end and start < b


def _counterparts(steps: Sequence[_Step], differing: Sequence[_Step], at: int) -> list[int]:
    """Where ``at`` may lie in the other reading; it is inside no disagreement."""
    agreed = [c + at - a for kind, a, b, c, _ in steps if kind == "equal" and a <= at <= b]
    return agreed + [j for _, a, b, c, d in differing for i, j in ((a, c), (b, d)) if i == at]
