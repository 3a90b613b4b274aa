"""How right the texts of a server are, stage by stage. ``python -m tools.quality [MANIFEST …]``

Plays recordings whose text is known to a real server (its own, started with the embedded models, or ``--server URL``)
over Socket.IO and compares what it says after each stage. A MANIFEST is a file of a JSON object a line
(``{"audio", "text"}`` and, where known, ``words``, ``sentences``, ``hotwords``, ``language``, ``id``; see
tools/quality/manifest.py), a Kaldi directory (``wav.scp``, ``text``) or ``data_aishell`` as it is unpacked. Without
one: the recordings of this repository and, where espeak-ng is installed, more held-out speech of the same domain.

Exit status 1: a recording failed, or the second pass is worse than ``--fail-above`` allows. docs/bench/quality.md says
how to read the report.
"""

import argparse
import sys
from pathlib import Path

from xingji.core.errors import XingjiError

from .quality import quality


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="*", type=Path, metavar="MANIFEST")
    parser.add_argument("--server", metavar="URL", help="a running server; default: one of its own")
    parser.add_argument("--models", default="minipack", help="of its own server: minipack (default), official or DIR")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of its own server")
    parser.add_argument("--pace", type=float, default=0.0, help="1: in real time; 0: as fast as it takes it (default)")
    parser.add_argument("--clients", type=int, default=4, help="recordings at a time (default 4)")
    parser.add_argument("--part", default="test", help="of data_aishell: test (default), dev or train")
    parser.add_argument("--most", type=int, metavar="N", help="only the first N recordings of each manifest")
    parser.add_argument("--hotwords", type=Path, metavar="FILE", help="a word a line, for every recording")
    parser.add_argument("--held-out", type=int, default=60, metavar="N", help="recordings to make (default 60)")
    parser.add_argument("--noisy", type=int, default=24, metavar="N", help="recordings in each noise (default 24)")
    parser.add_argument("--snr", type=float, nargs="+", default=[15.0], metavar="DB", help="(default 15)")
    parser.add_argument("--non-speech", type=float, default=3.0, metavar="MIN", help="minutes (default 3)")
    parser.add_argument("--unrelated", type=int, default=100, metavar="N", help="words that nobody says (default 100)")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--fail-above", type=float, metavar="PERCENT", help="the second pass' CER, of every plain run")
    parser.add_argument("--folder", type=Path, default=Path(".build/quality"), help="for what it makes")
    parser.add_argument("--out", type=Path, help="the report as a file as well (Markdown)")
    parser.add_argument("--json", type=Path, help="every figure, text and fault")
    parser.add_argument("--picture", type=Path, help="the error rates (SVG)")
    options = parser.parse_args()
    try:
        return quality(options)
    except (OSError, ValueError, RuntimeError, AssertionError, XingjiError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
