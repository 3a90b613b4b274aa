"""``/api/asr/hotwords``: read, replace, add to, take from and reload the hotword table."""

from typing import Any

from flask import Blueprint, Response, request

from ..core.errors import XingjiError
from ..core.types import Hotword
from ..runtime.hotword_file import Table, plain
from . import services
from .answers import success

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
