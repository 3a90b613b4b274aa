"""What the clients say and when each packet of it comes: pure, the same for the same seed."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.support import RATE, Utterance

MARGIN = RATE // 5  # kept around an utterance's speech
PAUSE_S = (0.7, 1.3)  # between two utterances, beside their margins: long enough to end a sentence
JITTER_S = 0.08  # the most that a packet comes late
PACKET_MS = (20, 80, 200)  # least, most frequent, greatest: 100 ms on average
BASELINE_PACKET_MS = 60  # what FunASR's own client sends; its server counts packets, so it gets no others


@dataclass(frozen=True, slots=True)
class Speech:
    pcm: bytes  # s16le, 16 kHz
    labels: tuple[
        tuple[int, int], ...
    ]  # begin and end of each sentence; the outer ones may be cut, so that they reach out

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class Packet:
    begin: int  # samples
    end: int
    due_s: float  # when it comes, from the recording's start: never before its last sample was spoken


def speech(seconds: float, seed: int, said: Sequence[Utterance]) -> Speech:
    """One utterance after another, with pauses of faint noise. Each seed begins somewhere else in its first one."""
    chance, noise = random.Random(seed), np.random.default_rng(seed)
    wanted = round(seconds * RATE)
    parts: list[bytes] = []
    labels: list[tuple[int, int]] = []
    order: list[Utterance] = []
    at = -chance.randrange(3 * RATE)
    while at < wanted:
        if not order:
            order = chance.sample(list(said), len(said))
        one = order.pop()
        spoken = [(item["begin_ms"] * RATE // 1000, item["end_ms"] * RATE // 1000) for item in one.sentences]
        first, last = max(0, spoken[0][0] - MARGIN), min(len(one.pcm) // 2, spoken[-1][1] + MARGIN)
        labels += [(at + begin - first, at + end - first) for begin, end in spoken]
        pause = round(chance.uniform(*PAUSE_S) * RATE)
        quiet = np.rint(noise.normal(0.0, 6.0, pause)).astype("<i2").tobytes()
        parts += [one.pcm[2 * first : 2 * last], quiet]
        at += last - first + pause
    whole = b"".join(parts)
    skipped = len(whole) // 2 - at
    pcm = whole[2 * skipped : 2 * (skipped + wanted)]
    return Speech(pcm, tuple((begin, end) for begin, end in labels if end > 0 and begin < wanted))


def ragged(samples: int, seed: int) -> list[Packet]:
    """Packets of 20 to 200 ms, each up to ``JITTER_S`` late, in order."""
    chance = random.Random(seed)
    sizes: list[int] = []
    while (left := samples - sum(sizes)) > 0:
        low, mode, high = PACKET_MS
        sizes.append(min(left, round(chance.triangular(low, high, mode) * RATE / 1000)))
    return _late(sizes, chance)


def even(samples: int, seed: int, milliseconds: int = BASELINE_PACKET_MS) -> list[Packet]:
    """Packets of one size, as late as the ragged ones; what does not fill one is left out."""
    size = milliseconds * RATE // 1000
    return _late([size] * (samples // size), random.Random(seed))


def _late(sizes: Sequence[int], chance: random.Random) -> list[Packet]:
    packets, begin, due = list[Packet](), 0, 0.0
    for size in sizes:
        due = max(due, (begin + size) / RATE + chance.uniform(0.0, JITTER_S))
        packets.append(Packet(begin, begin + size, due))
        begin += size
    return packets


class Arrivals:
    """When the first so many samples of a recording were there."""

    def __init__(self, packets: Sequence[Packet]) -> None:
        self._packets = packets

    def due_s(self, samples: int) -> float:
        """Seconds from the recording's start; of the last one where so many never come: a server that has been told
        of the end fills up its last step by itself."""
        place = bisect_left(self._packets, samples, key=lambda packet: packet.end)
        return self._packets[min(place, len(self._packets) - 1)].due_s
