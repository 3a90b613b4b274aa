"""All live recordings of this gateway: admission, hotword changes, results kept for a while, the end.

The hub turns what a client wishes into what this server can do, gives every recording its
driver thread, and on shutdown stops them all and waits for their final results.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..audio import Limits as Decoding
from ..core.errors import XingjiError
from ..core.hotwords import HotwordIndex, Layered
from ..core.lexicon import Lexicon
from ..core.messages import Completed, Configure, Correct, Hotwords, Job, Lost, Profile, Result, Transcribe
from ..core.pronunciation import Pronouncer
from ..core.session import Session
from ..core.types import Hotword
from ..wire import Wishes
from .backup import Backups
from .correcting import Corrections
from .driver import Clocks, Driver, Moment, Source, Stopped, Told
from .green import offload
from .headroom import Headroom
from .hotword_tables import HotwordTables
from .metrics import Metrics, Stopwatch
from .pool import Pool
from .recognisers import Choice, Recognisers

log = logging.getLogger(__name__)

MOST_BIAS = 100  # hotwords that a model is told beforehand; each makes its prompt longer

DECODER_MARGIN_S = 120.0  # more than a decoder is asked for at the end of a recording
DECODER_SPEEDUP = 4.0  # seconds of audio that decoding must manage in one of processor time, at the very least

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Limits:
    sessions: int = 100  # 0: as many as the workers keep up with
    keep_result_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A final result and the model that corrected it; None where correction was off."""

    completed: Completed
    llm_model: str | None
    backup_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Live:
    driver: Driver[Any]
    wishes: Wishes
    named: HotwordIndex | None  # the named table, as it was when the recording started


class Hub:
    def __init__(
        self,
        pool: Pool,
        corrections: Corrections | None,
        llm_model: str | None,
        pronouncer: Pronouncer,
        clocks: Clocks,
        limits: Limits,
        tables: HotwordTables,
        chunk: int,
        backups: Backups,
        metrics: Metrics,
        headroom: Headroom,
        recognisers: Recognisers,
        lexicon: Lexicon | None = None,
        streams: bool = True,
    ) -> None:
        """``chunk``: samples of the streaming recogniser's step; ``streams``: whether there is one."""
        self.recognisers = recognisers
        self._pool, self._corrections, self._pronouncer = pool, corrections, pronouncer
        self._clocks, self._limits, self._tables, self._chunk = clocks, limits, tables, chunk
        self._backups, self._metrics, self._headroom = backups, metrics, headroom
        self._lexicon, self._streaming = lexicon, streams
        self.llm_model = llm_model
        # A stream ends at the clock's limit; its decoder's own is for one that runs away before anybody looks.
        longest = clocks.longest + DECODER_MARGIN_S
        self.decoding = Decoding(longest, 60.0 + longest / DECODER_SPEEDUP, 256 << 20)
        self._streams = itertools.count()
        self._lock = threading.Lock()
        self._live: dict[int, _Live] = {}
        self._results: dict[str, tuple[float, Kept | None]] = {}
        self._hotwords = self._none = HotwordIndex((), pronouncer, lexicon)
        self._closing = False
        room = {
            "active": lambda: self.live,
            "capacity": lambda: self.live_capacity or 0,
            "lag": lambda: headroom.lag_s,
        }
        metrics.watch_recordings(lambda: self.active, lambda: self.capacity or 0, room)

    # -- recordings -------------------------------------------------------------------

    @property
    def active(self) -> int:
        return len(self._live)

    @property
    def capacity(self) -> int | None:
        """None where no number limits it."""
        return self._limits.sessions or None

    @property
    def live(self) -> int:
        """Recordings that somebody waits for."""
        return sum(live.wishes.stream for live in tuple(self._live.values()))

    @property
    def live_capacity(self) -> int | None:
        """How many of them the workers hold; None where that is not planned with."""
        return self._headroom.capacity(self._pool.costs)

    def _full(self, wishes: Wishes) -> bool:
        if self.capacity is not None and self.active >= self.capacity:
            return True
        if wishes.stream and not self._headroom.room(self.live, self._pool.costs):
            return True
        return self.capacity is None and self._pool.behind(not (wishes.stream or wishes.waits))

    def wants_llm(self, wishes: Wishes) -> bool:
        return self._corrections is not None and wishes.llm is not False

    def resolved(self, wishes: Wishes) -> Wishes:
        """``wishes`` with the model that they come to. Raises XingjiError as ``open`` does."""
        return replace(wishes, model=self._choice(wishes).id)

    def open(self, wishes: Wishes, source: Source[F], tell: Callable[[Told, Moment], None]) -> Driver[F]:
        """Start a recording's thread. Raises XingjiError: not_ready, busy, unknown_model, bad_config (hotword_table,
        vllm_host)."""
        if not self._pool.ready:
            raise XingjiError("not_ready", detail={"retry_after_ms": 1000})
        named = self._named(wishes.hotword_table)
        self._choice(wishes)
        with self._lock:
            if self._closing or self._full(wishes):
                self._metrics.refused()
                raise XingjiError("busy", detail={"retry_after_ms": 5000})
            stream = next(self._streams)
            session = Session(self._profile(wishes, named), self._pronouncer, self._lexicon)
            stopwatch = Stopwatch(self._metrics, lagged=self._headroom.waited) if wishes.stream else None
            clocks = self._clocks if wishes.idle_s is None else replace(self._clocks, idle=wishes.idle_s)
            driver = Driver(stream, session, self, source, self._counted(tell), clocks, stopwatch)
            self._live[stream] = _Live(driver, wishes, named)
        threading.Thread(target=self._run, args=(stream, driver), name=f"recording-{stream}", daemon=True).start()
        return driver

    def _counted(self, tell: Callable[[Told, Moment], None]) -> Callable[[Told, Moment], None]:
        def counted(told: Told, moment: Moment) -> None:
            if isinstance(told, Stopped):
                self._metrics.stopped(told.reason)
            elif isinstance(told, Completed):
                self._metrics.told(told.readings)
            tell(told, moment)

        return counted

    def back_up(self, driver: Driver[Any], recording_id: str) -> None:
        """Keep what the recording takes, where that is wanted; to be called before it takes anything."""
        driver.backup = self._backups.begin(recording_id)

    def _run(self, stream: int, driver: Driver[Any]) -> None:
        driver.run()
        with self._lock:
            self._live.pop(stream, None)

    def _choice(self, wishes: Wishes) -> Choice:
        return self.recognisers.choose(wishes.model, wishes.vllm_host, wishes.vllm_port)

    def _profile(self, wishes: Wishes, named: HotwordIndex | None) -> Profile:
        choice, hotwords = self._choice(wishes), self._index(wishes, named)
        shown = wishes.stream and choice.entry.supports_realtime
        stream = shown and self._streaming
        return Profile(
            stream=stream,
            preview=shown and not stream and wishes.partials,
            second_pass=wishes.second_pass or not stream,
            correct=self.wants_llm(wishes),
            punctuation=wishes.punctuation,
            itn=wishes.itn,
            remove_fillers=wishes.remove_fillers,
            language=wishes.language,
            hotwords=hotwords,
            end_silence=wishes.pace.end_silence,
            longest=wishes.pace.longest,
            preroll=wishes.pace.preroll,
            chunk=self._chunk,
            model=choice.key,
            bias=hotwords.heaviest(MOST_BIAS) if choice.entry.capabilities.hotwords else (),
        )

    # -- engines ------------------------------------------------------------------------

    def submit(self, stream: int, job: Job, done: Callable[[Result], None]) -> None:
        done = self._metrics.asked(job, done)
        if isinstance(job, Correct):
            assert self._corrections is not None  # profiles ask for corrections only where there are any
            if self._headroom.late:
                done(Lost("overloaded"))  # the first thing to be left out
            else:
                self._corrections.submit(stream, job, done)
        else:
            live = self._live.get(stream)
            waited_for = live is None or live.wishes.stream or live.wishes.waits
            if isinstance(job, Transcribe) and job.preview:
                waited_for = False  # a text that is final comes before one that is not
                if self._headroom.late or self._pool.behind(False):
                    done(Lost("overloaded"))
                    return
            self.recognisers.submit(self._pool, stream, job, done, not waited_for)

    def release(self, stream: int) -> None:
        self._pool.release(stream)

    # -- hotwords -----------------------------------------------------------------------

    def use_hotwords(self, words: tuple[Hotword, ...]) -> None:
        """From now on sentences that start use this table."""
        self._hotwords = offload(HotwordIndex, words, self._pronouncer, self._lexicon)
        with self._lock:
            for live in list(self._live.values()):
                self._reconfigure(live)

    def use_own_hotwords(self, driver: Driver[Any], words: tuple[Hotword, ...]) -> None:
        """Replace the words that one recording brought along."""
        with self._lock:
            if live := self._live.get(driver.stream):
                self._reconfigure(replace(live, wishes=replace(live.wishes, hotwords=words)))

    def configure(self, driver: Driver[Any], wishes: Wishes) -> None:
        """Sentences of this recording that start from now on follow ``wishes``; a table they name, if another, is read
        anew. Raises XingjiError("bad_config")."""
        with self._lock:
            if live := self._live.get(driver.stream):
                same = wishes.hotword_table == live.wishes.hotword_table
                named = live.named if same else self._named(wishes.hotword_table)
                self._reconfigure(replace(live, wishes=wishes, named=named))

    def _reconfigure(self, live: _Live) -> None:
        self._live[live.driver.stream] = live
        live.driver.put(Configure(self._profile(live.wishes, live.named)))

    def _named(self, id: str | None) -> HotwordIndex | None:
        try:
            return None if id is None else self._tables.index(id)
        except XingjiError as error:
            raise XingjiError("bad_config", field="hotword_table") from error

    def _index(self, wishes: Wishes, named: HotwordIndex | None) -> Hotwords:
        """A recording's own words win over the table it named, and that over the server's."""
        table = self._hotwords if wishes.server_hotwords else self._none
        words: Hotwords = table if named is None else Layered(named, table)
        own = wishes.hotwords
        return Layered(HotwordIndex(own, self._pronouncer, self._lexicon), words) if own else words

    # -- results ------------------------------------------------------------------------

    def expect(self, recording_id: str) -> None:
        with self._lock:
            self._results[recording_id] = (float("inf"), None)

    def keep(self, recording_id: str, result: Kept | None) -> None:
        """Hold a final result for clients that lost their connection; None where a defect ended the recording."""
        now = time.monotonic()
        with self._lock:
            for id in [id for id, (until, _) in self._results.items() if until < now]:
                del self._results[id]
            if result is None:
                self._results.pop(recording_id, None)
            else:
                self._results[recording_id] = (now + self._limits.keep_result_s, result)

    def result(self, recording_id: str) -> Kept | None:
        """The kept result, None while it is awaited. Raises XingjiError("not_found")."""
        until, result = self._results.get(recording_id, (0.0, None))
        if until < time.monotonic():
            raise XingjiError("not_found")
        return result

    def forget(self, recording_id: str) -> None:
        with self._lock:
            self._results.pop(recording_id, None)

    # -- the end -------------------------------------------------------------------------

    def drain(self, timeout_s: float) -> None:
        """Take nothing new, stop every recording and wait for their final results."""
        with self._lock:
            self._closing = True
            drivers = [live.driver for live in self._live.values()]
        for driver in drivers:
            driver.stop("server_shutdown")
        deadline = time.monotonic() + timeout_s
        for driver in drivers:
            driver.finished.wait(max(0.0, deadline - time.monotonic()))
