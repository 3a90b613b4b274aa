"""音频：文件、麦克风、Opus。 Audio: files, the microphone, Opus. All of it is optional for ``AsrClient``.

A frame is 100 ms of 16-bit little-endian mono PCM at 16 kHz. Files and Opus need ``av`` (PyAV), the microphone
``sounddevice``; each is imported when it is used.
"""

import queue
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

RATE = 16_000
FRAME = RATE // 10 * 2  # bytes of 100 ms


class AudioError(Exception):
    """文件读不了，或没有麦克风；文字给人看。 A file that cannot be read, or no microphone; the text is for people."""


def duration_ms(path: str | Path) -> int | None:
    """文件多长；有的文件不知道。 How long the file says that it is; None where it does not. Raises AudioError."""
    av = _av()
    with _opened(av, path) as source:
        return None if source.duration is None else int(source.duration * 1000 // av.time_base)


def read_file(path: str | Path) -> Iterator[bytes]:
    """任何常见格式，解码成包，末包可能短。 Any common format as frames, the last may be short. Raises AudioError."""
    av = _av()
    resampler, pcm = av.AudioResampler("s16", "mono", RATE), bytearray()
    with _opened(av, path) as source:
        try:
            for frame in _decoded(av, source):
                for one in resampler.resample(frame):
                    pcm += one.to_ndarray().tobytes()
                while len(pcm) >= FRAME:
                    yield bytes(pcm[:FRAME])
                    del pcm[:FRAME]
        except av.FFmpegError as error:
            raise AudioError(f"{path}: 音频无法解码（the audio cannot be decoded）") from error
    if pcm:
        yield bytes(pcm)


def _decoded(av: Any, source: Any) -> Iterator[Any]:
    yield from source.decode(audio=0)
    yield None  # what the resampler still holds


def _opened(av: Any, path: str | Path) -> Any:
    try:
        source = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or type(error).__name__
        raise AudioError(f"{path}: 打不开（cannot be opened）: {reason}") from error
    if not source.streams.audio:
        source.close()
        raise AudioError(f"{path}: 里面没有音频（there is no audio in it）")
    return source


def opus(frames: Iterable[bytes], sample_rate: int = RATE, bit_rate: int = 24_000) -> Iterator[bytes]:
    """把包编码成 Ogg Opus，约为原来的十分之一；录音用 ``format="ogg"``。

    Frames as Ogg Opus, a tenth of the size, about one piece for each of them; record with ``format="ogg"``."""
    av = _av()
    sink, resampler = _Sink(), av.AudioResampler("s16", "mono", RATE)  # Opus knows five rates only
    with av.open(sink, "w", format="ogg", options={"page_duration": "100000"}) as target:  # µs: no page waits longer
        track = target.add_stream("libopus", rate=RATE, layout="mono")
        track.bit_rate = bit_rate
        for pcm in frames:
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
            frame.planes[0].update(pcm)
            frame.rate = sample_rate
            for one in resampler.resample(frame):
                target.mux(track.encode(one))
            yield sink.take()
        for one in resampler.resample(None):
            target.mux(track.encode(one))
        target.mux(track.encode(None))
    yield sink.take()


class _Sink:
    """A file that is only written to, in order."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


class Microphone:
    """麦克风，像包的列表一样用：``for frame in microphone``，直到另一个线程 ``stop()``。

    The microphone as frames, until ``stop()`` is called on another thread; a context manager. What nobody has taken
    yet waits. ``overflows`` counts the times when the system itself lost samples. Raises AudioError."""

    def __init__(self, device: int | str | None = None) -> None:
        try:
            import sounddevice
        except (ImportError, OSError) as error:  # OSError: no PortAudio
            raise AudioError("麦克风需要 sounddevice 和 PortAudio（pip install sounddevice）") from error
        self.overflows = 0
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        try:
            self.sample_rate = _rate(sounddevice, device)  # 给 start 的 sample_rate · what to start a recording with
            self._stream = sounddevice.RawInputStream(
                samplerate=self.sample_rate,
                blocksize=self.sample_rate // 10,
                device=device,
                channels=1,
                dtype="int16",
                callback=self._take,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(f"麦克风打不开（the microphone cannot be opened）: {error}") from error

    def _take(self, data: Any, _frames: int, _time: Any, status: Any) -> None:
        self.overflows += bool(status.input_overflow)
        self._frames.put(bytes(data))

    def __enter__(self) -> "Microphone":
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[bytes]:
        while (frame := self._frames.get()) is not None:
            yield frame

    def stop(self) -> None:
        self._stream.stop()
        self._frames.put(None)


def _rate(sounddevice: Any, device: int | str | None) -> int:
    """16 kHz where the device can; else its own, and the server resamples."""
    try:
        sounddevice.check_input_settings(device=device, channels=1, dtype="int16", samplerate=RATE)
    except sounddevice.PortAudioError:
        return int(sounddevice.query_devices(device, "input")["default_samplerate"])
    return RATE


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise AudioError("读文件和 Opus 需要 PyAV（pip install av）") from error
    return av
