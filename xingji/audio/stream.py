"""A stream of compressed audio, decoded while it arrives, by a child of its own.

A writer thread hands the child what comes, a reader thread takes what it gives and calls ``ready``, which
may wait. So whoever does not take the samples stops the reader, then the child, then the writer, and at last
``accepts`` is false: nothing is dropped and no buffer grows. Threads and pipes are green under eventlet.
A child that crashes or hangs costs its own stream the rest, and no other anything.
"""

import logging
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples

from .child import Inlet, spawn, verdict
from .limits import Limits

log = logging.getLogger(__name__)

MAX_QUEUED = 256 << 10  # bytes that wait for the child, beyond the last message
AT_ONCE = 64 << 10  # bytes that are read from it, two seconds
PATIENCE_S = 10.0  # how long it may think, once all has been fed, before it counts as hung
REST_S = 3.0  # how long ``flush`` waits for it
REST_SAMPLES = 60 * SAMPLE_RATE  # that ``flush`` takes
NOTHING: Samples = np.empty(0, np.int16)


class Stream:
    """A ``Decoder``. ``flush`` and ``close`` end the child at once or soon; one of them must be called."""

    def __init__(self, declared: str, limits: Limits, ready: Callable[[], None]) -> None:
        """``declared`` is a key of ``sniff.FORMATS``. ``ready`` is called by a thread of ours when there are samples
        to take with ``feed(b"")``, and when ``error`` or the end is known; it may block."""
        self.error: XingjiError | None = None
        self._declared, self._limits, self._ready = declared, limits, ready
        self._child: subprocess.Popen[bytes] | None = None
        self._changed = threading.Condition()
        self._reading = threading.Lock()  # the reader, or ``flush`` in its stead
        self._queue: deque[bytes] = deque()
        self._queued = 0  # bytes, with the message that is being written
        self._fed = self._ending = self._over = self._closed = False
        self._stirred = 0.0  # when the child last took or gave something
        self._carry = b""  # the first half of a sample
        self._samples: list[Samples] = []  # decoded, not yet taken

    def begin(self) -> None:
        with self._changed:
            if self._ending or self._closed or self._child is not None:
                return
            inlet = Inlet()
            try:
                self._child = spawn("stream", self._declared, self._limits, inlet.far, 0)
            except OSError:
                log.exception("no decoder child can be started")
                self.error, self._over = XingjiError("internal"), True
            inlet.opened(self._child)
            if self._child is None:
                return
        threading.Thread(target=self._write, args=(inlet,), name="decoder", daemon=True).start()
        threading.Thread(target=self._read, args=(self._child,), name="decoder", daemon=True).start()

    def feed(self, data: bytes) -> Samples:
        with self._changed:
            if data and not (self._over or self._ending):
                if not self._queued:
                    self._stirred = time.monotonic()
                self._fed = True
                self._queue.append(data)
                self._queued += len(data)
                self._changed.notify_all()
            return self._take()

    def end(self) -> None:
        with self._changed:
            self._ending = True
            self._stirred = time.monotonic()
            self._changed.notify_all()

    def accepts(self, timeout_s: float) -> bool:
        with self._changed:
            accepts = self._changed.wait_for(lambda: self._queued <= MAX_QUEUED or self._over, timeout_s)
        return accepts or self._kill_if_hung()

    def drained(self, timeout_s: float) -> bool:
        with self._changed:
            drained = self._changed.wait_for(lambda: self._over or self._child is None, timeout_s)
        return drained or self._kill_if_hung()

    def _kill_if_hung(self) -> bool:
        """False in any case: the reader has still to notice."""
        owes = self._ending or self._queued > MAX_QUEUED
        waits = self._reading.locked()  # and is not kept by ``ready``
        if self._child is not None and owes and waits and time.monotonic() - self._stirred > PATIENCE_S:
            self._child.kill()
        return False

    def flush(self) -> Samples:
        self.end()
        if self._child is not None and not self._over:
            timer = threading.Timer(REST_S, self._child.kill)
            timer.daemon = True
            timer.start()
            while self._read_once(self._child) and sum(map(len, self._samples)) < REST_SAMPLES:
                pass
            timer.cancel()
        self.close()
        return self._take()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._child is not None and not self._over:
            self._child.kill()

    def _take(self) -> Samples:
        samples, self._samples = self._samples, []
        return samples[0] if len(samples) == 1 else np.concatenate([NOTHING, *samples])

    # -- the writer ----------------------------------------------------------------------

    def _write(self, inlet: Inlet) -> None:
        try:
            while (message := self._next()) is not None:
                rest = memoryview(struct.pack("<I", len(message)) + message)
                while rest:
                    inlet.send(rest[:AT_ONCE])
                    rest = rest[AT_ONCE:]
                    self._stirred = time.monotonic()
                with self._changed:
                    self._queued -= len(message)
                    self._changed.notify_all()
        except OSError:
            log.debug("decoder child takes no more")  # why, the reader will hear
        finally:
            inlet.close()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ending or self._over or self._closed)
            return self._queue.popleft() if self._queue and not (self._over or self._closed) else None

    # -- the reader ----------------------------------------------------------------------

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        try:
            while self._read_once(child):
                self._ready()
            self._ready()
        finally:  # a defect in ``ready`` must not leave a child behind
            self.close()

    def _read_once(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait for samples; False where no more will come."""
        assert child.stdout is not None
        with self._reading:
            if self._over:
                return False
            data = child.stdout.read(AT_ONCE)
            if not data:
                self._find_out(child)
                return False
            data = self._carry + data
            whole = len(data) // 2 * 2
            self._carry = data[whole:]
            with self._changed:
                self._samples.append(np.frombuffer(data[:whole], "<i2"))
                self._stirred = time.monotonic()
            return True

    def _find_out(self, child: subprocess.Popen[bytes]) -> None:
        """Why the child has ended."""
        assert child.stdout is not None and child.stderr is not None
        error = None if self._closed else verdict(child)
        child.wait()
        child.stdout.close()
        child.stderr.close()
        with self._changed:
            self.error = error if self._fed else None
            self._over = True
            self._changed.notify_all()
