"""Uploaded audio: on disk from the moment it arrives, and what every door that takes files asks of a request."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import flask
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from ..audio import Limits
from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.types import Sentence
from . import services

SPEEDUP = 4.0  # seconds of audio that decoding must manage in a second of waiting, at the very least
MOST_FILES = 8  # in one request; each is an open file


class Request(flask.Request):
    """What it brings goes straight to files with names, which decoders can open; they are gone when it is over."""

    def __init__(self, environ: Any, populate_request: bool = True, shallow: bool = False) -> None:
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            environ["wsgi.input_terminated"] = True  # eventlet ends such a body, but does not say so
        super().__init__(environ, populate_request, shallow)
        self._files, self._count = ExitStack(), 0

    def spool(self) -> IO[bytes]:
        return self._files.enter_context(_file())

    def keep_files(self) -> Callable[[], None]:
        return self._files.pop_all().close

    def close(self) -> None:
        super().close()
        self._files.close()

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        """Werkzeug's own way to say where the files of a form go."""
        self._count += 1
        if self._count > MOST_FILES:
            raise RequestEntityTooLarge
        return self.spool()


@contextmanager
def _file() -> Iterator[IO[bytes]]:
    # One that deletes itself could be opened by nobody else on Windows.
    with tempfile.NamedTemporaryFile(prefix="xingji-upload-", delete=False) as file:
        yield file
    os.unlink(file.name)


def spool() -> IO[bytes]:
    """A new file for what the request brings."""
    return _request().spool()


def keep_files() -> Callable[[], None]:
    """The files outlive the request, for an answer that is still being made; whoever asks has to call what this
    returns when they are not needed any more."""
    return _request().keep_files()


def _request() -> Request:
    return cast(Request, flask.request)


def sent_file() -> FileStorage:
    """Raises XingjiError: no_file, empty_filename."""
    file = flask.request.files.get("file")
    if file is None:
        # Werkzeug takes a part without a file name for a form field.
        raise XingjiError("empty_filename" if "file" in flask.request.form else "no_file", field="file")
    if not file.filename:
        raise XingjiError("empty_filename", field="file")
    return file


def on_disk(file: FileStorage) -> Path:
    file.stream.flush()
    return Path(file.stream.name)


def flag(values: Mapping[str, str], name: str, default: bool) -> bool:
    """Raises XingjiError("bad_parameter")."""
    value = values.get(name)
    if value is None or value == "":
        return default
    if value.lower() not in ("true", "false", "1", "0"):
        raise XingjiError("bad_parameter", field=name)
    return value.lower() in ("true", "1")


def upload_limits() -> Limits:
    settings = services().settings
    return Limits(
        max_seconds=settings.max_upload_s,
        max_wall_s=60.0 + settings.max_upload_s / SPEEDUP,
        max_memory_bytes=256 << 20,
    )


def spoken(done: Completed) -> list[Sentence]:
    """The sentences that have a text."""
    return [sentence for sentence in done.sentences if sentence.text]


def fallback(sentences: list[Sentence]) -> str | None:
    """Why another model read something than was asked for; None where none did."""
    return next((sentence.fallback for sentence in sentences if sentence.fallback), None)
