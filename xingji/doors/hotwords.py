"""``/api/asr/hotwords``: read, replace, add to, take from, reload and try the hotword table."""

import json
from typing import Any

from flask import Blueprint, Response, request

from ..core.errors import XingjiError
from ..core.hotword_table import conflicts, parse
from ..core.types import Hotword, HotwordHit
from ..runtime.dry_run import Texts, dry_run
from ..runtime.hotword_file import Table, plain
from ..wire import Pace, Wishes, samples
from . import services
from .answers import success
from .rest import sent_language
from .uploads import on_disk, sent_file, upload_limits

api = Blueprint("hotwords", __name__, url_prefix="/api/asr/hotwords")


@api.get("")
def read() -> tuple[Response, int]:
    return _told(services().hotwords.table)


@api.put("")
def replace() -> tuple[Response, int]:
    return _told(services().hotwords.replace(sent_words(), wanted_version()))


@api.post("")
def add() -> tuple[Response, int]:
    return _told(services().hotwords.add(sent_words(), wanted_version()), 201)


@api.delete("")
def remove_many() -> tuple[Response, int]:
    body = sent_words()
    texts = body.get("hotwords") if isinstance(body, dict) else body
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise XingjiError("invalid_hotwords", field="hotwords")
    return _told(services().hotwords.remove(texts, wanted_version()))


@api.delete("/<path:text>")
def remove(text: str) -> tuple[Response, int]:
    return _told(services().hotwords.remove([text], wanted_version()))


@api.post("/reload")
def reload() -> tuple[Response, int]:
    table = services().hotwords.reload()
    words = [word.text for word in table.words]
    data = {"hotwords": words, "count": len(words), "version": table.version}
    return success(data, message="热词已重新加载")


@api.post("/test")
def test() -> tuple[Response, int]:
    """What would these words do to this recording?"""
    here = services()
    file, language, truth = sent_file(), sent_language(), request.form.get("text", "").strip()
    words, table = _tried()
    own = words if table is None else ()
    pace = Pace(samples(here.settings.sentence_silence_ms))
    wishes = Wishes(language=language, hotwords=own, hotword_table=table, pace=pace)
    trial = dry_run(here.hub, on_disk(file), wishes, tuple(word.text for word in words), truth, upload_limits())
    data: dict[str, Any] = {
        "with": _texts(trial.with_words),
        "without": _texts(trial.without),
        "changed": trial.with_words != trial.without,
        "hits": [_hit(sentence, hit) for sentence, hit in trial.hits],
        "acted": list(trial.acted),
        "false_alarms": None if trial.false_alarms is None else list(trial.false_alarms),
        "missed": None if trial.missed is None else list(trial.missed),
        "cer": None if trial.cer is None else {"with": round(trial.cer[0], 4), "without": round(trial.cer[1], 4)},
        "warnings": _warnings(words),
    }
    return success(data)


def _tried() -> tuple[tuple[Hotword, ...], str | None]:
    """The words to try, and the id of their table where they are in one."""
    sent, id = request.form.get("words"), request.form.get("table") or None
    if (sent is None) == (id is None):
        raise XingjiError("bad_parameter", field="words")
    if id is not None:
        try:
            return services().tables.read(id).words, id
        except XingjiError as error:
            raise XingjiError("bad_parameter", field="table") from error
    try:
        return parse(json.loads(sent or "")), None
    except (ValueError, RecursionError) as error:
        raise XingjiError("invalid_hotwords", field="words") from error


def _texts(texts: Texts) -> dict[str, str]:
    return {"streamed": texts.streamed, "second_pass": texts.second_pass}


def _hit(sentence: int, hit: HotwordHit) -> dict[str, Any]:
    told = {"word": hit.word, "replaced": hit.replaced, "stage": hit.stage.name.lower(), "score": hit.score}
    return {"sentence": sentence + 1, **told}


def _warnings(words: tuple[Hotword, ...]) -> list[dict[str, Any]]:
    """Aliases that cannot do what every word wants of them."""
    return [
        {"code": "alias_conflict", "alias": found.alias, "words": list(found.words), "used": found.used}
        for found in conflicts(words)
    ]


def _told(table: Table, status: int = 200) -> tuple[Response, int]:
    return table_answer(table, status, file=services().hotwords.name)


def table_answer(table: Table, status: int = 200, **whose: str) -> tuple[Response, int]:
    """A table and its version; ``whose`` says which one it is."""
    items = [_item(word) for word in table.words]
    data: dict[str, Any] = {
        **whose,
        "hotwords": [word.text for word in table.words],
        "count": len(items),
        "items": items,
        "version": table.version,
        "updated_at": table.updated_at,
        "warnings": _warnings(table.words),
    }
    response, _ = success(data)
    response.headers["ETag"] = f'"{table.version}"'
    return response, status


def _item(word: Hotword) -> dict[str, Any]:
    item = plain(word)
    return {"text": word.text, "weight": word.weight} | (item if isinstance(item, dict) else {})


def sent_words() -> Any:
    """The request's JSON. Raises XingjiError("invalid_hotwords") where it is none."""
    body = request.get_json(force=True, silent=True)
    if body is None:
        raise XingjiError("invalid_hotwords", field="body")
    return body


def wanted_version() -> int | None:
    """``If-Match``; None for any version. Raises XingjiError("bad_parameter")."""
    value = request.headers.get("If-Match")
    if value is None or value == "*":
        return None
    try:
        return int(value.strip().removeprefix("W/").strip('"'))
    except ValueError as error:
        raise XingjiError("bad_parameter", field="If-Match") from error
