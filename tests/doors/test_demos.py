"""The browser client is served as it lies in the repository, and its pages may load nothing from elsewhere."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support import ROOT
from xingji.doors import demos

FOLDER = ROOT / "clients" / "web"


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("test", static_folder=str(ROOT / "web"), static_url_path="/static")
    app.register_blueprint(demos.pages(FOLDER))
    return app.test_client()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.js")))
def test_scripts_are_scripts(client: FlaskClient, name: str) -> None:
    with client.get(f"/clients/web/{name}") as response:
        assert response.data == (FOLDER / name).read_bytes()
        assert response.mimetype == "text/javascript"
        assert "Content-Security-Policy" not in response.headers


@pytest.mark.parametrize("path", ["", "index.html", "vad.html"])
def test_pages_are_held_to_this_server(client: FlaskClient, path: str) -> None:
    with client.get(f"/clients/web/{path}") as response:
        assert response.data == (FOLDER / (path or "index.html")).read_bytes()
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "http:" not in policy and "unsafe-inline" not in policy


def test_the_modules_that_the_page_uses_lie_where_it_looks_for_them(client: FlaskClient) -> None:
    """Relative imports mean the same in the repository and below the server's address."""
    with client.get("/static/main.js") as response:
        assert b"'../clients/web/AsrClient.js'" in response.data
    with client.get("/clients/web/demo.js") as response:
        assert b"'../../static/vendor/socket.io.esm.min.js'" in response.data
    with client.get("/static/vendor/socket.io.esm.min.js") as response:
        assert response.status_code == 200


def test_nothing_beside_the_folder(client: FlaskClient) -> None:
    for path in ("../python/AsrClient.py", "%2e%2e/python/AsrClient.py", "nothing.js"):
        assert client.get(f"/clients/web/{path}").status_code == 404
