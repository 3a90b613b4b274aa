"""Compressed audio over a real socket, as fast as it is spoken: text meanwhile, the right text after, each format.

``tests/data/compressed`` holds what libav cannot encode, made of the same recording by speexenc (-w --quality 8) and
by libvo-amrwbenc (18.25 kbit/s).
"""

import io
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soxr

from tests.audio.conftest import encode as encode_signal
from tests.e2e.test_upload import FORMATS, encode
from tests.support import RATE, ROOT, Recorder, Server, utterance
from xingji.core.scoring import cer

SAID = utterance("two_sentences")
COMPRESSED = ROOT / "tests" / "data" / "compressed"
STEP_S = 0.1


def fragmented() -> bytes:
    """As Safari's MediaRecorder makes it."""
    buffer, rate = io.BytesIO(), 44_100
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "250000"}
    signal = soxr.resample(np.frombuffer(SAID.pcm, "<i2").astype(np.float32) / 32768, RATE, rate)
    with av.open(buffer, "w", format="mp4", options=options) as output:
        track = output.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(signal[np.newaxis], format="fltp", layout="mono")
        frame.rate = rate
        output.mux(track.encode(frame) + track.encode(None))
    return buffer.getvalue()


def two_channels() -> bytes:
    signal = soxr.resample(np.frombuffer(SAID.pcm, "<i2").astype(np.float32) / 32768, RATE, 48_000)
    return encode_signal(np.stack([signal, signal]), 48_000, "webm", "libopus", {"b": "64000"})


def endless_wav() -> bytes:
    wav = encode(SAID.pcm, "wav", "pcm_s16le", 8_000 * 6)
    at = wav.index(b"data")
    return wav[: at + 4] + b"\xff" * 4 + wav[at + 8 :]


STREAMS = {
    "webm": lambda: encode(SAID.pcm, *FORMATS["webm"]),
    "webm, two channels": two_channels,
    "ogg": lambda: encode(SAID.pcm, *FORMATS["ogg"]),
    "opus": lambda: encode(SAID.pcm, *FORMATS["ogg"]),
    "speex": (COMPRESSED / "two_sentences.spx").read_bytes,
    "mp3": lambda: encode(SAID.pcm, *FORMATS["mp3"]),
    "aac": lambda: encode(SAID.pcm, *FORMATS["aac"]),
    "amr": (COMPRESSED / "two_sentences.awb").read_bytes,
    "flac": lambda: encode(SAID.pcm, *FORMATS["flac"]),
    "wav": lambda: encode(SAID.pcm, *FORMATS["wav"]),
    "wav, endless": endless_wav,
    "mp4": fragmented,
    "auto": lambda: encode(SAID.pcm, *FORMATS["webm"]),
}


def play(client: Recorder, audio: bytes, pace: float = 1.0) -> None:
    """In steps of 100 ms."""
    size = max(1, round(len(audio) * STEP_S / (SAID.milliseconds / 1000)))
    begun = time.monotonic()
    for number, at in enumerate(range(0, len(audio), size)):
        if pace:
            time.sleep(max(0.0, begun + number * STEP_S / pace - time.monotonic()))
        client.client.emit("audio_data", audio[at : at + size])


def right(client: Recorder, final: dict[str, Any]) -> None:
    assert client.named("error") == []
    assert cer([(SAID.written, final["llm_merged"])]) <= 0.05, final["llm_merged"]
    assert abs(final["duration_ms"] - SAID.milliseconds) < 120
    stopped = client.named("recording_stopped")[0]
    assert (stopped["reason"], stopped["duration_ms"]) == ("client", final["duration_ms"])


@pytest.mark.parametrize("name", STREAMS)
def test_each_format_gives_text_at_once_and_the_right_text_after(server: Server, name: str) -> None:
    audio, declared = STREAMS[name](), name.split(",")[0]
    with Recorder(server.url) as client:
        client.start(format=declared)
        play(client, audio, pace=2)
        right(client, client.stop())
        assert client.named("recording_started")[0]["config"]["format"] == declared
        assert client.partials(), "no text before stop"
        assert client.named("recording_stopped")[0]["received_bytes"] == len(audio)


def test_the_text_of_an_upload(server: Server) -> None:
    """One decoder for both ways."""
    audio = STREAMS["webm"]()
    uploaded = server.post("/api/asr/transcribe", files={"file": ("a", audio)}).json()["data"]
    with Recorder(server.url) as client:
        client.start(format="webm")
        play(client, audio, pace=0)
        final = client.stop()
    assert (final["sensevoice"], final["duration_ms"]) == (uploaded["text"], uploaded["duration_ms"])
    assert final["timestamps"] == uploaded["timestamps"]


def test_opus_packets_without_a_container(server: Server) -> None:
    file = encode_signal(
        soxr.resample(np.frombuffer(SAID.pcm, "<i2").astype(np.float32) / 32768, RATE, 48_000),
        48_000,
        "webm",
        "libopus",
        {"b": "32000", "frame_duration": "60"},
    )
    with Recorder(server.url) as client:
        client.start(format="opus")
        for packet in av.open(io.BytesIO(file)).demux():
            client.client.emit("audio_data", bytes(packet))
        right(client, client.stop())


def test_acknowledgements_count_what_has_been_decoded(server: Server) -> None:
    audio = STREAMS["webm"]()
    with Recorder(server.url) as client:
        client.start(format="webm")
        client.client.call("audio_data", audio[: len(audio) // 2], timeout=10)

        def position() -> int:
            ack = client.client.call("audio_data", b"", timeout=10)
            assert ack["ok"]
            return int(ack["received_ms"])

        server.wait(lambda: position() > SAID.milliseconds * 0.4, 20)
        assert position() < SAID.milliseconds * 0.6
        client.client.emit("cancel_recording")


@pytest.mark.parametrize(
    ("declared", "audio", "code"),
    [
        ("mp3", STREAMS["webm"], "unsupported_format"),
        ("auto", lambda: b"%PDF-1.7\n" * 200, "unsupported_format"),
        ("mp4", lambda: encode(SAID.pcm, *FORMATS["m4a"]), "not_streamable"),
    ],
)
def test_what_cannot_be_decoded_is_told_at_once(server: Server, declared: str, audio: Any, code: str) -> None:
    with Recorder(server.url) as client:
        client.start(format=declared)
        client.client.emit("audio_data", audio())
        error = client.expect("error")
        assert error["code"] == code and error["message"] and error["message_en"] and not error["fatal"]
        assert error["recording_id"] == client.expect("recording_stopped")["recording_id"]
        assert client.expect("recording_stopped")["reason"] == "undecodable"
        assert client.expect("final_result")["duration_ms"] == 0
        client.start()  # the same connection records on
        client.play(SAID.pcm, pace=0)
        assert client.stop()["duration_ms"] == SAID.milliseconds


def decoders(server: Server) -> list[int]:
    """Process ids of the decoders below this server, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if b"xingji.audio.decode_child" in words and parent == server.process.pid:
                found.append(int(entry.name))
    return sorted(found)


@pytest.fixture(scope="module", params=["eventlet", "threading"])
def own(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("compressed"), XINGJI_ASYNC_MODE=request.param) as running:
        yield running
        running.wait(lambda: decoders(running) == [], 20)


def test_killing_a_decoder_costs_its_own_recording_the_rest(own: Server) -> None:
    audio = STREAMS["webm"]()
    first = SAID.sentences[0]
    part = len(audio) * (SAID.sentences[1]["begin_ms"] + 500) // SAID.milliseconds
    with Recorder(own.url) as one, Recorder(own.url) as other:
        for client in (one, other):
            client.start(format="webm")
            play(client, audio[:part], pace=0)
            own.wait(lambda c=client: any(b["sentence"]["settled"] for b in c.named("segment_result")), 30)  # type: ignore[misc]
        os.kill(decoders(own)[0], signal.SIGKILL)
        assert one.expect("error")["code"] == "decode_failed"
        assert one.expect("recording_stopped")["reason"] == "undecodable"
        final = one.expect("final_result")
        assert final["sentences"][0]["text"] == first["written"]
        assert final["duration_ms"] >= first["end_ms"]
        play(other, audio[part:], pace=0)
        right(other, other.stop())


def test_a_bomb_ends_at_the_longest_recording(models: Path, tmp_path: Path) -> None:
    bomb = encode_signal(np.zeros(RATE * 3600, np.float32), RATE, "flac", "flac")
    assert len(bomb) < 1 << 20
    with Server(tmp_path, XINGJI_MAX_RECORDING_S="60") as server, Recorder(server.url) as client:
        client.start(format="flac")
        client.client.emit("audio_data", bomb)
        assert client.expect("recording_stopped")["reason"] == "max_duration"
        assert 60_000 <= client.expect("final_result")["duration_ms"] <= 130_000
        peak = next(
            int(line.split()[1])
            for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        assert peak < 400_000, f"the gateway grew to {peak} KiB"
        server.wait(lambda: decoders(server) == [], 20)


def test_fifty_recordings_that_are_dropped_leave_no_decoder(own: Server) -> None:
    audio = STREAMS["webm"]()

    def held() -> int:
        return len(list(Path(f"/proc/{own.process.pid}/fd").iterdir()))

    with Recorder(own.url) as client:
        own.wait(lambda: decoders(own) == [], 20)
        before = held()
        for number in range(50):
            client.start(format="webm")
            client.client.emit("audio_data", audio[: number * 200])
            client.client.call("cancel_recording", timeout=10)
        own.wait(lambda: decoders(own) == [] and held() <= before, 30)
    for number in range(5):
        with Recorder(own.url) as gone:
            gone.start(format="webm")
            gone.client.emit("audio_data", audio[: number * 5000])
    own.wait(lambda: decoders(own) == [], 30)
    zombies = subprocess.run(["ps", "--ppid", str(own.process.pid), "-o", "stat="], capture_output=True, text=True)
    assert "Z" not in zombies.stdout
    assert "Traceback" not in own.log.read_text("utf-8")
