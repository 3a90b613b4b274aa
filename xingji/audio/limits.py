"""What decoding a stranger's audio may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one file or stream. Beyond the first three is ``too_large``, else ``unsupported_format``."""

    max_seconds: float  # of decoded audio; what a header declares is never believed
    max_wall_s: float  # spent waiting for a file's child; the processor time of any child
    max_memory_bytes: int  # beyond what the interpreter and its libraries take (enforced on Linux)
    min_rate: int = 4_000  # Hz
    max_rate: int = 192_000  # Hz
    max_channels: int = 8
