"""星纪 ASR 服务入口：``python asr_api_server.py``，或由 gunicorn 载入 ``asr_api_server:app``。"""

import os
import sys

from dotenv import dotenv_values

if {**dotenv_values(), **os.environ}.get("XINGJI_ASYNC_MODE", "eventlet") == "eventlet":
    from xingji.runtime.green import patch

    patch()  # before anything else takes hold of sockets and threads

from xingji.app import create_app, init_models, serve
from xingji.doors.sockets import handle_audio_data, handle_start_recording, handle_stop_recording
from xingji.runtime.models import ModelsMissing
from xingji.settings import Settings

__all__ = ["handle_audio_data", "handle_start_recording", "handle_stop_recording", "init_models", "main"]


def main() -> None:
    settings = Settings()
    try:
        app, socketio = create_app(settings)
    except ModelsMissing as error:
        sys.exit(f"{error}\n运行 python download_models.py 下载，或设 XINGJI_MODELS=minipack 试用。")
    serve(app, socketio, settings)


if __name__ == "__main__":
    main()
