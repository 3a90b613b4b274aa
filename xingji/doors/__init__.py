"""Doors: Flask and Socket.IO routes. They translate; what happens is decided further down."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from flask import current_app
from flask_socketio import SocketIO

from ..runtime.backup import Backups
from ..runtime.correcting import Corrections
from ..runtime.gate import Gate
from ..runtime.hotword_file import HotwordFile
from ..runtime.hotword_tables import HotwordTables
from ..runtime.hub import Hub
from ..runtime.metrics import Metrics
from ..runtime.models import ModelSet
from ..runtime.pool import Pool
from ..runtime.secrets import Secrets
from ..settings import Settings

log = logging.getLogger(__name__)

SENDING_S = 0.5  # what the transport has taken is then on its way


@dataclass(slots=True)
class Services:
    """What the doors open onto; made by ``xingji.app``."""

    settings: Settings
    socketio: SocketIO
    models: ModelSet
    pool: Pool
    hub: Hub
    hotwords: HotwordFile
    tables: HotwordTables
    backups: Backups
    corrections: Corrections | None
    metrics: Metrics
    started: float  # time.monotonic()
    gates: dict[str, Gate[Any]] = field(default_factory=dict)  # by Socket.IO sid or own id
    ports: dict[str, int] = field(default_factory=dict)  # own ports that are served now, by protocol
    hosts: tuple[str, ...] = ()  # on which a server of its own listens, besides the setting
    secrets: Secrets = field(default_factory=Secrets)

    def end_idle_connections(self) -> None:
        """For ever; the only thread that does."""
        timeout_s = self.settings.connection_timeout_s
        while True:
            time.sleep(min(1.0, timeout_s / 4))
            for gate in list(self.gates.values()):
                gate.end_if_idle(timeout_s)  # and what else a connection does by itself

    def shut_down(self, within_s: float) -> None:
        """Take nothing new, finish what is being recorded, deliver the results, end the workers."""
        deadline = time.monotonic() + within_s - SENDING_S
        log.info("stopping", extra={"recordings": self.hub.active})
        self.hub.drain(deadline - time.monotonic())
        while any(gate.owes for gate in list(self.gates.values())) and time.monotonic() < deadline:
            time.sleep(0.05)
        for gate in list(self.gates.values()):
            gate.dismiss()
        time.sleep(SENDING_S)
        self.pool.close()


def services() -> Services:
    return current_app.extensions["xingji"]  # type: ignore[no-any-return]
