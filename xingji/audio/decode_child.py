"""The child of ``container.decode_file``: one file in, raw 16 kHz int16 on stdout, nothing else touched.

``python -m xingji.audio.decode_child FILE LIMITS_AS_JSON``. Exit status 0 after all audio was written;
``REFUSED`` with one line ``{"code": …}`` on stderr when the file cannot or may not be decoded.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import av
import av.subtitles.codeccontext
import av.subtitles.stream  # PyAV imports these when it first meets a stream, too late for `confine`
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples

from .container import REFUSED, Limits, is_container
from .resample import Resampler, from_float

# Demuxers that may touch a file. None of them follows references to other files or addresses, and
# with no protocol allowed none could (2026-11: with a forced hls demuxer libav did read file:// and http://).
OPTIONS = {"format_whitelist": "wav,mp3,ogg,flac,mov,matroska,aac,asf,amr", "protocol_whitelist": ""}

# How libav encodes decoded samples → float32 in int16 steps, same shape.
STEPS: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {
    "u8": lambda planes: (planes.astype(np.float32) - 128) * 256,
    "s16": lambda planes: planes.astype(np.float32),
    "s32": lambda planes: planes.astype(np.float32) * np.float32(2**-16),
    "flt": from_float,
    "dbl": from_float,
}


def main(path: str, limits: Limits) -> int:
    with open(path, "rb") as file:
        confine(limits)
        try:
            for block in capped(decode(file, limits), limits.max_seconds):
                sys.stdout.buffer.write(block.astype("<i2", copy=False).tobytes())
            sys.stdout.buffer.flush()
        except (XingjiError, MemoryError) as error:
            code = error.code if isinstance(error, XingjiError) else "too_large"
            sys.stdout.buffer.flush()
            sys.stderr.write(json.dumps({"code": code}) + "\n")
            return REFUSED
    return 0


def confine(limits: Limits) -> None:
    """From here on this process opens no file and no socket, and cannot grow or spin without end."""
    if sys.platform == "win32":
        return
    import resource

    def lower(kind: int, soft: int, hard: int) -> None:
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (soft, hard))

    if sys.platform == "linux":
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        memory = mapped + limits.max_memory_bytes
        lower(resource.RLIMIT_AS, memory, memory)
    seconds = math.ceil(limits.max_wall_s) + 1
    lower(resource.RLIMIT_CPU, seconds, seconds + 1)  # if the parent is gone, nobody else stops us
    lower(resource.RLIMIT_CORE, 0, 0)
    lower(resource.RLIMIT_NOFILE, 0, 0)  # what is open stays open


def capped(blocks: Iterator[Samples], max_seconds: float) -> Iterator[Samples]:
    total = 0
    for block in blocks:
        total += len(block)
        if total > max_seconds * SAMPLE_RATE:
            raise XingjiError("too_large")
        yield block
    if total == 0:
        raise XingjiError("decode_failed")


def decode(file: BinaryIO, limits: Limits) -> Iterator[Samples]:
    """The best audio stream of the file. Its rate may change on the way (joined MP3 or AAC files)."""
    with open_container(file) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise XingjiError("unsupported_format")
        rate, resampler = SAMPLE_RATE, Resampler(SAMPLE_RATE)
        for frame in frames(container, stream):
            if not limits.min_rate <= frame.sample_rate <= limits.max_rate:
                raise XingjiError("unsupported_format")
            if not 1 <= frame.layout.nb_channels <= limits.max_channels:
                raise XingjiError("unsupported_format")
            if frame.sample_rate != rate:
                yield resampler.flush()
                rate, resampler = frame.sample_rate, Resampler(frame.sample_rate)
            yield resampler.feed(mono(frame))
        yield resampler.flush()


def open_container(file: BinaryIO) -> InputContainer:
    head = file.read(16)
    file.seek(0)
    try:
        # Tags in GBK are common; a tag that is not UTF-8 must not cost the audio.
        return av.open(file, "r", options=OPTIONS, metadata_errors="replace")
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise XingjiError("decode_failed" if is_container(head) else "unsupported_format") from error


def frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """All frames that can be decoded: a damaged packet is skipped, a container damaged from here on ends."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except MemoryError:
            raise
        except av.FFmpegError:
            return
        try:
            yield from packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            continue


def mono(frame: AudioFrame) -> NDArray[np.float32]:
    """The mean of the channels, float32 in int16 steps, shape (samples,)."""
    encoding = frame.format.packed.name
    if encoding not in STEPS:
        raise XingjiError("unsupported_format")
    data = frame.to_ndarray()
    planes = data if frame.format.is_planar else data.reshape(-1, frame.layout.nb_channels).T
    mean: NDArray[np.float32] = STEPS[encoding](planes).mean(axis=0, dtype=np.float32)
    return mean


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Limits(**json.loads(sys.argv[2]))))
