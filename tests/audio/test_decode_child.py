"""The child that decodes: it follows nothing, costs little, and never outlives its iterator."""

import io
import json
import signal
import socket
import subprocess
import sys
import textwrap
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from xingji.audio import Halt, Limits, container, decode_child, decode_file
from xingji.core.errors import XingjiError

LIMITS = Limits(max_seconds=60, max_wall_s=60, max_memory_bytes=256 << 20)
Encode = Callable[..., bytes]
Chirp = Callable[..., np.ndarray]


def silence(seconds: float) -> bytes:
    """A 16 kHz wav."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(16_000 * seconds)))
    return buffer.getvalue()


# Files that point elsewhere


@pytest.fixture
def trap(tmp_path_factory: pytest.TempPathFactory, encode: Encode, chirp: Chirp) -> Iterator[dict[str, str]]:
    """A local recording and an address; whoever connects to the latter is noticed."""
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.aac"
    secret.write_bytes(encode(chirp(16_000), 16_000, "adts", "aac"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield {"file": str(secret), "http": f"http://127.0.0.1:{listener.getsockname()[1]}/a.ts"}
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
PLAYLISTS = {
    "hls": HLS,
    "hls file://": HLS.replace("{target}", "file://{target}"),
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{target}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("target", ["file", "http"])
def test_a_playlist_is_not_followed(kind: str, target: str, trap: dict[str, str], code_of: Callable[..., str]) -> None:
    assert code_of(PLAYLISTS[kind].format(target=trap[target]).encode()) == "unsupported_format"


@pytest.mark.parametrize("options", ["format_whitelist", "protocol_whitelist"])
@pytest.mark.parametrize("target", ["file", "http"])
def test_each_whitelist_alone_stops_a_forced_playlist(options: str, target: str, trap: dict[str, str]) -> None:
    playlist = io.BytesIO(HLS.format(target=trap[target]).encode())
    with (
        pytest.raises(av.FFmpegError),
        av.open(playlist, format="hls", options={options: decode_child.OPTIONS[options]}),
    ):
        pass


CONFINED = """
import sys, socket
from xingji.audio import Limits
from xingji.audio.decode_child import confine
confine(Limits(max_seconds=1, max_wall_s={wall}, max_memory_bytes=64 << 20))
try:
    {attempt}
except (OSError, MemoryError) as error:
    sys.exit(type(error).__name__)
"""
posix = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux keeps them")


@posix
@pytest.mark.parametrize(
    ("attempt", "end"),
    [
        ("open('/etc/hostname')", "OSError"),
        ("open('left-over', 'w')", "OSError"),
        ("socket.socket()", "OSError"),
        ("bytearray(32 << 20)", ""),
        ("bytearray(128 << 20)", "MemoryError"),
    ],
)
def test_the_child_can_reach_nothing(attempt: str, end: str, tmp_path: Path) -> None:
    done = confined(attempt, tmp_path)
    assert (done.stderr.decode().strip(), done.returncode) == (end, int(end != ""))
    assert list(tmp_path.iterdir()) == []


@posix
def test_the_child_cannot_spin_for_ever(tmp_path: Path) -> None:
    assert confined("exec('while True: pass')", tmp_path).returncode == -signal.SIGXCPU


def confined(attempt: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    code = CONFINED.format(attempt=attempt, wall=0)
    root = str(Path(container.__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}){code}"],
        cwd=cwd,
        capture_output=True,
        timeout=60,
    )


# What one file may cost


def test_a_bomb_is_cut_at_the_limit(encode: Encode, tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    path = tmp_path / "bomb.flac"
    path.write_bytes(encode(np.zeros(16_000 * 600, np.float32), 16_000, "flac", "flac"))
    assert path.stat().st_size < 200_000
    chunks = decode_file(path, replace(LIMITS, max_seconds=5))
    heard = 0
    with pytest.raises(XingjiError, match="too_large"):
        for chunk in chunks:
            heard += len(chunk)
    assert 3 * 16_000 < heard <= 5 * 16_000


def test_the_clock_stops_the_child(code_of: Callable[..., str], children: list[subprocess.Popen[bytes]]) -> None:
    assert code_of(silence(1), replace(LIMITS, max_wall_s=0.001)) == "too_large"
    if sys.platform != "win32":
        assert children[0].returncode == -signal.SIGKILL


@posix
def test_memory_is_limited(encode: Encode, chirp: Chirp, code_of: Callable[..., str]) -> None:
    data = encode(chirp(44_100, 4), 44_100, "ipod", "aac")
    assert code_of(data, replace(LIMITS, max_memory_bytes=1)) == "too_large"


@posix
@pytest.mark.parametrize(
    ("script", "code"),
    [("kill -SEGV $$", "decode_failed"), ("kill -XCPU $$", "too_large"), ("exit 1", "internal")],
)
def test_how_the_child_died_decides_whose_fault_it_is(
    script: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(XingjiError, match=code):
        list(decode_file(fake, LIMITS))


def test_secrets_stay_with_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINGJI_LLM_API_KEY", "sk-secret")
    seen: list[dict[str, str]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: seen.append(k["env"]) or popen(*a, **k))
    (tmp_path / "a").write_bytes(silence(0.1))
    assert sum(map(len, decode_file(tmp_path / "a", LIMITS))) == 1600
    assert "XINGJI_LLM_API_KEY" not in seen[0]


# Lives of the child


@pytest.mark.parametrize("end", ["close", "drop", "throw"])
def test_stopping_early_kills_the_child(end: str, tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(silence(30))  # more than pipes hold: the child is still writing
    chunks = decode_file(path, LIMITS)
    assert len(next(chunks)) == 16_000
    match end:
        case "close":
            chunks.close()  # type: ignore[attr-defined]
        case "drop":
            del chunks
        case "throw":
            with pytest.raises(KeyError):
                chunks.throw(KeyError())  # type: ignore[attr-defined]
    assert len(children) == 1
    assert children[0].returncode is not None
    if sys.platform != "win32":
        assert children[0].returncode == -signal.SIGKILL


def test_a_halt_ends_it_without_a_word(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    path, halt = tmp_path / "a.wav", Halt()
    path.write_bytes(silence(59))
    chunks = decode_file(path, LIMITS, halt)
    next(chunks)
    halt.ask()
    assert len(list(chunks)) < 58
    assert children[0].returncode is not None
    if sys.platform != "win32":
        assert children[0].returncode == -signal.SIGKILL
    assert list(decode_file(path, LIMITS, halt)) == [], "it had been asked before it began"


def test_what_the_file_claims_is_told_before_its_audio(tmp_path: Path) -> None:
    path, told = tmp_path / "a.wav", []
    path.write_bytes(silence(2))
    chunks = decode_file(path, LIMITS, declared=told.append)
    next(chunks)
    assert told == [2.0]
    path.write_bytes(b"%PDF-1.7")
    with pytest.raises(XingjiError, match="unsupported_format"):
        list(decode_file(path, LIMITS, declared=told.append))
    assert told == [2.0]


def test_nothing_starts_before_the_first_chunk_is_asked_for(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    decode_file(tmp_path / "missing", LIMITS)
    assert children == []


def test_files_side_by_side_in_threads(tmp_path: Path) -> None:
    def work(seconds: int) -> int:
        path = tmp_path / f"{seconds}.wav"
        path.write_bytes(silence(seconds))
        return sum(map(len, decode_file(path, LIMITS)))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(1, 5))) == [16_000, 32_000, 48_000, 64_000]


GREEN = """
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
    import json, sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from xingji.audio import Limits, decode_file
    from xingji.core.errors import XingjiError

    ticks = 0
    def tick():
        global ticks
        while True:
            ticks += 1
            eventlet.sleep(0.01)
    eventlet.spawn(tick)

    path = Path(sys.argv[2])
    lengths = [len(chunk) for chunk in decode_file(path, Limits(60, 60, 256 << 20))]
    ticked = ticks
    early = decode_file(path, Limits(60, 60, 256 << 20))
    next(early)
    early.close()
    try:
        list(decode_file(path, Limits(60, 0.001, 256 << 20)))
    except XingjiError as error:
        code = error.code
    print(json.dumps({"lengths": lengths, "ticked": ticked, "code": code}))
"""


def test_under_eventlet_the_loop_keeps_turning(tmp_path: Path) -> None:
    pytest.importorskip("eventlet", exc_type=ImportError)
    path = tmp_path / "a.wav"
    path.write_bytes(silence(10.01))
    root = str(Path(container.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GREEN), root, str(path)], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["lengths"] == [16_000] * 10 + [160]
    assert said["code"] == "too_large"
    assert said["ticked"] >= 5
