"""One inference worker and the way of jobs to it.

A worker is one process on one socket. A closed socket means that the
process died: it is started again, stateless jobs go to its successor, and jobs that needed its
state come back as ``Forgotten``, whereupon the session sends the audio again. Nothing here waits
for a model; answers arrive on the link's reader thread.
"""

import json
import logging
import math
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from ..core.messages import Align, Forgotten, Lost, Result, Transcribe, Work
from . import ipc
from .metrics import Metrics
from .read_ahead import ReadAhead

log = logging.getLogger(__name__)

TRIES = 2  # workers that may die of one stateless job before it is given up as poison
HOPELESS = 3  # starts in a row that fail before jobs are refused at once
SLOW_STARTS = 10  # times the expected time of a start: disks may be slow, but what takes longer has hung
TABLES = 10_000  # that a link remembers having sent; then it begins anew
HELLO_S = 5.0  # for a process that connects to say who it is


@dataclass(slots=True)
class _Pending:
    stream: int
    job: Work
    done: Callable[[Result], None]
    patience: int
    since: float
    tries: int = 0


class Link:
    """One worker process, its socket and the jobs it owes."""

    def __init__(
        self,
        role: str,
        setup: Mapping[str, Any],
        job_timeout_s: float,
        start_limit_s: float,
        metrics: Metrics,
        python: str | None = None,
    ) -> None:
        """``python``: the interpreter of the process, where that is not our own."""
        self._python = python
        self.role = role
        self.state = "starting"  # starting → ready → (lost → starting); ready → starting where the models move
        self.models: dict[str, Any] = {}
        self.costs: dict[str, float] = {}  # see ``headroom``
        self.degraded: str | None = None  # why the models run on the CPU though another device was asked for
        self.restarts = -1
        self._setup = dict(setup)
        self._job_timeout_s, self._start_limit_s = job_timeout_s, start_limit_s
        self._metrics = metrics
        self._lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._running: set[int] = set()  # jobs that the process has begun
        self._sent: set[str] = set()  # hotword tables that it was sent
        self._outgoing: Queue[dict[str, Any]] = Queue()
        self._ids = 0
        self._failures = 0
        self._alive_at = time.monotonic()  # when the process last showed life
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None
        self._beginning = threading.Lock()  # so that no process begins behind the back of ``close``
        self._token = secrets.token_hex(16)
        self._folder = tempfile.mkdtemp(prefix="xingji-")
        self._listener, self._address = _listen(Path(self._folder) / f"{role}.sock")
        self.ready = threading.Event()
        self._reader = threading.Thread(target=self._live, name=f"worker-{role}", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name=f"watch-{role}", daemon=True).start()

    # -- jobs -----------------------------------------------------------------------

    def submit(self, stream: int, job: Work, done: Callable[[Result], None], patience: int = 0, tries: int = 0) -> None:
        with self._lock:
            hopeless = self.hopeless or self._closing
            if not hopeless:
                self._ids += 1
                item = self._pending[self._ids] = _Pending(stream, job, done, patience, time.monotonic(), tries)
                self._put(self._ids, item)
        if hopeless:
            done(Lost("unavailable"))

    def release(self, stream: int) -> None:
        self._outgoing.put({"release": stream})

    def close(self) -> None:
        with self._beginning:
            self._closing = True
        self._end_process()
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def hopeless(self) -> bool:
        """It has not been able to start, again and again."""
        return self._failures >= HOPELESS

    @property
    def waiting(self) -> int:
        return len(self._pending)

    def waited_s(self, patience: int) -> float:
        """How long the oldest job that is not begun has waited for its turn, of those with so much patience or less."""
        with self._lock:
            waiting = (
                item.since
                for id, item in self._pending.items()
                if id not in self._running and item.patience <= patience
            )
            oldest = min(waiting, default=math.inf)
        return max(0.0, time.monotonic() - oldest)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def _put(self, id: int, item: _Pending) -> None:
        """Under the lock, so that a table goes before every job that names it."""
        for table in item.job.hotwords if isinstance(item.job, Transcribe) else ():
            if table.digest not in self._sent:
                if len(self._sent) >= TABLES:
                    self._sent.clear()
                self._sent.add(table.digest)
                self._outgoing.put(ipc.pack_table(table))
        how = {"patience": item.patience, "alone": item.tries > 0}
        self._outgoing.put({"id": id, "stream": item.stream, "job": ipc.pack(item.job), **how})

    def _put_again(self, id: int, lacking: Sequence[str]) -> None:
        """The process has no room for all tables, and those that this job names are not there any more."""
        with self._lock:
            self._sent.difference_update(lacking)
            if item := self._pending.get(id):
                self._put(id, item)

    # -- the life of the process ------------------------------------------------------

    def _live(self) -> None:
        while not self._closing:
            self.restarts += 1
            self._alive_at = time.monotonic()
            self.state = "starting"
            connection = self._start()
            if connection is not None:
                self._failures = 0
                self.ready.set()
                self._serve(connection)
            else:
                self._failures += 1
            self.ready.clear()
            self.state = "lost"
            self._end_process()
            if not self._closing:
                log.warning("worker lost", extra={"role": self.role, "pending": len(self._pending)})
                if connection is not None or self.hopeless:
                    self._return_jobs()
                time.sleep(min(10.0, 0.2 * 4**self._failures) if self._failures else 0.0)

    def _start(self) -> ReadAhead | None:
        """A new process whose models are loaded and warm, or None."""
        self._end_process()
        setup = json.dumps(self._setup | {"token": self._token})
        with self._beginning:
            if self._closing:
                return None
            self._process = subprocess.Popen(
                [self._python or sys.executable, "-m", "xingji.runtime.worker", self.role, self._address],
                env=os.environ | {"XINGJI_WORKER": setup, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        while self._process.poll() is None and not self._closing:
            try:
                connection = ReadAhead(self._listener.accept()[0])
            except TimeoutError:
                continue
            except OSError:
                return None
            connection.settimeout(HELLO_S)
            hello = ipc.receive(connection)
            if hello is None or hello.get("token") != self._token:
                connection.close()
                continue
            connection.settimeout(None)
            ready = ipc.receive(connection)
            if ready is None:
                connection.close()
                return None
            self._is_ready(ready)
            return connection
        return None

    def _is_ready(self, message: dict[str, Any]) -> None:
        self.models, self.costs, self.degraded = message["ready"], message["costs"], message["degraded"]
        self._alive_at = time.monotonic()
        self.state = "ready"
        log.info("worker ready", extra={"role": self.role, "restarts": self.restarts})
        if self.degraded is not None:
            log.warning("models run on the CPU", extra={"role": self.role, "reason": self.degraded})

    def _serve(self, connection: ReadAhead) -> None:
        sender = threading.Thread(target=self._send, args=(connection,), daemon=True)
        sender.start()
        while (message := ipc.receive(connection)) is not None:
            self._alive_at = time.monotonic()
            match message:
                case {"id": id, "result": result, "seconds": seconds, "batch": batch}:
                    self._answered(id, ipc.unpack(result), seconds, batch)
                case {"id": id, "lacks": lacking}:
                    self._put_again(id, lacking)
                case {"begun": ids}:
                    self._running = set(ids)
                case {"ready": _}:
                    self._is_ready(message)
                case {"degraded": reason}:
                    # What is asked while they move waits in the worker, so ``ready`` stays set.
                    log.warning("models move to the CPU", extra={"role": self.role, "reason": reason})
                    self.degraded, self.state = reason, "starting"
        connection.close()
        self._outgoing.put({})  # wakes the sender, which finds the connection closed
        sender.join()

    def _answered(self, id: int, result: Result, seconds: float, batch: int) -> None:
        with self._lock:
            pending = self._pending.pop(id, None)
        if pending is not None:
            self._metrics.ran(pending.job, seconds, batch)
            pending.done(result)

    def _send(self, connection: ReadAhead) -> None:
        # A thread of its own: were the reader to send, both sides could wait for the other's full buffer.
        while True:
            messages = [self._outgoing.get()]
            while not self._outgoing.empty():
                messages.append(self._outgoing.get())
            try:
                if not all(messages):
                    return
                ipc.send(connection, *messages)
            except OSError:
                return

    def _return_jobs(self) -> None:
        """What the dead process owed: stateless jobs go to the next one, the others must begin again."""
        with self._lock:
            owed, self._pending = self._pending, {}
            self._sent.clear()
            while not self._outgoing.empty():
                self._outgoing.get_nowait()
        # It died of what it had begun, or of the next before it could say so. Each goes alone from now on, so
        # that what kills workers is found out and takes nothing else along.
        suspects = self._running & owed.keys() or set(list(owed)[:1])
        self._running = set()
        for id, item in owed.items():
            tries = item.tries + (id in suspects)
            if not isinstance(item.job, Transcribe | Align):
                item.done(Forgotten())
            elif tries < TRIES:
                self.submit(item.stream, item.job, item.done, item.patience, tries)
            else:
                item.done(Lost("crashed"))

    def _watch(self) -> None:
        """A process that has owed something for long, an answer or its models, has hung; end it like a crashed one."""
        while not self._closing:
            time.sleep(1.0)
            state = self.state
            if self._owing_s(state) > (self._job_timeout_s if state == "ready" else self._start_limit_s):
                log.error("worker hangs", extra={"role": self.role, "state": state})
                self._end_process()

    def _owing_s(self, state: str) -> float:
        """How long the process has given no sign of life although one was due."""
        if state == "lost":
            return 0.0  # there is no process
        with self._lock:
            oldest = min((p.since for p in self._pending.values()), default=math.inf)
        due_since = self._alive_at if state == "starting" else max(oldest, self._alive_at)
        return time.monotonic() - due_since

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _listen(path: Path) -> tuple[socket.socket, str]:
    if hasattr(socket, "AF_UNIX"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        address = str(path)
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        address = str(listener.getsockname()[1])
    listener.listen(4)
    listener.settimeout(0.5)
    return listener, address
