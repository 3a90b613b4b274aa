"""A model hub on the loopback that speaks just enough of ModelScope and of Hugging Face for their clients.

It serves byte strings by name, counts what it was asked for, and misbehaves on demand: ``status``
answers a file with an error that many times, ``cut`` ends the connection after so many bytes.
"""

import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Hub:
    """``repos`` maps OWNER/NAME to its files. ``listed`` overrides digests in the listing; ``large`` is LFS."""

    repos: dict[str, dict[str, bytes]]
    listed: dict[str, str] = field(default_factory=dict)
    large: tuple[str, ...] = ("model.pt",)
    status: dict[str, list[int]] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    listing_status: int = 200

    def __enter__(self) -> "Hub":
        hub = self

        class Handler(_Handler):
            here = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    here: Hub

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path).strip("/").split("/"), parse_qs(parts.query)
        match path:
            case ["api", "v1", "models", owner, name, "repo", "files"]:
                self._listing(f"{owner}/{name}", self._modelscope)
            case ["api", "v1", "models", owner, name, "repo"]:
                self._file(f"{owner}/{name}", query["FilePath"][0], body)
            case ["api", "models", owner, name, "revision", _]:
                self._listing(f"{owner}/{name}", self._huggingface)
            case [owner, name, "resolve", _, file]:
                self._file(f"{owner}/{name}", file, body)
            case _:
                self._json(404, {})

    def _listing(self, repo: str, write: Any) -> None:
        self.here.asked["listing"] += 1
        if self.here.listing_status != 200:
            return self._json(self.here.listing_status, {"Message": "no"})
        files = self.here.repos.get(repo)
        self._json(404, {"Message": "no such model"}) if files is None else self._json(200, write(files))

    def _modelscope(self, files: dict[str, bytes]) -> dict[str, Any]:
        entries = [
            {"Path": name, "Size": len(content), "Type": "blob", "Sha256": self.here.listed.get(name, sha256(content))}
            for name, content in files.items()
        ]
        return {"Code": 200, "Success": True, "Data": {"Files": entries}}

    def _huggingface(self, files: dict[str, bytes]) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for name, content in files.items():
            item: dict[str, Any] = {"rfilename": name, "size": len(content)}
            if name not in self.here.large:
                item["blobId"] = self.here.listed.get(name, blob(content))
            else:
                digest = self.here.listed.get(name, sha256(content))
                item["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(item)
        return {"id": "x/y", "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}

    def _file(self, repo: str, name: str, body: bool) -> None:
        content = self.here.repos.get(repo, {}).get(name)
        if content is None:
            return self._json(404, {"Message": "no such file"})
        if body:
            self.here.asked[name] += 1
            if self.here.status.get(name):
                return self._json(self.here.status[name].pop(0), {"Message": "no"})
        begin = 0
        if (wanted := self.headers.get("Range")) and body:
            self.here.ranges.append(wanted)
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.send_header("ETag", f'"{sha256(content) if name in self.here.large else blob(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            end = begin + self.here.cut[name].pop(0) if self.here.cut.get(name) else len(content)
            self.wfile.write(content[begin:end])

    def _json(self, status: int, answer: object) -> None:
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
