"""``/clients/web/``: the browser client, which the page uses too, and its demo pages, as they lie in the repository."""

from pathlib import Path

from flask import Blueprint, Response

# As the page's, and WebAssembly: the demo that finds speech in the browser runs a network there.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def pages(folder: Path) -> Blueprint:
    made = Blueprint("demos", __name__, static_folder=str(folder), static_url_path="/clients/web")

    @made.get("/clients/web/")
    def index() -> Response:
        return made.send_static_file("index.html")

    @made.after_request
    def restrict(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.headers["Content-Security-Policy"] = POLICY
        return response

    return made
