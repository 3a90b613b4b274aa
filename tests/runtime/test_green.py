"""The only place that knows eventlet: fast unmasking, a quiet patch, and a web process without model libraries."""

import importlib
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.runtime.green import mend_websocket, offload, unmask

ROOT = Path(__file__).resolve().parents[2]


def reference(data: bytes, mask: bytes, length: int | None, offset: int) -> bytes:
    """RFC 6455 §5.3, byte by byte."""
    count = len(data) if length is None else length
    return bytes(data[i] ^ mask[(offset + i) % 4] for i in range(count))


@given(
    st.binary(max_size=300) | st.binary(min_size=3200, max_size=3203),
    st.binary(min_size=4, max_size=4),
    st.integers(0, 70_000),
    st.data(),
)
def test_unmask_is_the_rfc(data: bytes, mask: bytes, offset: int, more: st.DataObject) -> None:
    length = more.draw(st.none() | st.integers(0, len(data)))
    expected = reference(data, mask, length, offset)
    for shape in (bytes, bytearray, memoryview):
        assert unmask(shape(data), mask, length, offset) == expected  # type: ignore[arg-type]
    assert unmask(data, tuple(mask), length, offset) == expected
    assert unmask(expected, mask, None, offset) == data[: len(expected)], "masking twice is nothing"


def run(program: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False)


STREAMED = """
from xingji.runtime.green import patch
patch()

import http.client, threading
import eventlet, eventlet.wsgi

read = threading.Event()

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    yield b"one"
    yield b"two" if read.wait(10) else b"nobody has read the first part"

listener = eventlet.listen(("127.0.0.1", 0))
threading.Thread(target=eventlet.wsgi.server, args=(listener, app), kwargs={"log_output": False}, daemon=True).start()
client = http.client.HTTPConnection(*listener.getsockname(), timeout=30)
client.request("GET", "/")
answer = client.getresponse()
assert answer.read1(100) == b"one"
read.set()
assert answer.read() == b"two"
"""


def test_an_answer_in_parts_is_sent_part_by_part() -> None:
    done = run(STREAMED)
    assert done.returncode == 0, done.stderr.decode()


PATCHED = """
from xingji.runtime.green import offload, patch, unmask
patch()
patch()

import queue, subprocess, sys, threading, time
from eventlet.patcher import is_monkey_patched
from eventlet.websocket import RFC6455WebSocket, WebSocketWSGI

assert all(map(is_monkey_patched, ("socket", "thread", "time", "select", "os")))
assert RFC6455WebSocket._apply_mask is unmask
assert WebSocketWSGI._negotiate_permessage_deflate(None, ["permessage-deflate"]) is None

box, room, ticks = queue.Queue(), threading.Condition(), []

def work():
    for n in range(3):
        box.put(n)
        time.sleep(0.001)
    with room:
        ticks.append("done")
        room.notify_all()

thread = threading.Thread(target=work)
thread.start()
assert [box.get(timeout=10) for _ in range(3)] == [0, 1, 2]
with room:
    assert room.wait_for(lambda: ticks, 10)
thread.join(10)
try:
    box.get(timeout=0.01)
except queue.Empty:
    pass

from eventlet.patcher import original

loop_goes_on = original("threading").Event()
threading.Thread(target=loop_goes_on.set).start()  # green: it runs only if the loop does
assert offload(loop_goes_on.wait, 10)
try:
    offload(int, "x")
except ValueError:
    pass
else:
    raise AssertionError

child = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, timeout=30)
assert (child.returncode, child.stdout.strip()) == (0, b"1")
print("works")
"""


def test_after_the_patch_the_standard_library_works_and_nothing_is_said() -> None:
    done = run(PATCHED)
    assert (done.stderr.decode(), done.stdout.decode().strip(), done.returncode) == ("", "works", 0)


def test_where_threads_are_threads_work_is_done_on_the_spot() -> None:
    with warnings.catch_warnings(action="ignore"):
        importlib.import_module("eventlet")  # as other libraries do, unasked; nothing is patched by that
    assert offload(threading.get_ident) == threading.get_ident()


HEAVY = ("torch", "funasr", "librosa", "modelscope", "openai", "onnxruntime", "transformers")


def test_the_web_process_imports_no_model_library() -> None:
    done = run(f"import sys, xingji.app; print(*({set(HEAVY)} & {{m.split('.')[0] for m in sys.modules}}))")
    assert (done.stderr.decode(), done.stdout.decode().strip(), done.returncode) == ("", "", 0)


class Websocket:
    """engineio's, as far as it is used here; ``ws.sock`` is one end of a real line."""

    def __init__(self, handler: object, server: object, **options: object) -> None:
        self.options = options
        here, self.client = socket.socketpair()
        self.ws = SimpleNamespace(sock=here)

    def close(self) -> None:
        if self.ws.sock.fileno() >= 0:
            self.ws.sock.sendall(b"goodbye")


@pytest.fixture
def websocket() -> Iterator[Websocket]:
    engineio = SimpleNamespace(async_mode="threading", _async={"websocket": Websocket, "thread": None})
    mend_websocket(engineio, 1000)
    websocket = engineio._async["websocket"](None, None)
    with websocket.client, websocket.ws.sock:
        yield websocket


def test_the_threaded_websocket_refuses_messages_above_the_limit(websocket: Websocket) -> None:
    assert websocket.options == {"max_message_size": 1000}


def test_the_threaded_websocket_ends_the_line(websocket: Websocket) -> None:
    websocket.close()
    assert (websocket.client.recv(100), websocket.client.recv(100)) == (b"goodbye", b"")
    assert websocket.ws.sock.recv(100) == b"", "whoever reads for us is woken"


def test_closing_what_has_ended_already_is_no_error(websocket: Websocket) -> None:
    websocket.client.close()
    websocket.ws.sock.close()
    websocket.close()


def test_mending_leaves_alone_what_all_servers_share() -> None:
    shared = {"websocket": Websocket, "thread": None}
    for mode in ("threading", "eventlet"):
        engineio = SimpleNamespace(async_mode=mode, _async=shared)
        mend_websocket(engineio, 1000)
        assert shared == {"websocket": Websocket, "thread": None}
        assert (engineio._async is shared) == (mode == "eventlet")
