"""``/api/asr/jobs``: files that are recognised while nobody waits; they survive the end of the server."""

import base64
import io
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import IO, Any, TypeVar

from flask import Blueprint, Response, request

from ..core.errors import XingjiError
from ..runtime.job_runner import Jobs, Watcher
from ..runtime.jobs import ENDED, Job, State
from ..wire import milliseconds
from . import services
from .answers import success
from .options import read_options
from .transcripts import FORMS, transcript
from .uploads import sent_file

api = Blueprint("jobs", __name__, url_prefix="/api/asr/jobs")

PAGE, LARGEST_PAGE = 50, 200
LONGEST_NAME, LONGEST_URL = 255, 4096
LONGEST_DATA = 32 << 20  # of a data: address; it is whole in memory, and longer audio has better ways
DATA = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)

T = TypeVar("T")


@api.post("")
def add() -> tuple[Response, int]:
    """A file, the address of one, or a ``data:`` address that carries it."""
    said = request.get_json(silent=True) if request.is_json else request.form
    if not isinstance(said, Mapping):
        raise XingjiError("bad_parameter", field="json")
    jobs = _jobs()
    url = said.get("url") or None
    audio: IO[bytes] | None = None
    name = ""
    if url is None:
        file = sent_file()
        audio, name = file.stream, (file.filename or "")[:LONGEST_NAME]
    elif isinstance(url, str) and (carried := DATA.match(url)):
        audio, url = _decoded(url[carried.end() :]), None
    elif not (isinstance(url, str) and len(url) <= LONGEST_URL):
        raise XingjiError("bad_parameter", field="url")
    options = read_options(said)
    services().hub.resolved(options.wishes)  # a model that there is not should be known now
    job = jobs.add(options, name, audio, url, _watcher(said.get("session_id")))
    response, status = success(_told(job), 202)
    response.headers["Location"] = f"{api.url_prefix}/{job.id}"
    return response, status


@api.get("")
def page() -> tuple[Response, int]:
    limit = _asked("limit", _whole, PAGE)
    if not 1 <= limit <= LARGEST_PAGE:
        raise XingjiError("bad_parameter", field="limit")
    found = _jobs().page(_asked("state", State, None), _asked("before", _whole, None), limit)
    more = found[-1].number if len(found) == limit else None
    return success({"jobs": [_told(job) for job in found], "before": more})


@api.get("/<id>")
def read(id: str) -> tuple[Response, int]:
    return success(_told(_jobs().find(id)))


@api.get("/<id>/result")
def result(id: str) -> tuple[Response, int]:
    job, done = _jobs().result(id)
    form = request.args.get("format") or job.options.form
    if form not in FORMS:
        raise XingjiError("bad_parameter", field="format")
    return transcript(done, job.options, form, job.name)


@api.post("/<id>/cancel")
def cancel(id: str) -> tuple[Response, int]:
    return success(_told(_jobs().cancel(id)))


@api.delete("/<id>")
def delete(id: str) -> tuple[Response, int]:
    _jobs().delete(id)
    return success({"id": id})


def _decoded(text: str) -> IO[bytes]:
    if len(text) > LONGEST_DATA:
        raise XingjiError("too_large", field="url")
    try:
        return io.BytesIO(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise XingjiError("bad_parameter", field="url") from error


def _jobs() -> Jobs:
    jobs = services().jobs
    if jobs is None:
        raise XingjiError("not_supported")
    return jobs


def _asked(name: str, read: Callable[[str], T], default: Any) -> T:
    value = request.args.get(name) or None
    try:
        return default if value is None else read(value)
    except ValueError as error:
        raise XingjiError("bad_parameter", field=name) from error


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(text)
    return int(text)


def _told(job: Job) -> dict[str, Any]:
    error = XingjiError(job.error) if job.error else None
    return {
        "id": job.id,
        "state": job.state,
        "progress": job.progress,
        "position": job.position,
        "filename": job.name,
        "source": "upload" if job.url is None else "url",
        "size_bytes": job.size,
        "attempts": job.attempts,
        "created_at": job.created,
        "started_at": job.started,
        "ended_at": job.ended,
        "duration_ms": None if job.length is None else milliseconds(job.length),
        "error": error
        and {
            "code": error.code,
            "message": error.meaning.zh,
            "message_en": error.meaning.en,
            "retryable": error.meaning.retryable,
        },
    }


def _watcher(session_id: object) -> Watcher | None:
    """Tells the Socket.IO connection of that id, which is not idle as long as its job has not ended."""
    here = services()
    gate = here.gates.get(session_id) if isinstance(session_id, str) else None
    if gate is None:
        return None
    socketio, waiting = here.socketio, ExitStack()
    waiting.enter_context(gate.watching())
    last: tuple[State, int | None, int] | None = None

    def tell(job: Job) -> None:
        nonlocal last
        if job.state in (State.RUNNING, State.DONE) and job.progress:
            body = {"progress": job.progress, "recording_id": None, "job_id": job.id}
            socketio.emit("processing_progress", body, to=session_id)
        state = job.state, job.position, job.attempts
        if state != last:
            socketio.emit("job_updated", _told(job), to=session_id)
        last = state
        if job.state in ENDED:
            waiting.close()

    return tell
