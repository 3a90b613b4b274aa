"""检查一个运行中的星纪 ASR：健康、模型、上传转写、实时录音。 Check a running server from end to end.

用法 / usage::

    python test_asr_api.py --file tests/data/test.mp3 --url http://127.0.0.1:5006

上传只用标准库；实时录音还需要 ``python-socketio[client]`` 和 ``av``，没有时跳过。退出码 0 为通过，1 为不通过。
The upload needs the standard library only; the live recording also ``python-socketio[client]`` and ``av``, and is
skipped without them. Exit status 0: all is well, 1: it is not.
"""

import argparse
import io
import json
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RATE = 16_000
FRAME = RATE // 10 * 2  # bytes of 100 ms
LIVE_S = 15.0  # of the file are played in real time


class Wrong(Exception):
    """The server does not do what it should; the text is for the report."""


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    api_key: str
    timeout_s: float

    def ask(self, path: str, body: bytes | None = None, kind: str = "") -> Any:
        """The JSON of one answer; raises Wrong where it is an error or no JSON."""
        headers = {"Content-Type": kind} if kind else {}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        try:
            request = urllib.request.Request(self.url + path, data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(500).decode(errors="replace")
            raise Wrong(f"{path}: HTTP {error.code} {text.strip()}") from error
        except (OSError, ValueError) as error:
            raise Wrong(f"{path}: {error}") from error


def expect(right: bool, what: str) -> None:
    if not right:
        raise Wrong(what)


def check_health(target: Target) -> Iterator[str]:
    health = target.ask("/api/health")
    expect(health["status"] == "ok", f"status: {health['status']}")
    expect(health["models_loaded"], "模型还没有载入 (models are not loaded yet)")
    yield f"{health['message']}，版本 {health['version']}，已运行 {health['uptime_s']:.0f} s"
    if health["minipack"]:
        yield "注意：正在用试用小模型，不能用于实际工作 (mini pack: for trying only)"


def check_models(target: Target) -> Iterator[str]:
    models = target.ask("/api/asr/models")["data"]
    for part in ("vad", "asr", "punc", "sensevoice", "llm"):
        yield f"{part:<10} {models[f'{part}_model'] or '—'}"


def check_upload(target: Target, file: Path) -> Iterator[str]:
    begun = time.monotonic()
    answer = target.ask("/api/asr/transcribe", *form(file, generate_timestamps="true"))
    took = time.monotonic() - begun
    data = answer["data"]
    expect(answer["success"] and answer["filename"] == file.name, "回答与请求不符 (not the answer to this request)")
    yield f"{data['duration_ms'] / 1000:.1f} s 的音频用了 {took:.1f} s，共 {data['length']} 字"
    yield from sentences(data["timestamps"], data["text"], data["duration_ms"])


def sentences(times: list[dict[str, Any]], text: str, duration_ms: int) -> Iterator[str]:
    """One line a sentence; their texts make up ``text``, their times follow one another within the recording."""
    marks = [mark for item in times for mark in (item["start_ms"], item["end_ms"])]
    expect("".join(item["text"] for item in times) == text, "逐句文本与全文不一致 (sentences do not make up the text)")
    expect(marks == sorted(marks), "时间倒退 (times go backwards)")
    expect(not marks or (marks[0] >= 0 and marks[-1] <= duration_ms), "时间超出录音 (times outside the recording)")
    for item in times:
        yield f"[{item['start_ms'] / 1000:6.2f} – {item['end_ms'] / 1000:6.2f}] {item['text']}"
    if not times:
        yield "没有识别出语音 (no speech was found)"


def form(file: Path, **fields: str) -> tuple[bytes, str]:
    """Body and content type of an upload."""
    boundary = uuid.uuid4().hex
    name = file.name.replace("\\", "\\\\").replace('"', '\\"')
    parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
    parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + file.read_bytes())
    body = b"".join(f"--{boundary}\r\nContent-Disposition: form-data; ".encode() + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def check_live(target: Target, file: Path) -> Iterator[str]:
    try:
        import av
        import requests  # noqa: F401  python-socketio's client cannot connect without it
        import socketio
        import websocket  # noqa: F401
    except ImportError as error:
        yield f"跳过：没有安装 {error.name} (skipped: {error.name} is not installed)"
        return
    try:
        pcm = samples(av, file)
    except (av.FFmpegError, IndexError) as error:
        raise Wrong(f"{file.name}: {error}") from error
    events, over = [], threading.Event()

    def take(event: str, body: Any = None) -> None:
        events.append((event, body))
        if event == "final_result":
            over.set()

    client = socketio.Client(reconnection=False)
    client.on("*", take)
    try:
        client.connect(target.url, auth={"token": target.api_key}, transports=["websocket"])
        started = client.call("start_recording", {}, timeout=target.timeout_s)
        expect(started["ok"], f"start_recording: {started}")
        play(client, pcm)
        stopped = client.call("stop_recording", timeout=target.timeout_s)
        expect(stopped["ok"], f"stop_recording: {stopped}")
        expect(over.wait(target.timeout_s), "没有等到 final_result (it did not come)")
    except (socketio.exceptions.SocketIOError, ConnectionError) as error:
        raise Wrong(f"Socket.IO: {error or type(error).__name__}") from error
    finally:
        client.disconnect()
    yield from verdict(events, len(pcm) // 2 * 1000 // RATE)


def samples(av: Any, file: Path) -> bytes:
    """The first ``LIVE_S`` seconds of the file as the server wants them: s16le, mono, 16 kHz."""
    resampler, pcm = av.AudioResampler("s16", "mono", RATE), bytearray()
    wanted = int(LIVE_S * RATE) * 2
    with av.open(str(file)) as container:
        stream = container.streams.audio[0]
        for frame in (*container.decode(stream), None):
            for ready in resampler.resample(frame):
                pcm += ready.to_ndarray().tobytes()
            if len(pcm) >= wanted:
                break
    return bytes(pcm[:wanted])


def play(client: Any, pcm: bytes) -> None:
    """Send as a microphone does."""
    begun = time.monotonic()
    for at in range(0, len(pcm), FRAME):
        client.emit("audio_data", pcm[at : at + FRAME])
        time.sleep(max(0.0, begun + at / 2 / RATE - time.monotonic()))


def verdict(events: list[tuple[str, Any]], sent_ms: int) -> Iterator[str]:
    names = [name for name, _ in events]
    for name, body in events:
        if name == "error":
            yield f"error: {body['code']} {body['message']}"
    expect("error" not in names, "录音中有错误 (errors while recording)")
    expect(names.count("final_result") == 1, "final_result 应当恰好一个 (there should be exactly one)")
    expect("recording_stopped" in names, "没有 recording_stopped (it did not come)")
    expect(names.index("recording_stopped") < names.index("final_result"), "顺序不对 (wrong order)")
    final = dict(events)["final_result"]
    expect(final["error"] is None, str(final["error"]))
    heard_ms = final["duration_ms"]
    expect(abs(heard_ms - sent_ms) <= 1, f"发了 {sent_ms} ms，收到 {heard_ms} ms (audio is missing)")
    live = [body["full_text"] for name, body in events[: names.index("recording_stopped")] if name == "transcription"]
    expect(not final["llm_merged"] or any(live), "停止之前没有文本 (no text before stop)")
    yield f"{sent_ms / 1000:.1f} s，停止前有 {sum(map(bool, live))} 次实时文本"
    yield f"流式 {final['paraformer']}"
    yield f"复检 {final['sensevoice']}"
    yield from sentences(final["timestamps"], final["llm_merged"], heard_ms)


def main() -> int:
    parser = argparse.ArgumentParser(description="检查一个运行中的星纪 ASR。 Check a running server.")
    parser.add_argument("--file", type=Path, required=True, help="一段有人说话的音频。 A file with speech.")
    parser.add_argument("--url", default="http://127.0.0.1:5006", help="服务地址。 Where the server is. (%(default)s)")
    parser.add_argument("--api-key", default="", help="API 密钥，服务器要求时。 API key, where one is needed.")
    parser.add_argument("--timeout", type=float, default=600.0, help="每一步等几秒。 Patience. (%(default)s)")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that cannot show every character is no failure
    if not options.file.is_file():
        parser.error(f"没有这个文件 (no such file): {options.file}")
    target = Target(options.url.rstrip("/"), options.api_key, options.timeout)
    steps = {
        "健康 health": check_health(target),
        "模型 models": check_models(target),
        "上传 upload": check_upload(target, options.file),
        "实时 live": check_live(target, options.file),
    }
    failed = 0
    for title, step in steps.items():
        print(f"\n{title}")
        try:
            for line in step:
                print(f"  {line}")
            print("  ✓")
        except Wrong as wrong:
            failed += 1
            print(f"  ✗ {wrong}")
        except (KeyError, TypeError) as error:
            failed += 1
            print(f"  ✗ 回答的结构不对 (unexpected answer): {error!r}")
    print(f"\n{'通过 passed' if not failed else f'{failed} 项不通过 failed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
