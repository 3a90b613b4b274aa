"""``/api/asr/backup-audio/<id>``: fetch or delete what a recording took, where the server keeps it."""

from flask import Blueprint, Response, send_file

from ..core.errors import XingjiError
from . import services
from .answers import success

api = Blueprint("backup", __name__, url_prefix="/api/asr/backup-audio")


@api.get("/<id>")
def read(id: str) -> Response:
    try:
        path = services().backups.find(id)
        return send_file(path.resolve(), mimetype="audio/wav", as_attachment=True, download_name=path.name)
    except FileNotFoundError as error:  # it was deleted just now
        raise XingjiError("not_found") from error


@api.delete("/<id>")
def delete(id: str) -> tuple[Response, int]:
    services().backups.delete(id)
    return success({"id": id})
