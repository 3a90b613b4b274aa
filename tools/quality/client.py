"""Plays recordings to a server over its own Socket.IO events, a few at a time, and keeps everything it is told."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import WebSocketException

from tools.bench.clients import ANSWER_S, Xingji
from xingji.core.types import SAMPLE_RATE

from .heard import Event, Heard, heard
from .manifest import Clip, samples

FRAME_S = 0.1
FINAL_S = 300.0  # a server that works off a queue may be long about it


@dataclass(frozen=True, slots=True)
class Play:
    """A recording and with which options of ``start_recording`` it is played."""

    clip: Clip
    options: Mapping[str, Any]


class Listener(Xingji):
    """One recording after ``connect``. Keeps the events in order."""

    def __init__(self, *given: Any) -> None:
        self.events: list[Event] = []
        super().__init__(*given)

    async def begin(self, options: Mapping[str, Any]) -> bool:
        """Whether the server takes it."""
        await self._put("40", "42" + json.dumps(["start_recording", options]))
        try:
            await asyncio.wait_for(self._ready.wait(), ANSWER_S)
        except TimeoutError:
            return False
        return any(name == "recording_started" for name, _ in self.events)

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def _event(self, at: float, name: str, body: dict[str, Any]) -> None:
        self.events.append((name, body))
        if name in ("recording_started", "error"):
            self._ready.set()
        if name == "final_result":
            self._over.set()


def hear(url: str, plays: Sequence[Play], clients: int, pace: float) -> list[Heard]:
    """In the order of ``plays``. ``pace``: 1 is real time, 2 twice as fast, 0 as fast as the server takes it."""
    return asyncio.run(_all(url, plays, clients, pace))


async def _all(url: str, plays: Sequence[Play], clients: int, pace: float) -> list[Heard]:
    room, done = asyncio.Semaphore(clients), 0

    async def one(play: Play) -> Heard:
        nonlocal done
        async with room:
            result = await _one(url, play, pace)
        done += 1
        if done % 50 == 0 or done == len(plays):
            print(f"  {done} of {len(plays)}", file=sys.stderr, flush=True)
        return result

    return list(await asyncio.gather(*map(one, plays)))


async def _one(url: str, play: Play, pace: float) -> Heard:
    audio = await asyncio.to_thread(samples, play.clip.audio)
    seconds = len(audio) / SAMPLE_RATE
    try:
        listener = await Listener.connect(url)
    except (OSError, WebSocketException) as error:
        raise ValueError(f"no server of ours at {url}: {error}") from error
    if await listener.begin(play.options):
        await _send(listener, audio.astype("<i2").tobytes(), pace)
        await listener.stop()
        await listener.finish(FINAL_S)
    else:
        await listener.finish(0)
    return heard(listener.events, seconds)


async def _send(listener: Listener, pcm: bytes, pace: float) -> None:
    frame, begun = 2 * int(FRAME_S * SAMPLE_RATE), time.monotonic()
    for number, at in enumerate(range(0, len(pcm), frame), 1):
        if listener.over:
            return
        if pace and (wait := begun + number * FRAME_S / pace - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await listener.send(pcm[at : at + frame])
