"""Numbered frames: duplicates are ignored, a little reordering is mended, gaps are told once and passed over."""

from dataclasses import dataclass, field

from . import Frame

WINDOW = 32  # frames that may overtake a missing one before it counts as a gap


@dataclass(slots=True)
class Sequencer:
    """Puts the frames of one recording in order. Frames without a number pass as they come."""

    expected: int | None = None  # None until the first numbered frame, which may have any number
    _ahead: dict[int, bytes] = field(default_factory=dict)

    def push(self, frame: Frame) -> tuple[list[bytes], tuple[int, int] | None]:
        """What can go on now, and ``(expected, got)`` where frames must be given up for lost."""
        if frame.seq is None:
            return [frame.data], None
        if self.expected is None:
            self.expected = frame.seq
        if frame.seq < self.expected or frame.seq in self._ahead:
            return [], None
        self._ahead[frame.seq] = frame.data
        gap = None
        if self.expected not in self._ahead and len(self._ahead) > WINDOW:
            gap = (self.expected, min(self._ahead))
            self.expected = gap[1]
        return self._in_line(), gap

    def flush(self) -> tuple[list[bytes], tuple[int, int] | None]:
        """No more frames will come: everything that is held goes on, in order."""
        if not self._ahead or self.expected is None:
            return [], None
        gap = (self.expected, min(self._ahead))
        rest = [self._ahead[seq] for seq in sorted(self._ahead)]
        self.expected = max(self._ahead) + 1
        self._ahead.clear()
        return rest, gap

    def _in_line(self) -> list[bytes]:
        assert self.expected is not None
        ready = []
        while (data := self._ahead.pop(self.expected, None)) is not None:
            ready.append(data)
            self.expected += 1
        return ready
