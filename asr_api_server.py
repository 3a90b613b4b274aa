"""星纪 ASR 服务入口：``python asr_api_server.py``，或由 gunicorn 载入 ``asr_api_server:app``。"""

import os
import sys
from typing import Any

from dotenv import dotenv_values

if {**dotenv_values(), **os.environ}.get("XINGJI_ASYNC_MODE", "eventlet") == "eventlet":
    from xingji.runtime.green import patch

    patch()  # before anything else takes hold of sockets and threads

from xingji.app import create_app, init_models, serve
from xingji.doors.sockets import handle_audio_data, handle_start_recording, handle_stop_recording
from xingji.runtime.models import ModelsMissing
from xingji.runtime.registry import RegistryError
from xingji.settings import Settings

__all__ = ["handle_audio_data", "handle_start_recording", "handle_stop_recording", "init_models", "main"]


def start(settings: Settings) -> tuple[Any, Any]:
    """The gateway and its Socket.IO, with the workers loading; ends the process where there are no models."""
    try:
        return create_app(settings)
    except ModelsMissing as error:
        sys.exit(f"{error}\n运行 python download_models.py 下载，或设 XINGJI_MODELS=minipack 试用。")
    except RegistryError as error:
        sys.exit(str(error))


def __getattr__(name: str) -> Any:
    """``app`` is made when a WSGI server first asks for it, so that importing this module starts nothing."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"], _ = start(Settings())
    return globals()["app"]


def main() -> None:
    settings = Settings()
    serve(*start(settings), settings)


if __name__ == "__main__":
    main()
