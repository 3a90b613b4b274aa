"""Doors: Flask and Socket.IO routes. They translate; what happens is decided further down."""

from dataclasses import dataclass, field
from typing import Any

from flask import current_app
from flask_socketio import SocketIO

from ..runtime.correcting import Corrections
from ..runtime.gate import Gate
from ..runtime.hotword_file import HotwordFile
from ..runtime.hub import Hub
from ..runtime.models import ModelSet
from ..runtime.pool import Pool
from ..settings import Settings


@dataclass(slots=True)
class Services:
    """What the doors open onto; made by ``xingji.app``."""

    settings: Settings
    socketio: SocketIO
    models: ModelSet
    pool: Pool
    hub: Hub
    hotwords: HotwordFile
    corrections: Corrections | None
    started: float  # time.monotonic()
    gates: dict[str, Gate[Any]] = field(default_factory=dict)  # by Socket.IO sid


def services() -> Services:
    return current_app.extensions["xingji"]  # type: ignore[no-any-return]
