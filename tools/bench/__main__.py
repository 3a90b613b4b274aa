"""How many people can speak at a time, how long they wait and what it costs. ``python -m tools.bench``

Plays paced recordings from N clients at once (a process of its own) against a server of its own, looks for the
largest N that it holds, and prints a Markdown report. Beside it, on the same machine and in turn, FunASR's published
Python websocket server: ``--baseline funasr --funasr-server funasr_wss_server.py --funasr-python PYTHON``, where the
script is ``runtime/python/websocket/funasr_wss_server.py`` of FunASR's repository and PYTHON has what it needs:

  python -m venv .build/funasr
  .build/funasr/bin/pip install torch==2.13.0 funasr==1.4.16 kaldi-native-fbank==1.22.5 websockets scipy

It needs models made by ``python -m tools.fullsize OUT --offline``. The clients share the machine with the server;
figures are for comparing. Linux only.
"""

import argparse
import sys
from pathlib import Path

from .bench import bench
from .servers import prepare


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="minipack", help="minipack (default), official or a directory")
    parser.add_argument("--make-models", action="store_true", help="write models of official size to --models first")
    parser.add_argument("--seconds", type=float, default=30.0, help="of audio from each client (default 30)")
    parser.add_argument("--clients", type=int, nargs="+", help="these numbers of clients, instead of searching")
    parser.add_argument("--first", type=int, default=8, help="the search of our server begins with so many (default 8)")
    parser.add_argument("--max-clients", type=int, default=256, help="the search tries no more (default 256)")
    parser.add_argument("--limit-min", type=float, default=20.0, help="each search begins no run after it (default 20)")
    parser.add_argument("--out", type=Path, help="the report; default: standard output")
    parser.add_argument("--json", type=Path, help="every figure of every run")
    parser.add_argument("--curve", type=Path, help="a picture: sessions, partial lag (SVG)")
    parser.add_argument("--costs", type=Path, help="a report of tools.bench_engines, for the cost model")
    parser.add_argument("--gpu-costs", type=Path, help="step costs of a GPU (JSON, see cost.py)")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of our server")
    parser.add_argument("--baseline", choices=["funasr"])
    parser.add_argument("--funasr-server", type=Path, metavar="FILE")
    parser.add_argument("--funasr-python", type=Path, metavar="PYTHON")
    parser.add_argument("--funasr-silence-ms", type=int, default=800, help="ends its sentences; 0: as it likes (800)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each server in the comparison (default 2)")
    options = parser.parse_args()
    given = options.funasr_server and options.funasr_python and (options.make_models or Path(options.models).is_dir())
    if options.baseline and not given:
        parser.error("--baseline needs --funasr-server, --funasr-python and --models DIR")
    if options.make_models:
        prepare(Path(options.models), offline=options.baseline is not None)
    try:
        bench(options)
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
