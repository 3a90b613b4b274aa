"""``python -m xingji.client``: transcribe a file on a running server, from the command line.

Apart from the server: nothing of it is imported. The client library has one home, ``clients/python``, where whoever
writes a program of their own takes it from; this package only finds it there.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "clients" / "python"))
