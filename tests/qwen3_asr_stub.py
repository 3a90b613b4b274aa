"""A real HTTP server that answers like vLLM with Qwen3-ASR, and misbehaves on demand.

``with AsrStub("今天天气很好。") as stub:`` serves ``stub.url`` from threads;
``python -m tests.qwen3_asr_stub --port 8000 --mode loading`` does so by hand. What it was sent is kept in
``requests``, the sound itself in ``heard``.
"""

import argparse
import base64
import io
import json
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.llm_stub import Handler, LlmStub

MODES = (
    "normal",
    "none",
    "none_alone",
    "empty",
    "no_tag",
    "no_tag_but_language",
    "lower_case",
    "spaces",
    "lines",
    "two_languages",
    "tag_again",
    "special_tokens",
    "loop",
    "loop_of_words",
    "loop_cut_short",
    "cut_short",
    "null_content",
    "not_a_completion",
    "not_json",
    "no_choices",
    "endless",
    "strict_keys",
    "unauthorized",
    "rate_limited",
    "loading",
    "loading_once",
    "wrong_model",
    "hang_up",
    "truncated",
    "timeout",
    "slow_drip",
)

KNOWN_KEYS = {"model", "messages", "temperature", "max_tokens", "stream"}


class _Handler(Handler):
    owner: "AsrStub"

    def do_GET(self) -> None:
        stub = self.owner
        stub.looked.append(self.path)
        if stub.mode == "loading":
            self.reply(503, {"detail": "Loading model"})
        elif self.path == "/health":
            self.send(200, b"")
        elif self.path == "/v1/models":
            self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in stub.served]})
        else:
            self.reply(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub = self.owner
        stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        sound = samples(body)
        stub.heard.append(sound)
        if stub.keep:
            stub.requests.append({"path": self.path, **body})
        said, forced = stub.text, body["messages"][-1]["role"] == "assistant"
        meta = "" if forced else "language Chinese<asr_text>"
        match stub.mode:
            case "none":
                self.say("language None<asr_text>")
            case "none_alone":
                self.say(" language None\n")
            case "empty":
                self.say("")
            case "no_tag":
                self.say(said)
            case "no_tag_but_language":
                self.say(f"language Chinese{said}")
            case "lower_case":
                self.say(f"language chinese<ASR_TEXT>{said}")
            case "spaces":
                self.say(f"  language  Chinese  < asr_text >  {said}  ")
            case "lines":
                self.say(f"language Chinese\n\n<asr_text>\n{said}\n")
            case "two_languages":
                self.say(f"language Chinese,English<asr_text>{said}")
            case "tag_again":
                self.say(f"language Chinese<asr_text>{said}language English<asr_text>OK")
            case "special_tokens":
                self.say(f"language Chinese<asr_text>{said}<|im_end|>")
            case "loop":
                self.say(f"{meta}{said}{'啊' * 300}")
            case "loop_of_words":
                self.say(f"{meta}{said}{'谢谢大家，' * 80}")
            case "loop_cut_short":
                self.say(f"{meta}{said}{'谢谢大家，' * 80}谢谢", finish="length")
            case "cut_short":
                self.say(f"{meta}{said}", finish="length")
            case "null_content":
                self.say(None)
            case "not_a_completion":
                self.send(200, b"<html>login</html>", "text/html")
            case "not_json":
                self.send(200, b'{"choices": [{"mess')
            case "no_choices":
                self.reply(200, {"choices": []})
            case "endless":
                self.say("好" * (1 << 20))
            case "strict_keys" if unknown := set(body) - KNOWN_KEYS:
                self.reply(400, {"error": {"message": f"Extra inputs are not permitted: {sorted(unknown)}"}})
            case "unauthorized":
                self.reply(401, {"error": "Unauthorized"})
            case "rate_limited":
                self.reply(429, {"error": {"message": "slow down"}})
            case "loading":
                self.reply(503, {"detail": "Loading model"})
            case "loading_once" if len(stub.heard) == 1:
                self.send(503, b"upstream connect error", "text/plain")
            case "wrong_model":
                self.reply(404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}})
            case "hang_up":
                self.close_connection = True
            case "truncated":
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"choices": [{"mess')
                self.close_connection = True
            case "timeout":
                stub.stopping.wait(20)
            case "slow_drip":
                self.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 2000)
            case _:
                self.say(meta + said)


class AsrStub(LlmStub):
    """``text`` is what it hears in everything; ``served`` the names of its models."""

    handler = _Handler

    def __init__(
        self,
        text: str = "今天天气很好。",
        *,
        mode: str = "normal",
        port: int = 0,
        served: tuple[str, ...] = ("Qwen/Qwen3-ASR-1.7B", "Qwen/Qwen3-ASR-0.6B"),
        keep: bool = True,
    ) -> None:
        super().__init__(mode=mode, port=port)
        self.text, self.served, self.keep = text, served, keep
        self.heard: list[NDArray[np.int16]] = []
        self.looked: list[str] = []
        self.port = int(self._server.server_port)


def samples(body: dict[str, Any]) -> NDArray[np.int16]:
    """The sound of a request; whatever is not 16 kHz mono with 16 bits in a data URL fails here."""
    (user,) = [message for message in body["messages"] if message["role"] == "user"]
    url = user["content"][0]["audio_url"]["url"]
    kind, _, data = url.partition(",")
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(data, validate=True))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def main() -> None:
    parser = argparse.ArgumentParser(description="A server that answers like vLLM with Qwen3-ASR.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--mode", choices=MODES, default="normal")
    parser.add_argument("--text", default="今天天气很好。")
    options = parser.parse_args()
    stub = AsrStub(options.text, mode=options.mode, port=options.port, keep=False)
    print(stub.url, flush=True)
    stub.serve()


if __name__ == "__main__":
    main()
