"""Which container a stream is in, by its first bytes alone; and where an MP4 keeps its index."""

from collections.abc import Callable
from typing import Literal

from xingji.core.errors import XingjiError

Container = Literal["wav", "ogg", "matroska", "mp3", "aac", "amr", "flac", "mov"]
"""As libav calls its demuxers."""

ENOUGH = 12  # bytes that tell

FORMATS: dict[str, tuple[Container, ...]] = {
    "webm": ("matroska",),
    "ogg": ("ogg",),
    "opus": ("ogg", "matroska"),  # or, in neither, one packet a message
    "speex": ("ogg",),
    "mp3": ("mp3",),
    "aac": ("aac",),
    "amr": ("amr",),
    "flac": ("flac", "ogg"),
    "wav": ("wav",),
    "mp4": ("mov",),
    "m4a": ("mov",),
    "auto": ("wav", "ogg", "matroska", "mp3", "aac", "amr", "flac", "mov"),
}
"""What a client may declare → what it may then be."""

_MAGIC: tuple[tuple[int, bytes, Container], ...] = (
    (8, b"WAVE", "wav"),
    (0, b"OggS", "ogg"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"fLaC", "flac"),
    (0, b"#!AMR", "amr"),
    *((4, box, "mov") for box in (b"ftyp", b"styp", b"moov", b"mdat")),
)
SIGNATURES = ((0, b"RIFF"), (0, b"ID3"), (0, b"OggS"), (0, b"fLaC"), (4, b"ftyp"), (0, b"\x1aE\xdf\xa3"),
              (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"#!AMR"))  # fmt: skip
"""A file that begins like this is of a known format; if it cannot be opened it is damaged, not foreign."""

_BEFORE_MOOV = (b"ftyp", b"styp", b"free", b"skip", b"wide", b"uuid", b"sidx", b"pdin")
_LONGEST_PREFACE = 1 << 20  # bytes of boxes before the index or the audio of an MP4


def is_container(head: bytes) -> bool:
    """Do these first bytes (16 are enough) begin a file of a format that we know? Else they may be bare samples."""
    return any(head.startswith(mark, at) for at, mark in SIGNATURES)


def container_of(head: bytes, declared: str) -> Container | None:
    """None where it begins like nothing that ``declared`` allows. ``head``: ``ENOUGH`` bytes, or all there are."""
    found = _found(head, declared)
    return found if found in FORMATS[declared] else None


def _found(head: bytes, declared: str) -> Container | None:
    for at, magic, container in _MAGIC:
        if head.startswith(magic, at):
            return container
    if head.startswith(b"ID3"):  # the tag says nothing about what follows
        return "aac" if declared == "aac" else "mp3"
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"  # layer 0 is ADTS
    return None


def check_index_first(peek: Callable[[int], bytes]) -> None:
    """An MP4 can be read as it arrives if ``moov`` comes before the audio. ``peek(n)``: the first n bytes, waited for.

    Waits for the whole of a short index, which libav wants to read a little of twice. Raises XingjiError:
    ``not_streamable``, or ``decode_failed`` where the boxes make no sense.
    """
    at = 0
    while at <= _LONGEST_PREFACE:
        head = peek(at + 8)[at:]
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        if head[4:8] == b"moov":
            peek(at + min(size, _LONGEST_PREFACE))
            return
        if head[4:8] == b"mdat":
            raise XingjiError("not_streamable", field="format")
        if head[4:8] not in _BEFORE_MOOV or size < 8:
            break
        at += size
    raise XingjiError("decode_failed", field="format")
