"""An inference worker: its own process, one thread that owns the models, one socket to the gateway.

Started as ``python -m xingji.runtime.worker ROLE ADDRESS`` with the model directories as JSON in
``XINGJI_WORKER``. It loads, warms up, says ``ready`` and then answers jobs until the socket closes.
State of running streams lives here and dies with the process: a job that needs state which is
not here is answered with ``Forgotten``, and the session sends everything again. A job that names a hotword table
which is not here is given back, and the gateway sends both. Where the memory
of the device does not suffice, batches become smaller, and at last the models move to the CPU.
"""

import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import EngineError
from ..core.messages import Forgotten, Lost, Result
from ..core.types import HotwordTable
from ..engines.device import give_back, out_of_memory, place
from . import ipc
from .batch import Request, take
from .read_ahead import ReadAhead
from .roles import ROLES, Role

log = logging.getLogger(__name__)

GIVES_WAY = 5  # niceness of workers that transcribe what has been said to those that hear what is being said


class Worker:
    """Reads requests on one thread, answers them on another; the socket's end is the end of both."""

    def __init__(self, connection: socket.socket, role: Role) -> None:
        self._connection, self._role = connection, role
        self._limits = dict(role.limits)  # lowered to what the device's memory has room for
        self._arrived = threading.Condition()
        self._waiting: list[Request] = []
        self._suspects: set[int] = set()  # streams that were in a batch that failed, until they have been answered
        self._released: list[int] = []
        self._tables: list[HotwordTable] = []  # that have come and are not learnt yet
        self._over = False

    def run(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._waiting or self._released or self._tables or self._over)
                if self._over:
                    return
                tables, self._tables = self._tables, []
                for at, request in enumerate(self._waiting):
                    if request.stream in self._suspects and not request.alone:
                        self._waiting[at] = replace(request, alone=True)
                batch = take(self._waiting, self._limits)
                busy = {request.stream for request in self._waiting}
                over = [stream for stream in self._released if stream not in busy]
                self._released = [stream for stream in self._released if stream in busy]
            for table in tables:
                self._learn(table)
            if batch := self._complete(batch):
                self._answer(batch)
            for stream in over:  # after its last job, which would bring it back
                self._role.release(stream)
                self._suspects.discard(stream)

    def _learn(self, table: HotwordTable) -> None:
        try:
            self._role.learn(table)
        except Exception:
            log.exception("hotword table failed", extra={"words": len(table.words)})
            self._role.learn(HotwordTable(table.digest))  # or it would be asked for again and again

    def _complete(self, batch: list[Request]) -> list[Request]:
        """Those for which everything is here; the others are given back."""
        lacking = [(request, self._role.lacks(request.job)) for request in batch]
        for request, tables in lacking:
            if tables:
                ipc.send(self._connection, {"id": request.id, "lacks": tables})
        return [request for request, tables in lacking if not tables]

    def _answer(self, batch: list[Request]) -> None:
        ipc.send(self._connection, {"begun": [request.id for request in batch]})
        begun = time.perf_counter()
        results = self._run(batch)
        took = time.perf_counter() - begun
        if len(batch) == 1 and not isinstance(results[0], Lost | Forgotten):
            self._suspects.discard(batch[0].stream)
        about = {"seconds": took / len(batch), "batch": len(batch)}
        pairs = zip(batch, results, strict=True)
        answers = [{"id": request.id, "result": ipc.pack(result)} | about for request, result in pairs]
        ipc.send(self._connection, *answers)

    def _run(self, batch: list[Request]) -> list[Result]:
        """One result for each. What the device has no room for is tried again in halves, then on the CPU. A batch
        that fails for another reason is tried again one by one: it is the fault of one, and only that one is lost.

        A call that failed leaves the states of its streams half-done, and the role does not use them again:
        tried once more, a job that begins a stream or needs none is answered, any other is Forgotten.
        """
        kind, half = type(batch[0].job), len(batch) // 2
        try:
            return self._role.answer(batch)
        except Exception as error:
            shortage = out_of_memory(self._role.device, error)
            if shortage is None:
                log.exception("inference failed", extra={"job": kind.__name__, "batch": len(batch)})
                if not half:
                    return [Lost("engine_failed")]
        # Out here, the traceback no longer holds what the call had taken of the memory.
        if shortage is None:
            self._suspects |= {request.stream for request in batch}
            return [result for request in batch for result in self._run([request])]
        if half:
            log.warning("batch does not fit", extra={"job": kind.__name__, "batch": len(batch), "reason": shortage})
            limit = self._limits[kind]
            # Each time costs a stream its state, and a session gives it again three times only: 16, 4, 1.
            self._limits[kind] = replace(limit, jobs=max(1, half // 2) if limit.ordered else half)
            return self._run(batch[:half]) + self._run(batch[half:])
        self._move_to_cpu(shortage)
        return self._run(batch)

    def _move_to_cpu(self, reason: str) -> None:
        """Loading takes as long as at the start, so the gateway is told before as well as after."""
        ipc.send(self._connection, {"degraded": reason})
        full = self._role.device
        self._role.load_on("cpu")
        give_back(full)
        self._role.warm_up()
        self._limits = dict(self._role.limits)
        ipc.send(self._connection, ready(self._role, reason))

    def _read(self) -> None:
        connection = ReadAhead(self._connection)
        while (message := ipc.receive(connection)) is not None:
            with self._arrived:
                if "release" in message:
                    self._released.append(message["release"])
                elif "table" in message:
                    self._tables.append(ipc.unpack_table(message))
                else:
                    job = ipc.unpack(message["job"])
                    how = message["patience"], message["alone"]
                    self._waiting.append(Request(message["id"], message["stream"], job, *how))
                self._arrived.notify()
        with self._arrived:
            self._over = True
            self._arrived.notify()


def connect(address: str, token: str) -> socket.socket:
    """``address`` is a unix socket's path, or ``port`` on the loopback where there are none."""
    if address.isdigit():
        connection = socket.create_connection(("127.0.0.1", int(address)))
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
    ipc.send(connection, {"token": token})
    return connection


def ready(role: Role, degraded: str | None) -> dict[str, Any]:
    """What the gateway is told when the models are loaded and warm."""
    return {"ready": role.describe(), "costs": dict(role.costs), "degraded": degraded}


def load(role_name: str, setup: dict[str, Any]) -> tuple[Role, str | None]:
    """The role's models, loaded and warm, and why they are not on the device that was asked for."""

    def build(device: str) -> Role:
        folders = {name: Path(path) for name, path in setup["models"].items()}
        role = ROLES[role_name](folders, device, setup["precision"], **setup.get("options", {}))
        role.warm_up()
        return role

    return place(setup["device"], setup["mps"], build)


def _tidy() -> None:
    """Give back what loading took and no longer needs: glibc keeps a hundred megabytes of it unless it is asked."""
    gc.collect()
    gc.freeze()  # and look through what stays no more
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def main(role_name: str, address: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's to handle
    setup = json.loads(os.environ["XINGJI_WORKER"])
    logging.basicConfig(level=setup["log_level"], stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    connection = connect(address, setup["token"])
    if role_name != "stream" and hasattr(os, "nice"):
        os.nice(GIVES_WAY)
    try:
        role, degraded = load(role_name, setup)
    except EngineError as error:
        sys.exit(f"{role_name} worker: {error}")  # whatever is wrong with a directory is said in one sentence
    _tidy()
    ipc.send(connection, ready(role, degraded))
    Worker(connection, role).run()


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except OSError:
        sys.exit(1)  # the gateway is gone
