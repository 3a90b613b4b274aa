"""Socket.IO: each event goes to its connection's gate, each answer back through the outbox.

The handlers run on the connection's own thread, in order (``async_handlers=False``), and only
validate and enqueue.
"""

import logging
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from engineio.packet import PING, Packet
from flask import request
from flask_socketio import ConnectionRefusedError, SocketIO

from ..audio import CONTAINERS
from ..core.errors import XingjiError
from ..runtime.gate import Gate, Recording
from ..runtime.outbox import Outbox
from ..wire import milliseconds
from ..wire.socketio import PROTOCOL_VERSION, Message, SocketIoWire
from ..wire.socketio_read import read_audio, read_hotwords, read_start
from . import SENDING_S, Services, services
from .access import admits, shown_in_request

log = logging.getLogger(__name__)

Ack = dict[str, Any]

STRANGER_S = 10.0  # who is let in has said so by then
FEATURES = ("segment_result", "hotwords", "cancel")


def register(socketio: SocketIO, here: Services) -> None:
    socketio.on_event("connect", handle_connect)
    socketio.on_event("disconnect", handle_disconnect)
    socketio.on_event("start_recording", handle_start_recording)
    # Below Flask, which would make a request of every event: these come ten times a second from whoever speaks.
    socketio.server.on("audio_data", partial(_hear, here))
    socketio.on_event("stop_recording", handle_stop_recording)
    socketio.on_event("cancel_recording", handle_cancel_recording)
    socketio.on_event("update_hotwords", handle_update_hotwords)
    socketio.on_event("resume_recording", handle_resume_recording)
    socketio.on_event("ping_latency", handle_ping_latency)
    socketio.on_event("*", handle_unknown_event)


def end_strangers(here: Services) -> None:
    """For ever: ends what has connected below Socket.IO and was not let in, or has never asked to be."""
    eio, manager = here.socketio.server.eio, here.socketio.server.manager
    patience_s = min(STRANGER_S, here.settings.connection_timeout_s)
    since: dict[str, float] = {}
    while True:
        time.sleep(patience_s / 4)
        now, admitted = time.monotonic(), {manager.eio_sid_from_sid(sid, "/") for sid in list(here.gates)}
        since = {sid: since.get(sid, now) for sid in list(eio.sockets) if sid not in admitted}
        for sid, first in since.items():
            if now - first > patience_s and (link := eio.sockets.get(sid)) is not None:
                link.close(wait=False)


def handle_connect(auth: object = None) -> None:
    here, sid = services(), _sid()
    token = auth.get("token") if isinstance(auth, dict) else None
    if not admits(here.settings.api_keys, (*shown_in_request(), *([token] if isinstance(token, str) else []))):
        refused = XingjiError("unauthorized")
        told = {"code": refused.code, "message": refused.meaning.zh, "message_en": refused.meaning.en}
        raise ConnectionRefusedError("unauthorized", told)
    transport = _Transport(here.socketio, sid)
    outbox: Outbox[Message] = Outbox(transport.send, transport.pending)
    here.gates[sid] = Gate(here.hub, SocketIoWire(), outbox, transport.keep_alive)
    here.socketio.start_background_task(outbox.run)
    outbox.put(lambda: (("connected", _welcome(here, sid)),))


def handle_disconnect(*_: object) -> None:
    if gate := services().gates.pop(_sid(), None):
        gate.close()


def _guarded(handle: Callable[[Gate[Message], Any], Ack]) -> Callable[..., Ack]:
    """An event of the connection that Flask knows of; further arguments are ignored."""

    @wraps(handle)
    def handler(payload: object = None, *_: object) -> Ack:
        return _handled(_gate(), handle, payload)

    return handler


def _hear(here: Services, sid: str, payload: object = None, *_: object) -> Ack:
    return _handled(_gate_of(here, sid), handle_audio_data, payload)


def _handled(gate: Gate[Message] | None, handle: Callable[[Gate[Message], Any], Ack], payload: object) -> Ack:
    """What goes wrong becomes an ``error`` event and ``{ok: false, code}``."""
    if gate is None:
        return {"ok": False, "code": "no_session"}
    try:
        return {"ok": True} | handle(gate, payload)
    except XingjiError as error:
        failed = error
    except Exception:
        log.exception("event failed", extra={"event": handle.__name__})
        failed = XingjiError("internal")
    gate.refuse(failed)
    field = {} if failed.field is None else {"field": failed.field}
    return {"ok": False, "code": failed.code} | field | failed.detail


@_guarded
def handle_start_recording(gate: Gate[Message], payload: object) -> Ack:
    opened = read_start(payload, services().settings.sentence_silence_ms)
    return {"recording_id": gate.open(opened).id}


def handle_audio_data(gate: Gate[Message], payload: object) -> Ack:
    frame = read_audio(payload)
    recording = gate.feed(frame)
    if recording is None:
        return {"ok": False, "code": "no_session"}  # told once per burst, true of every frame
    return _position(recording) | {"received_seq": frame.seq}


@_guarded
def handle_stop_recording(gate: Gate[Message], payload: object) -> Ack:
    recording, duplicate = gate.stop()
    return {"recording_id": recording.id} | ({"duplicate": True} if duplicate else {})


@_guarded
def handle_cancel_recording(gate: Gate[Message], payload: object) -> Ack:
    return {"recording_id": gate.cancel().id}


@_guarded
def handle_update_hotwords(gate: Gate[Message], payload: object) -> Ack:
    words = payload.get("hotwords") if isinstance(payload, dict) else None
    if words is None:
        raise XingjiError("bad_config", field="hotwords")
    hotwords = read_hotwords(words)
    return {"recording_id": gate.use_hotwords(hotwords).id, "count": len(hotwords)}


def handle_resume_recording(*_: object) -> Ack:
    _gate()
    body = {"success": False, "code": "not_supported", "reason": XingjiError("not_supported").meaning.zh}
    services().socketio.emit("resume_result", body, to=_sid())
    return {"ok": False, "code": "not_supported"}


def handle_ping_latency(payload: object = None, *_: object) -> object:
    _gate()
    return payload


def handle_unknown_event(event: str, *_: object) -> Ack:
    if gate := _gate():
        gate.refuse(XingjiError("unknown_event", detail={"event": event[:64]}))
    return {"ok": False, "code": "unknown_event"}


def _gate() -> Gate[Message] | None:
    return _gate_of(services(), _sid())


def _gate_of(here: Services, sid: str) -> Gate[Message] | None:
    """The gate of the connection that has just sent an event."""
    gate = here.gates.get(sid)
    if gate is not None:
        gate.heard()
    return gate


def _position(recording: Recording) -> Ack:
    driver = recording.driver
    return {"received_ms": milliseconds(driver.accepted), "lag_ms": milliseconds(driver.backlog)}


def _welcome(here: Services, sid: str) -> dict[str, Any]:
    settings = here.settings
    return {
        "session_id": sid,
        "protocol_version": PROTOCOL_VERSION,
        "limits": {
            "max_frame_bytes": settings.max_frame_bytes,
            "max_recording_s": settings.max_recording_s,
            "idle_timeout_s": settings.idle_s,
            "connection_timeout_s": settings.connection_timeout_s,
        },
        "features": [*FEATURES, *CONTAINERS] + (["llm"] if here.hub.llm_model else []),
    }


def _sid() -> str:
    return request.sid  # type: ignore[attr-defined,no-any-return]


class _Transport:
    """The connection below Socket.IO: how much it has still to write, its heartbeat while it must wait, its end."""

    def __init__(self, socketio: SocketIO, sid: str) -> None:
        self._socketio, self._sid = socketio, sid
        server = socketio.server
        self._link = server.eio.sockets.get(server.manager.eio_sid_from_sid(sid, "/"))
        self._pinged = time.monotonic()

    def send(self, message: Message) -> None:
        self._socketio.emit(message[0], message[1], to=self._sid)
        if message[1].get("fatal") and self._link is not None:
            time.sleep(SENDING_S)
            self._link.close(wait=False)  # below Socket.IO, so that clients come back by themselves

    def pending(self) -> int:
        return 0 if self._link is None or self._link.closed else int(self._link.queue.qsize())

    def keep_alive(self) -> None:
        """While the gate does not read, pongs stay unread too: do not hold that against the client, and ping it."""
        link = self._link
        if link is None or link.closed:
            return
        if link.last_ping:
            link.last_ping = time.time()
        if time.monotonic() - self._pinged > link.server.ping_interval:
            self._pinged = time.monotonic()
            link.send(Packet(PING))
