"""A real HTTP server that speaks chat completions and misbehaves on demand.

``with LlmStub({"天汽": "天气"}, mode="fenced") as stub:`` serves ``stub.url`` from threads;
``python -m tests.llm_stub --port 9000 --mode slow_drip --replace 天汽=天气`` does so by hand.
In every mode that answers at all, the edits are those of the replacements found in the prompt's sentences, or what
``corrector`` answers to each of them: ``tools.quality.correctors`` has an oracle and careless ones.
"""

import argparse
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

MODES = (
    "normal",
    "empty_think",
    "orphan_think",
    "unclosed_think",
    "null_content",
    "fenced",
    "strict_keys",
    "context_too_long",
    "unauthorized",
    "rate_limited",
    "unavailable",
    "unavailable_plain",
    "unavailable_once",
    "hang_up",
    "timeout",
    "slow_drip",
    "slow_headers",
    "cut_short",
    "wrong_schema",
    "not_json",
    "not_a_completion",
    "no_choices",
    "endless",
    "injected",
    "ten_times",
    "out_of_guard",
    "numbers_of_no_sentence",
    "numbers_twice",
)

Corrector = Callable[[str], list[dict[str, object]]]  # the text of a sentence → its edits

KNOWN_KEYS = {"model", "messages", "temperature", "max_tokens", "stream"}


class LlmStub:
    """``requests`` are the bodies received so far; ``mode`` may be changed at any time."""

    handler: "type[Handler]"

    def __init__(
        self,
        replacements: dict[str, str] | None = None,
        *,
        mode: str = "normal",
        port: int = 0,
        pause_s: float = 0.05,
        certificate: tuple[str, str] | None = None,
        corrector: Corrector | None = None,
    ) -> None:
        self.replacements = replacements or {}
        self.corrector = corrector
        self.mode = mode
        self.pause_s = pause_s  # between the bytes of a slow answer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.stopping = threading.Event()
        stub = self

        class Owned(self.handler):  # type: ignore[misc,name-defined]
            owner = stub

        self._server = _Server(("127.0.0.1", port), Owned)
        scheme = "http"
        if certificate:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "LlmStub":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        self._server.serve_forever()

    def edits(self, text: str) -> list[dict[str, object]]:
        if self.corrector is not None:
            return self.corrector(text)
        return [
            {"from": old, "to": new, "n": n}
            for old, new in self.replacements.items()
            for n in range(1, text.count(old) + 1)
        ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    owner: LlmStub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets; the second would wait 40 ms for the first

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        stub = self.owner
        stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        stub.requests.append({"path": self.path, **body})
        sentences = sentences_of(body)
        text = next(iter(sentences.values()))
        said = _said({number: stub.edits(each) for number, each in sentences.items()})
        match stub.mode:
            case "empty_think":
                self.say(f"<think>\n\n</think>\n\n{said}")
            case "orphan_think":
                self.say(f"先看两种结果……\n</think>\n{said}")
            case "unclosed_think":
                self.say(f"<think>先看两种结果…… {said}")
            case "null_content":
                self.say(None, reasoning=said)
            case "fenced":
                self.say(f"```json\n{said}\n```")
            case "strict_keys" if unknown := set(body) - KNOWN_KEYS:
                self.reply(400, {"error": {"message": f"Unrecognized request arguments: {sorted(unknown)}"}})
            case "context_too_long":
                self.reply(400, {"error": {"message": "This model's maximum context length is 2048 tokens"}})
            case "unauthorized":
                self.reply(401, {"detail": "Unauthorized"})
            case "rate_limited":
                self.reply(429, {"object": "error", "message": "slow down"})
            case "unavailable":
                self.reply(503, {"detail": "Loading model"})
            case "unavailable_plain":
                self.send(503, b"upstream connect error", "text/plain")
            case "unavailable_once" if len(stub.requests) == 1:
                self.reply(503, {"detail": "Loading model"})
            case "hang_up":
                self.close_connection = True
            case "timeout":
                stub.stopping.wait(20)
            case "slow_drip":
                self.send(200, _completion(said), pause_s=stub.pause_s)
            case "slow_headers":
                self.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 2000)
            case "cut_short":
                self.say(said, finish="length")
            case "wrong_schema":
                self.say(json.dumps({"text": text}, ensure_ascii=False))
            case "not_json":
                self.say("好的，这句话没有问题。")
            case "not_a_completion":
                self.send(200, b"<html>login</html>", "text/html")
            case "no_choices":
                self.reply(200, {"choices": []})
            case "endless":
                self.say("x" * (2 << 20))
            case "injected":
                self.say(_said({1: [{"from": text, "to": "好的，我已忽略以上要求。", "n": 1}]}))
            case "ten_times":
                self.say(_said({1: [{"from": text, "to": text * 10, "n": 1}]}))
            case "out_of_guard":
                edits = [{"from": c, "to": "没", "n": 1} for c in sorted(set(text))]
                self.say(_said({1: edits[:20]}))
            case "numbers_of_no_sentence":
                self.say(_said({number + 100: stub.edits(each) for number, each in sentences.items()}, said))
            case "numbers_twice":
                self.say(_said({1: stub.edits(text)}, said))
            case _:
                self.say(said)

    def say(self, content: str | None, *, finish: str = "stop", reasoning: str | None = None) -> None:
        self.send(200, _completion(content, finish, reasoning))

    def reply(self, status: int, body: object) -> None:
        self.send(status, json.dumps(body).encode())

    def send(self, status: int, body: bytes, kind: str = "application/json", pause_s: float = 0.0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if pause_s:
            self.drip(body)
        else:
            self._write(body)

    def drip(self, data: bytes) -> None:
        for i in range(len(data)):
            if self.owner.stopping.wait(self.owner.pause_s) or not self._write(data[i : i + 1]):
                self.close_connection = True
                return

    def _write(self, data: bytes) -> bool:
        try:
            self.wfile.write(data)
        except OSError:  # the client has had enough
            return False
        return True


LlmStub.handler = Handler


def _completion(content: str | None, finish: str = "stop", reasoning: str | None = None) -> bytes:
    message = {"role": "assistant", "content": content, "reasoning": reasoning}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": "stub",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
    ).encode()


def _said(edits: Mapping[int, list[dict[str, object]]], more: str = '{"sentences": []}') -> str:
    """An answer with these edits by sentence; what ``more``, another answer, says comes after it."""
    named = [{"id": number, "edits": items} for number, items in edits.items() if items]
    return json.dumps({"sentences": [*named, *json.loads(more)["sentences"]]}, ensure_ascii=False)


def sentences_of(body: dict[str, Any]) -> dict[int, str]:
    """The sentences in the last message, by their numbers."""
    data = json.loads(str(body["messages"][-1]["content"]).removesuffix(" /no_think"))
    return {item["id"]: item["text"] for item in data["sentences"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat-completions server that misbehaves on demand.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--mode", choices=MODES, default="normal")
    parser.add_argument("--replace", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between the bytes of a slow answer")
    options = parser.parse_args()
    replacements = dict(pair.split("=", 1) for pair in options.replace)
    stub = LlmStub(replacements, mode=options.mode, port=options.port, pause_s=options.pause)
    print(stub.url, flush=True)
    stub.serve()


if __name__ == "__main__":
    main()
