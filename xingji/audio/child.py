"""The process that decodes, as its parent sees it: a fresh interpreter that can open nothing and may die."""

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from xingji.core.errors import XingjiError

from .limits import Limits

log = logging.getLogger(__name__)

REFUSED = 3  # the child's exit status when its last line on stderr names the reason

DECLARED = struct.Struct("<d")  # before the samples of a file: the seconds that it claims to have, or 0

_ROOT = Path(__file__).resolve().parents[2]  # where the child finds this package
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "APPDATA", "SYSTEMROOT")


def spawn(what: str, argument: str, limits: Limits, stdin: int, buffer: int) -> subprocess.Popen[bytes]:
    """``what`` and ``argument``: ``file`` and its path, or ``stream`` and what it was declared to be. Samples come on
    its stdout, of which ``buffer`` bytes are read ahead."""
    # Secrets in our environment are no business of a process that reads strangers' audio.
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "xingji.audio.decode_child", what, argument, json.dumps(asdict(limits))],
        cwd=_ROOT,
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},
        bufsize=buffer,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class Inlet:
    """The way into a child's stdin: ``far`` is what to start it with, then ``opened`` must be called."""

    def __init__(self) -> None:
        self.far = subprocess.PIPE
        self.send: Callable[[memoryview], object] = lambda data: None
        """Send all of it, waiting for the child. Raises OSError when it has died."""
        self.close: Callable[[], None] = lambda: None
        self._far: socket.socket | None = None
        # Not a pipe where that can be: under eventlet one waits for ever for a reader that has died.
        if sys.platform != "win32":
            near, self._far = socket.socketpair()
            os.set_blocking(self._far.fileno(), True)  # the child reads plainly; eventlet has set it otherwise
            self.far, self.send, self.close = self._far.fileno(), near.sendall, near.close

    def opened(self, child: subprocess.Popen[bytes] | None) -> None:
        """None: there will be no child."""
        if self._far is not None:
            self._far.close()
        elif child is not None:
            assert child.stdin is not None
            pipe = child.stdin

            def send(data: memoryview) -> None:
                while data:
                    data = data[pipe.write(data) :]

            self.send, self.close = send, pipe.close
        if child is None:
            self.close()


def verdict(child: subprocess.Popen[bytes]) -> XingjiError | None:
    """What the child, whose output has ended, has to say about its end."""
    assert child.stderr is not None
    complaint = child.stderr.read()
    status = child.wait()
    if status == 0:
        return None
    if status == REFUSED:
        return XingjiError(json.loads(complaint.splitlines()[-1])["code"])
    if sys.platform != "win32" and status == -signal.SIGXCPU:
        return XingjiError("too_large")
    last_words = complaint[-2000:].decode(errors="replace")
    log.error("decoder child died", extra={"status": status, "stderr": last_words})
    # A signal means that the audio broke the decoder; a plain status means that the child never got to work.
    return XingjiError("decode_failed" if status < 0 else "internal")
