"""``/openapi.yaml`` and ``/openapi.json``: the description of the REST routes, the very file that the tests check."""

import json
from functools import cache

import yaml
from flask import Blueprint, Response

from ..settings import ROOT

document = Blueprint("spec", __name__)

FILE = ROOT / "openapi.yaml"


@document.get("/openapi.yaml")
def as_yaml() -> Response:
    return Response(_yaml(), mimetype="application/yaml")


@document.get("/openapi.json")
def as_json() -> Response:
    return Response(_json(), mimetype="application/json")


@cache
def _yaml() -> bytes:
    return FILE.read_bytes()


@cache
def _json() -> bytes:
    return json.dumps(yaml.safe_load(_yaml()), ensure_ascii=False).encode()
