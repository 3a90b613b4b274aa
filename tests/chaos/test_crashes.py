"""A worker that dies in the middle of a sentence costs time, not text."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import FRAME, Recorder, Server, utterance


@pytest.fixture(scope="module")
def own(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("crashing")) as running:
        yield running


@pytest.mark.parametrize("role", ["stream", "segment"])
def test_killing_a_worker_in_the_middle_of_a_sentence_loses_nothing(role: str, own: Server) -> None:
    said = utterance("two_sentences")
    middle = (said.sentences[0]["begin_ms"] + said.sentences[0]["end_ms"]) // 2 // 100 * FRAME
    with Recorder(own.url) as client:
        client.start()
        client.play(said.pcm, pace=0)
        calm = client.stop()
    with Recorder(own.url) as client:
        client.start()
        client.play(said.pcm[:middle])
        os.kill(own.worker_pids()[role], signal.SIGKILL)
        client.play(said.pcm[middle:])
        stormy = client.stop()
        assert client.partials()
    own.wait(lambda: own.get("/api/ready").status_code == 200, 60)
    assert own.get("/api/health").json()["workers"][role]["restarts"] == 1
    assert stormy["error"] is None
    assert stormy["sensevoice"] == calm["sensevoice"]
    assert stormy["duration_ms"] == said.milliseconds
    assert [s["text"] for s in stormy["sentences"]] == [s["text"] for s in calm["sentences"]]


def test_terminating_the_server_finishes_what_was_said(models: Path, tmp_path: Path) -> None:
    said = utterance("question")
    with Server(tmp_path) as server, Recorder(server.url) as client:
        client.start()
        client.play(said.pcm, pace=0)
        assert client.client.call("ping_latency", 1) == 1
        server.process.terminate()
        final = client.expect("final_result")
        assert client.expect("recording_stopped")["reason"] == "server_shutdown"
        assert server.process.wait(30) == 0
    assert final["duration_ms"] == said.milliseconds and final["sensevoice"]
