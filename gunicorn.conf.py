"""gunicorn for ``asr_api_server:app``, with the settings of ``python asr_api_server.py``; used when started from here.

The settings are read without ``xingji.settings``: this runs in gunicorn's master process, and its workers
can make the standard library green only while no large library holds on to it.
"""

import os
import sys

from dotenv import dotenv_values

settings = {**dotenv_values(".env"), **os.environ}
if settings.get("XINGJI_ASYNC_MODE", "eventlet") != "eventlet":
    sys.exit("gunicorn 需要 XINGJI_ASYNC_MODE=eventlet；否则请用 python asr_api_server.py。 gunicorn needs eventlet.")

host = settings.get("XINGJI_HOST", "127.0.0.1")
bind = f"{f'[{host}]' if ':' in host else host}:{settings.get('XINGJI_PORT', 5006)}"
worker_class = "xingji.runtime.gunicorn_worker.GatewayWorker"
workers = 1  # whatever WEB_CONCURRENCY says: recordings live in one process
worker_connections = int(settings.get("XINGJI_MAX_CONNECTIONS") or 10_000)
timeout = 120  # seconds without a sign of life from the gateway's loop
graceful_timeout = 20  # seconds for recordings to be finished
keepalive = 95  # seconds; longer than proxies keep idle connections, so that it is they who close them
control_socket_disable = True
