"""The process that decodes: a file, or a stream on stdin, in; raw 16 kHz int16 on stdout; nothing else touched.

``python -m xingji.audio.decode_child file PATH LIMITS`` or ``… stream DECLARED LIMITS``; limits as JSON. A stream
comes in messages of a uint32, little endian, and as many bytes; what it was declared to be is a key of
``sniff.FORMATS``. The samples of a file follow a ``child.DECLARED``. Exit status 0 after all audio was written;
``REFUSED`` with one line ``{"code": …}`` on stderr when it cannot or may not be decoded.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, BinaryIO, cast

import av
import av.subtitles.codeccontext
import av.subtitles.stream  # PyAV imports these when it first meets a stream, too late for `confine`
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples

from .child import DECLARED, REFUSED
from .incoming import Incoming, Pipe
from .limits import Limits
from .resample import Resampler, from_float
from .sniff import ENOUGH, check_index_first, container_of, is_container

# Demuxers that may touch a file. None of them follows references to other files or addresses, and
# with no protocol allowed none could (2026-11: with a forced hls demuxer libav did read file:// and http://).
OPTIONS = {"format_whitelist": "wav,mp3,ogg,flac,mov,matroska,aac,asf,amr", "protocol_whitelist": ""}

# What opens a stream with its first packet. Not ``fflags=nobuffer``: it loses the packets that were looked at.
IMPATIENT = {"probesize": "32", "analyzeduration": "1"}
OPENING = 1 << 20  # bytes that libav needs to open anything; where it cannot have them it dies by a signal
TRAILER = 64 << 10  # bytes after the end of a container that may be something else than audio
OPUS_RATE, OPUS_PACKET = 48_000, 48 * 1276  # RFC 6716: at most 48 frames, each of at most 1275 bytes and its length

# How libav encodes decoded samples → float32 in int16 steps, same shape.
STEPS: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {
    "u8": lambda planes: (planes.astype(np.float32) - 128) * 256,
    "s16": lambda planes: planes.astype(np.float32),
    "s32": lambda planes: planes.astype(np.float32) * np.float32(2**-16),
    "flt": from_float,
    "dbl": from_float,
}


def main(what: str, argument: str, limits: Limits) -> int:
    with open(argument, "rb") if what == "file" else nullcontext() as file:
        confine(limits)
        blocks = (
            decode(file, limits, declare)
            if file
            else decode_stream(Incoming(cast(Pipe, sys.stdin.buffer)), argument, limits)
        )
        try:
            bytearray(OPENING)
            for block in capped(blocks, limits.max_seconds):
                sys.stdout.buffer.write(block.astype("<i2", copy=False).tobytes())
                if what == "stream":
                    sys.stdout.buffer.flush()
            sys.stdout.buffer.flush()
        except (XingjiError, MemoryError) as error:
            code = error.code if isinstance(error, XingjiError) else "too_large"
            sys.stdout.buffer.flush()
            sys.stderr.write(json.dumps({"code": code}) + "\n")
            return REFUSED
    return 0


def declare(seconds: float) -> None:
    sys.stdout.buffer.write(DECLARED.pack(seconds))


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


def decode(file: BinaryIO, limits: Limits, declare: Callable[[float], object]) -> Iterator[Samples]:
    """The best audio stream of the file; first ``declare`` is told how many seconds it claims to have, or 0."""
    with open_container(file) as container:
        stream = sound(container)
        declare((container.duration or 0) / av.time_base)
        yield from joined(frames(container, stream), limits)


def decode_stream(stream: Incoming, declared: str, limits: Limits) -> Iterator[Samples]:
    """What arrives, as soon as it can be decoded."""
    name = container_of(stream.peek(ENOUGH), declared)
    if name is None and declared == "opus":
        yield from joined(packets(stream), limits)
        return
    if name is None:
        raise XingjiError("unsupported_format")
    if name == "mov":
        check_index_first(stream.peek)
    try:
        options = OPTIONS | IMPATIENT
        container = av.open(stream, "r", format=name, options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise XingjiError("decode_failed") from error
    with container:
        yield from joined(frames(container, sound(container)), limits)
    if stream.goes_on(TRAILER):  # the container is over, or damaged beyond repair
        raise XingjiError("decode_failed")


def joined(frames: Iterator[AudioFrame], limits: Limits) -> Iterator[Samples]:
    """All of them at 16 kHz. Their rate may change on the way (joined MP3 or AAC files)."""
    rate, resampler = SAMPLE_RATE, Resampler(SAMPLE_RATE)
    for frame in frames:
        if not limits.min_rate <= frame.sample_rate <= limits.max_rate:
            raise XingjiError("unsupported_format")
        if not 1 <= frame.layout.nb_channels <= limits.max_channels:
            raise XingjiError("unsupported_format")
        if frame.sample_rate != rate:
            yield resampler.flush()
            rate, resampler = frame.sample_rate, Resampler(frame.sample_rate)
        yield resampler.feed(mono(frame))
    yield resampler.flush()


def packets(stream: Incoming) -> Iterator[AudioFrame]:
    """Of Opus packets without a container, one a message. One that is damaged is skipped."""
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.sample_rate, decoder.layout = OPUS_RATE, "mono"
    for message in stream.messages():
        if len(message) > OPUS_PACKET:
            raise XingjiError("unsupported_format")
        try:
            yield from decoder.decode(av.Packet(message))
        except MemoryError:
            raise
        except av.FFmpegError:
            continue


def sound(container: InputContainer) -> AudioStream:
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise XingjiError("unsupported_format")
    return stream


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
    sys.exit(main(sys.argv[1], sys.argv[2], Limits(**json.loads(sys.argv[3]))))
