"""Audio made on the spot: a chirp whose samples are known at every rate, and files of it in any container."""

import io
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from xingji.audio import Limits, container, decode_file
from xingji.core.errors import XingjiError

Signal = NDArray[np.float32]  # shape (n,) or (channels, n), ±1.0


def chirp(rate: int, seconds: float = 1.5) -> Signal:
    """200 → 2000 Hz at half scale, faded in and out; the same curve at whatever rate."""
    t = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * (200 * t + 0.5 * (1800 / seconds) * t**2)
    return (0.5 * np.sin(np.pi * t / seconds) ** 0.5 * np.sin(phase)).astype(np.float32)


def encode(
    signal: Signal, rate: int, container: str, codec: str, options: dict[str, str] | None = None, **tags: str
) -> bytes:
    """The signal as a file, written by libav's own encoders."""
    planes = np.atleast_2d(signal)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(planes)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        output.metadata.update(tags)
        stream = output.add_stream(codec, rate=rate, layout=layout, options=options or {})
        for at in range(0, planes.shape[1], 4096):
            block = np.ascontiguousarray(planes[:, at : at + 4096], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.rate, frame.pts = rate, at
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def distance(heard: NDArray[np.int16], signal: Signal) -> tuple[float, float]:
    """``(SNR in dB, shift in ms)`` of 16 kHz samples against a ±1.0 signal, shifted by 1/8 samples to fit."""
    n = 1 << (len(heard) + len(signal)).bit_length()
    spectra = [np.fft.rfft(x, n) for x in (heard / 32768, signal)]
    fine = 8 * n
    correlation = np.fft.irfft(spectra[0] * spectra[1].conj(), fine)
    shift = int(np.argmax(correlation))
    shift = shift - fine if shift > fine // 2 else shift
    turn = np.exp(-2j * np.pi * np.arange(n // 2 + 1) * shift / fine)
    error = np.fft.irfft(spectra[0] - spectra[1] * turn, n)
    return float(10 * np.log10(np.sum(signal**2) / (np.sum(error**2) + 1e-20))), shift / 8 / 16


@pytest.fixture(scope="session", name="encode")
def _encode() -> Callable[..., bytes]:
    return encode


@pytest.fixture(scope="session", name="chirp")
def _chirp() -> Callable[..., Signal]:
    return chirp


@pytest.fixture(scope="session", name="distance")
def _distance() -> Callable[..., tuple[float, float]]:
    return distance


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(max_seconds=60, max_wall_s=60, max_memory_bytes=256 << 20)


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The decoder processes of one test; all must have ended and been waited for when it ends."""
    started: list[subprocess.Popen[bytes]] = []
    start = container._start

    def remember(path: Path, limits: Limits) -> subprocess.Popen[bytes]:
        started.append(start(path, limits))
        return started[-1]

    monkeypatch.setattr(container, "_start", remember)
    yield started
    assert None not in [child.returncode for child in started]


@pytest.fixture
def hear(tmp_path: Path, children: list[subprocess.Popen[bytes]], limits: Limits) -> Callable[..., NDArray[np.int16]]:
    """Decode these bytes. The file's name says nothing about them, and no other file may appear."""

    def hear(data: bytes, limits: Limits = limits) -> NDArray[np.int16]:
        path = tmp_path / "录音 (1).txt"
        path.write_bytes(data)
        try:
            return np.concatenate(list(decode_file(path, limits)))
        finally:
            assert list(tmp_path.iterdir()) == [path]

    return hear


@pytest.fixture
def code_of(hear: Callable[..., NDArray[np.int16]], limits: Limits) -> Callable[..., str]:
    """The code with which these bytes are refused."""

    def code_of(data: bytes, limits: Limits = limits) -> str:
        with pytest.raises(XingjiError) as error:
            hear(data, limits)
        return error.value.code

    return code_of
