"""The gunicorn worker that runs the gateway: green threads, one process, an end that loses nothing.

gunicorn 26 dropped its eventlet worker. This one is written on ``threading`` and ``socket``, which are
green once the process is patched, and ends through the application's own ``shut_down``: on SIGTERM
recordings are stopped and finished and their results delivered, while connections are still served.
"""

import gc
import os
import socket
import sys
import threading
import time
from contextlib import AbstractContextManager
from typing import Any

from gunicorn.errors import AppImportError
from gunicorn.workers.base_async import AsyncWorker

from . import green

LOOK_S = 0.5  # how soon a signal is noticed
SPARE_S = 2.0  # of gunicorn's graceful_timeout, at whose end it kills


class GatewayWorker(AsyncWorker):  # type: ignore[misc]
    def __init__(self, *given: Any, **named: Any) -> None:
        """Still in gunicorn's master process, which ends here where its options cannot work."""
        super().__init__(*given, **named)
        if self.cfg.workers != 1 or self.cfg.preload_app or self.cfg.is_ssl:
            sys.exit(
                "请只用一个 gunicorn worker（-w 1），不要 --preload，TLS 交给代理；要更多就在代理后面多开服务。\n"
                "One gunicorn worker (-w 1), no --preload, TLS in a proxy: "
                "recordings live in one process. For more, run several servers behind a proxy."
            )

    def init_process(self) -> None:
        self.cfg.set("sendfile", False)  # green sockets do not block, and sendfile needs one that does
        green.patch()  # here, in the new process, and not in the master, which stays as it is
        super().init_process()

    def load_wsgi(self) -> None:
        try:
            super().load_wsgi()
        except SystemExit as refused:  # gunicorn would start another worker, and another
            raise AppImportError(refused) from refused
        # -b wins over the setting; a Unix socket's address is no pair.
        self.wsgi.extensions["xingji"].hosts = tuple(at[0] for at in self.cfg.address if isinstance(at, tuple))

    def run(self) -> None:
        gc.freeze()  # see ``app.serve``
        places = threading.BoundedSemaphore(self.worker_connections)
        for listener in self.sockets:
            # The sockets were made before patching.
            ours = socket.socket(listener.sock.family, listener.sock.type, fileno=listener.sock.detach())
            threading.Thread(target=self._accept, args=(ours, places), daemon=True).start()
        while self.alive and os.getppid() == self.ppid:
            self.notify()
            time.sleep(LOOK_S)
        # Connections are taken and served to the end: polling clients fetch their last result with a new one.
        self.wsgi.extensions["xingji"].shut_down(max(0.0, self.cfg.graceful_timeout - SPARE_S))

    def handle_quit(self, number: int, frame: Any) -> None:
        self.handle_exit(number, frame)  # Ctrl-C loses no recording either

    def timeout_ctx(self) -> AbstractContextManager[object]:
        return green.deadline(self.cfg.keepalive)

    def is_already_handled(self, response: Any) -> bool:
        if green.was_websocket():
            raise StopIteration  # gunicorn's word for: this connection is over
        return bool(super().is_already_handled(response))

    def _accept(self, listener: socket.socket, places: threading.BoundedSemaphore) -> None:
        while True:
            places.acquire()
            try:
                client, address = listener.accept()
            except OSError as error:  # no file descriptor left, or the client has gone again
                self.log.warning("accept failed: %s", error.strerror)
                places.release()
                time.sleep(LOOK_S)
                continue
            threading.Thread(target=self._serve, args=(listener, client, address, places), daemon=True).start()

    def _serve(
        self, listener: socket.socket, client: socket.socket, address: Any, places: threading.BoundedSemaphore
    ) -> None:
        try:
            self.handle(listener, client, address)
        finally:
            places.release()
