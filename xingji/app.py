"""The composition root: the only file that knows every part. Settings in, a running gateway out."""

import atexit
import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from engineio.payload import Payload
from flask import Flask
from flask_socketio import SocketIO

from . import logs
from .backends import corrections, llm_model, recognisers
from .doors import (
    Services,
    access,
    answers,
    backup,
    dashscope,
    demos,
    hotword_tables,
    hotwords,
    jobs,
    nls,
    openai,
    openai_realtime,
    ops,
    rest,
    sockets,
    spec,
    uploads,
    websockets,
)
from .doors.cautions import cautions
from .engines.lexicon import Jieba
from .engines.pinyin import Pypinyin
from .runtime import descriptors
from .runtime.backup import Backups
from .runtime.driver import Clocks
from .runtime.green import mend_websocket
from .runtime.headroom import Headroom
from .runtime.hotword_file import HotwordFile
from .runtime.hotword_tables import HotwordTables
from .runtime.hub import Hub, Limits
from .runtime.job_runner import Jobs
from .runtime.job_sqlite import SqliteStore
from .runtime.metrics import Metrics
from .runtime.models import ModelSet, download, find
from .runtime.pool import Pool
from .runtime.registry import Registry, Store, read
from .runtime.upload import file_limits, transcribe
from .settings import ROOT, Settings
from .wire import samples

log = logging.getLogger(__name__)

GRACE_S = 18.0  # with what happens before and after, the process is gone within 20
POLLED_PACKETS = 10_000  # in one request of a polling client: engineio's 16 end it after 1.6 s of slow network
FORM_OVERHEAD = 1 << 20  # bytes of an upload's request beyond the file itself


def create_app(settings: Settings) -> tuple[Flask, SocketIO]:
    """Build the gateway and start its workers; they load while this returns. Raises ModelsMissing, RegistryError."""
    logs.configure(settings.log_level, settings.log_dir)
    registry = read(settings.registry, settings.default_asr_model, settings.streaming_model)
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
    descriptors.allow(settings.max_connections)
    metrics = Metrics()
    loaded = init_models(settings, metrics, registry)
    here = app.extensions["xingji"] = _services(settings, socketio, registry, loaded, metrics)
    sockets.register(socketio, here)
    websockets.register(app, here)
    threading.Thread(target=here.end_idle_connections, name="idle-connections", daemon=True).start()
    threading.Thread(target=sockets.end_strangers, args=(here,), name="strangers", daemon=True).start()
    threading.Thread(target=announce, args=(app, settings), daemon=True).start()
    if settings.funasr_port:
        port = settings.funasr_port
        threading.Thread(target=websockets.listen, args=(here, "funasr", port), name="funasr", daemon=True).start()
    return app, socketio


def create_rest(settings: Settings) -> Flask:
    """Every route of the gateway, with nothing behind it yet; ``app.extensions["xingji"]`` takes the Services."""
    app = Flask("xingji", static_folder=str(ROOT / "web"), static_url_path="/static")
    app.request_class = uploads.Request
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    access.register(app)
    answers.register(app)
    websockets.explain(app)
    blueprints = (
        ops.pages,
        rest.api,
        nls.api,
        openai.api,
        dashscope.api,
        openai_realtime.api,
        hotwords.api,
        hotword_tables.api,
        backup.api,
        jobs.api,
        websockets.api,
        spec.document,
        demos.pages(ROOT / "clients" / "web"),
    )
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def init_models(
    settings: Settings, metrics: Metrics | None = None, registry: Registry | None = None
) -> tuple[ModelSet, Pool]:
    """Find the model directories and start the workers that load them. Raises ModelsMissing, RegistryError."""
    registry = registry or read(settings.registry, settings.default_asr_model, settings.streaming_model)
    store = Store(settings.models_cache, settings.hf_cache)
    if settings.download and settings.models in ("auto", "official"):
        download(store, registry)
    models = find(settings.models, store, registry)
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


def _services(
    settings: Settings, socketio: SocketIO, registry: Registry, loaded: tuple[ModelSet, Pool], metrics: Metrics
) -> Services:
    models, pool = loaded
    corrector = corrections(settings, registry)
    pronouncer, lexicon = Pypinyin(), Jieba()
    tables = HotwordTables(settings.hotword_tables, pronouncer, lexicon)
    backups = Backups(Path(settings.backup_dir) if settings.backup_dir else None, settings.backup_keep_h)
    threading.Thread(target=backups.watch, name="backups", daemon=True).start()
    hub = Hub(
        pool,
        corrector,
        llm_model(settings, registry) if corrector else None,
        pronouncer,
        Clocks(settings.idle_s, settings.max_recording_s, settings.final_wait_s),
        Limits(settings.max_sessions, settings.keep_result_s),
        tables,
        samples(settings.chunk_ms),
        backups,
        metrics,
        Headroom(settings.live_load),
        recognisers(settings, registry, metrics),
        lexicon,
        models.streams,
    )
    table = HotwordFile(settings.hotwords, hub.use_hotwords)
    threading.Thread(target=table.watch, name="hotwords", daemon=True).start()
    begun = time.monotonic()
    file_jobs = _jobs(settings, hub, metrics)
    return Services(settings, socketio, models, pool, hub, table, tables, backups, corrector, metrics, begun, file_jobs)


def _jobs(settings: Settings, hub: Hub, metrics: Metrics) -> Jobs | None:
    if not settings.jobs_dir:
        return None
    fetch = None
    if settings.jobs_urls:
        from .runtime.fetch import Fetcher

        fetch = Fetcher(settings.jobs_url_hosts, settings.max_upload_bytes, settings.jobs_url_timeout_s)
    jobs = Jobs(
        SqliteStore(Path(settings.jobs_dir), settings.jobs_keep_h, settings.jobs_max_bytes, settings.jobs_keep_audio),
        partial(transcribe, hub, limits=file_limits(settings.max_upload_s)),
        fetch,
        lambda: hub.has_room_in_background,
        metrics,
        settings.jobs_concurrency,
    )
    jobs.start()
    return jobs


def announce(app: Flask, settings: Settings) -> None:
    """Once the models are loaded, say in the log what there is and where."""
    here: Services = app.extensions["xingji"]
    loaded = here.pool.wait(settings.start_timeout_s)
    for caution in cautions(here):
        log.warning(caution.zh)
        log.warning(caution.en)
    if not loaded:
        log.error("models are not loaded yet; still trying")
        while not here.pool.wait(60.0):
            pass
    for role, link in here.pool.links.items():
        for part, facts in link.models.items():
            name = here.models.names[part]
            log.info("model ready", extra={"model": name, "source": here.models.source, "worker": role, **facts})
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
    gc.freeze()  # what is there now stays: looking through it again and again was a quarter of the gateway's work
    options = {"max_size": settings.max_connections} if settings.async_mode == "eventlet" else {}
    socketio.run(app, host=settings.host, port=settings.port, allow_unsafe_werkzeug=True, **options)


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
