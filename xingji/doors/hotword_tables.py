"""``/api/asr/hotword-tables``: tables that recordings ask for by id, on top of the server's own one."""

from flask import Blueprint, Response

from ..runtime.hotword_file import Table
from . import services
from .answers import success
from .hotwords import sent_words, table_answer, wanted_version

api = Blueprint("hotword_tables", __name__, url_prefix="/api/asr/hotword-tables")


@api.get("")
def read_all() -> tuple[Response, int]:
    tables = services().tables.all()
    return success({"tables": [_summary(id, table) for id, table in tables.items()], "count": len(tables)})


@api.post("")
def create() -> tuple[Response, int]:
    body = sent_words()
    id, table = services().tables.create(body, body.get("id") if isinstance(body, dict) else None)
    return table_answer(table, 201, id=id)


@api.get("/<id>")
def read(id: str) -> tuple[Response, int]:
    return table_answer(services().tables.read(id), id=id)


@api.put("/<id>")
def replace(id: str) -> tuple[Response, int]:
    return table_answer(services().tables.replace(id, sent_words(), wanted_version()), id=id)


@api.delete("/<id>")
def delete(id: str) -> tuple[Response, int]:
    services().tables.delete(id, wanted_version())
    return success({"id": id})


def _summary(id: str, table: Table) -> dict[str, object]:
    return {"id": id, "count": len(table.words), "version": table.version, "updated_at": table.updated_at}
