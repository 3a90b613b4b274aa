"""The protocol that ``docs/architecture.md`` adds in one file and one line, served beside the others and spoken to."""

import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import FRAME, ROOT, Server, utterance
from tools.check_docs import code_blocks

SAID = utterance("two_sentences")
# The server, as it would be with that file in ``wire`` and that line at the end of the table.
SERVER = """
import importlib.util, runpy, sys
from xingji.runtime import green

green.patch()  # first, as the server does
found = importlib.util.spec_from_file_location("xingji.wire.lines", {file!r})
sys.modules[found.name] = lines = importlib.util.module_from_spec(found)
found.loader.exec_module(lines)
from xingji.wire import table

table.TABLE += eval({line!r}, vars(table) | vars(lines))
runpy.run_path("asr_api_server.py", run_name="__main__")
"""


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Server:
    file, line = (text for language, text in code_blocks(ROOT / "docs" / "architecture.md") if language == "python")
    (tmp_path / "lines.py").write_text(file, "utf-8")
    script = SERVER.format(file=str(tmp_path / "lines.py"), line=f"({line.strip()})")
    return Server(tmp_path, (sys.executable, "-c", script))


def test_one_file_and_one_line(server: Server) -> None:
    with server:
        listed = server.get("/api/protocols").json()["data"]
        assert {"simple", "funasr", "lines"} <= {entry["name"] for entry in listed}
        assert server.get("/ws/lines").status_code == 426
        with connect(server.url.replace("http:", "ws:") + "/ws/lines") as client:
            for at in range(0, len(SAID.pcm), FRAME):
                client.send(SAID.pcm[at : at + FRAME])
            client.send("that is all")
            told = [client.recv(timeout=60) for _ in SAID.sentences]
            assert told == [sentence["written"] for sentence in SAID.sentences] or not SAID.exact
            with pytest.raises(ConnectionClosed) as over:
                client.recv(timeout=60)
            assert over.value.rcvd is not None and over.value.rcvd.code == 1000
