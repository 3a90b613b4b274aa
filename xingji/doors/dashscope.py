"""``/api/v1/services/audio/asr/customization``: DashScope's vocabularies, which are our named hotword tables.

One address; ``input.action`` says what is wanted. Weights 1..5 there are 20..100 here. A table that was made or
changed in another way is a vocabulary all the same.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request

from ..core.errors import XingjiError
from ..core.types import Hotword
from ..wire.dashscope_read import Failure, read_vocabulary, vocabulary_prefix
from ..wire.dashscope_write import why
from . import services

api = Blueprint("dashscope", __name__)

WEIGHT = 20  # of ours for one of theirs
PATH = "/api/v1/services/audio/asr/customization"


@api.post(PATH)
def customise() -> tuple[Response, int]:
    body = request.get_json(force=True, silent=True)
    asked = body.get("input") if isinstance(body, dict) else None
    if not isinstance(asked, dict):
        raise Failure("InvalidParameter", "input 应为对象。 input must be an object.")
    action = ACTIONS.get(str(asked.get("action")))
    if action is None:
        raise Failure("InvalidParameter", "没有这个 action。 Unknown action.")
    answer = {"output": action(asked), "usage": {"count": 1}, "request_id": str(uuid.uuid4())}
    return jsonify(answer), 200


def _create(asked: Mapping[str, Any]) -> dict[str, Any]:
    model = asked.get("target_model")
    if not isinstance(model, str) or not model:
        raise Failure("InvalidParameter", "target_model 应为字符串。 target_model must be a string.")
    id = f"vocab-{vocabulary_prefix(asked, required=True)}-{uuid.uuid4().hex}"
    notes = {"target_model": model, "gmt_create": _written(time.time())}
    services().tables.create(_items(asked), id, notes)
    return {"vocabulary_id": id}


def _list(asked: Mapping[str, Any]) -> dict[str, Any]:
    prefix = vocabulary_prefix(asked, required=False)
    index, size = _number(asked, "page_index", 0, 0), _number(asked, "page_size", 10, 1)
    ids = [id for id in services().tables.all() if prefix is None or id.startswith(f"vocab-{prefix}-")]
    page = ids[index * size : (index + 1) * size]
    return {"vocabulary_list": [{"vocabulary_id": id, **_dates(id)} for id in page]}


def _query(asked: Mapping[str, Any]) -> dict[str, Any]:
    id = _id(asked)
    words = [_shown(word) for word in services().tables.read(id).words]
    model = services().tables.notes(id)[0].get("target_model", "paraformer-realtime-v2")
    return {**_dates(id), "target_model": model, "vocabulary": words}


def _update(asked: Mapping[str, Any]) -> dict[str, Any]:
    """All words anew. Tasks that run keep the words with which they began."""
    services().tables.replace(_id(asked), _items(asked))
    return {}


def _delete(asked: Mapping[str, Any]) -> dict[str, Any]:
    services().tables.delete(_id(asked))
    return {}


ACTIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "create_vocabulary": _create,
    "list_vocabulary": _list,
    "query_vocabulary": _query,
    "update_vocabulary": _update,
    "delete_vocabulary": _delete,
}


def _id(asked: Mapping[str, Any]) -> str:
    id = asked.get("vocabulary_id")
    if not isinstance(id, str):
        raise Failure("InvalidParameter", "vocabulary_id 应为字符串。 vocabulary_id must be a string.")
    return id


def _items(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item | {"weight": item["weight"] * WEIGHT} for item in read_vocabulary(asked.get("vocabulary"))]


def _shown(word: Hotword) -> dict[str, Any]:
    told = {"text": word.text, "weight": min(max(round(word.weight / WEIGHT), 1), 5)}
    return told if word.language is None else told | {"lang": word.language}


def _dates(id: str) -> dict[str, str]:
    notes, changed = services().tables.notes(id)
    modified = _written(changed)
    return {"gmt_create": str(notes.get("gmt_create", modified)), "gmt_modified": modified, "status": "OK"}


def _written(at: float) -> str:
    """UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def _number(asked: Mapping[str, Any], name: str, default: int, least: int) -> int:
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1_000_000:
        raise Failure("InvalidParameter", f"{name} 应为整数。 {name} must be a whole number.")
    return value


# -- errors ---------------------------------------------------------------------------------------


@api.errorhandler(Failure)
def failed(failure: Failure) -> tuple[Response, int]:
    answer = {"code": failure.code, "message": str(failure), "request_id": str(uuid.uuid4())}
    return jsonify(answer), 401 if failure.code == "InvalidApiKey" else 400


@api.errorhandler(XingjiError)
def refused(error: XingjiError) -> tuple[Response, int]:
    return failed(why(error))


@api.after_request
def in_own_words(response: Response) -> Response:
    """What answered before this blueprint could, such as the limit of a request, did so in our words."""
    body = response.get_json(silent=True) if response.status_code >= 400 else None
    if isinstance(body, dict) and "success" in body:
        code = "bad_parameter" if response.status_code == 413 else str(body.get("code"))
        response.set_data(refused(XingjiError(code))[0].get_data())
    return response
