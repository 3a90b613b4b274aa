"""The composition root: the only file that knows every part. Settings in, a running gateway out."""

import atexit
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from engineio.payload import Payload
from flask import Flask
from flask_socketio import SocketIO

from . import logs
from .doors import Services, answers, backup, dashscope, hotword_tables, hotwords, ops, rest, sockets, spec, websockets
from .engines.pinyin import Pypinyin
from .runtime.backup import Backups
from .runtime.correcting import Corrections
from .runtime.driver import Clocks
from .runtime.green import mend_websocket
from .runtime.headroom import Headroom
from .runtime.hotword_file import HotwordFile
from .runtime.hotword_tables import HotwordTables
from .runtime.hub import Hub, Limits
from .runtime.metrics import Metrics
from .runtime.models import ModelSet, download, find
from .runtime.pool import Pool
from .runtime.registry import Store
from .settings import ROOT, Settings
from .wire import samples

log = logging.getLogger(__name__)

GRACE_S = 18.0  # with what happens before and after, the process is gone within 20
POLLED_PACKETS = 10_000  # in one request of a polling client: engineio's 16 end it after 1.6 s of slow network
FORM_OVERHEAD = 1 << 20  # bytes of an upload's request beyond the file itself


def create_app(settings: Settings) -> tuple[Flask, SocketIO]:
    """Build the gateway and start its workers; they load while this returns. Raises ModelsMissing."""
    logs.configure(settings.log_level, settings.log_dir)
    app = create_rest(settings)
    socketio = SocketIO(
        app,
        async_mode=settings.async_mode,
        async_handlers=False,  # one background task per event would let frames overtake one another
        cors_allowed_origins="*" if "*" in settings.cors_origins else list(settings.cors_origins),
        ping_interval=settings.ping_interval_s,
        ping_timeout=settings.ping_timeout_s,
        max_http_buffer_size=settings.max_frame_bytes,
        http_compression=False,
        manage_session=False,
    )
    mend_websocket(socketio.server.eio, settings.max_frame_bytes)
    Payload.max_decode_packets = POLLED_PACKETS
    metrics = Metrics()
    here = app.extensions["xingji"] = _services(settings, socketio, init_models(settings, metrics), metrics)
    sockets.register(socketio)
    websockets.register(app, here)
    threading.Thread(target=here.end_idle_connections, name="idle-connections", daemon=True).start()
    threading.Thread(target=announce, args=(app, settings), daemon=True).start()
    if settings.funasr_port:
        port = settings.funasr_port
        threading.Thread(target=websockets.listen, args=(here, "funasr", port), name="funasr", daemon=True).start()
    return app, socketio


def create_rest(settings: Settings) -> Flask:
    """Every route of the gateway, with nothing behind it yet; ``app.extensions["xingji"]`` takes the Services."""
    app = Flask("xingji", static_folder=str(ROOT / "web"), static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    answers.register(app)
    websockets.explain(app)
    ours = (ops.pages, rest.api, hotwords.api, hotword_tables.api, backup.api, websockets.api, spec.document)
    for blueprint in (*ours, dashscope.api):
        app.register_blueprint(blueprint)
    return app


def init_models(settings: Settings, metrics: Metrics | None = None) -> tuple[ModelSet, Pool]:
    """Find the model directories and start the workers that load them. Raises ModelsMissing."""
    store = Store(settings.models_cache, settings.hf_cache)
    if settings.download and settings.models in ("auto", "official"):
        download(store)
    models = find(settings.models, store)
    pool = Pool(
        models.paths,
        settings.device,
        settings.job_timeout_s,
        settings.start_timeout_s,
        settings.log_level,
        metrics or Metrics(),
        mps=settings.use_mps,
        precision=settings.precision,
        workers={"stream": settings.stream_workers, "segment": settings.segment_workers},
    )
    atexit.register(pool.close)
    return models, pool


def _services(settings: Settings, socketio: SocketIO, loaded: tuple[ModelSet, Pool], metrics: Metrics) -> Services:
    models, pool = loaded
    corrections = _corrections(settings)
    pronouncer = Pypinyin()
    tables = HotwordTables(settings.hotword_tables, pronouncer)
    backups = Backups(Path(settings.backup_dir) if settings.backup_dir else None, settings.backup_keep_h)
    threading.Thread(target=backups.watch, name="backups", daemon=True).start()
    hub = Hub(
        pool,
        corrections,
        settings.llm_model if corrections else None,
        pronouncer,
        Clocks(settings.idle_s, settings.max_recording_s, settings.final_wait_s),
        Limits(settings.max_sessions, settings.keep_result_s),
        tables,
        samples(settings.chunk_ms),
        backups,
        metrics,
        Headroom(settings.live_load),
    )
    table = HotwordFile(settings.hotwords, hub.use_hotwords)
    threading.Thread(target=table.watch, name="hotwords", daemon=True).start()
    return Services(
        settings, socketio, models, pool, hub, table, tables, backups, corrections, metrics, time.monotonic()
    )


def _corrections(settings: Settings) -> Corrections | None:
    if not settings.llm_api_url:
        return None
    from .engines.qwen3 import Qwen3Corrector

    corrector = Qwen3Corrector(
        settings.llm_api_url, settings.llm_api_key, settings.llm_model, timeout_s=settings.llm_timeout_s
    )
    return Corrections(corrector, settings.llm_concurrency, settings.llm_timeout_s)


def announce(app: Flask, settings: Settings) -> None:
    """Once the models are loaded, say in the log what there is and where."""
    here: Services = app.extensions["xingji"]
    if not here.pool.wait(settings.start_timeout_s):
        log.error("models are not loaded yet; still trying")
        while not here.pool.wait(60.0):
            pass
    for role, link in here.pool.links.items():
        for part, facts in link.models.items():
            name = here.models.names[part]
            log.info("model ready", extra={"model": name, "source": here.models.source, "worker": role, **facts})
    if here.models.minipack:
        log.warning("正在使用内置的试用小模型：只认识合成语音的小词表，请勿用于实际工作。")
        log.warning("The embedded mini pack is in use: a small vocabulary of synthetic speech, for trying only.")
    host = f"http://{settings.host}:{settings.port}"
    if here.hub.llm_model:
        log.info(
            "LLM correction on", extra={"model": here.hub.llm_model, "host": urlsplit(settings.llm_api_url).hostname}
        )
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        methods = ",".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        log.info("entry point", extra={"route": rule.rule, "methods": methods})
    log.info("entry point", extra={"route": "/socket.io/", "methods": "Socket.IO"})
    for path in websockets.BY_PATH:
        log.info("entry point", extra={"route": path, "methods": "WebSocket"})
    log.info("星纪 ASR is ready", extra={"address": host, "page": f"{host}/"})


def serve(app: Flask, socketio: SocketIO, settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C; then finish what is being recorded, within ``GRACE_S`` seconds. Ends the process
    where the port is taken."""
    if _taken(settings):
        sys.exit(f"端口 {settings.port} 已被占用，可设 XINGJI_PORT。 The port is taken; see XINGJI_PORT.")
    here: Services = app.extensions["xingji"]
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # The handler may interrupt eventlet's own loop, where nothing may wait or switch: it only leaves word.
        signal.signal(number, lambda number, _: asked.append(number))
    threading.Thread(target=_end_when, args=(asked, here), daemon=True).start()
    socketio.run(app, host=settings.host, port=settings.port, allow_unsafe_werkzeug=True)


def _taken(settings: Settings) -> bool:
    """Does something listen there already? eventlet would share the port with it, and each get half of the clients."""
    family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    try:
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _end_when(asked: list[int], here: Services) -> None:
    while not asked:
        time.sleep(0.2)
    here.shut_down(GRACE_S)
    os._exit(0)  # neither server can be asked to return from its accept loop
