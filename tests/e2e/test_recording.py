"""The main job on real sound through real sockets: text while one speaks, the right text after."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import FRAME, RATE, Recorder, Server, Utterance, silence, utterance, utterances
from xingji.core.scoring import cer

CASES = utterances()
WORST_CER = 0.03  # second pass, held-out voices and sentences


@pytest.fixture(scope="module")
def threaded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("threaded"), XINGJI_ASYNC_MODE="threading") as running:
        yield running


def record(server: Server, said: Utterance, transports: tuple[str, ...]) -> Recorder:
    with Recorder(server.url, transports) as client:
        client.start()
        client.play(said.pcm)
        client.stop()
    return client


def check(client: Recorder, said: Utterance) -> None:
    final = client.named("final_result")[0]
    names = [name for name, _ in client.events]
    assert client.partials(), "no text before stop"
    assert names.index("recording_stopped") < names.index("final_result")
    assert names[-1] == "final_result" and names.count("final_result") == 1
    assert "error" not in names
    if said.exact:
        assert final["llm_merged"] == final["sensevoice"] == said.written
    assert final["llm"] == {"used": False, "model": None, "fallback": "disabled", "rejected_edits": 0}
    assert "".join(item["text"] for item in final["timestamps"]) == final["llm_merged"]
    times = [t for item in final["timestamps"] for t in (item["start_ms"], item["end_ms"])]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= final["duration_ms"] == said.milliseconds
    for sentence, item in zip(said.sentences, final["timestamps"], strict=True):
        assert item["start_ms"] <= sentence["begin_ms"] + 100 and item["end_ms"] >= sentence["end_ms"] - 100
    events = [b["event_seq"] for _, b in client.events if isinstance(b, dict) and "event_seq" in b]
    assert events == list(range(1, len(events) + 1))


@pytest.mark.parametrize("mode", ["server", "threaded"])
def test_all_recordings_at_once_in_real_time(mode: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(mode)
    done: dict[str, Recorder] = {}

    def run(said: Utterance) -> None:
        done[said.name] = record(server, said, ("websocket",))

    threads = [threading.Thread(target=run, args=(said,)) for said in CASES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for said in CASES:
        check(done[said.name], said)
    assert any(said.exact for said in CASES)
    finals = {name: client.named("final_result")[0] for name, client in done.items()}
    assert cer((said.written, finals[said.name]["sensevoice"]) for said in CASES) <= WORST_CER
    streamed = cer((said.spoken, finals[said.name]["paraformer"]) for said in CASES)
    assert streamed <= 0.15, streamed  # fifteen short recordings; the pack's manifest has the figure over many


@pytest.mark.parametrize("transports", [("websocket",), ("polling", "websocket")], ids="-".join)
@pytest.mark.parametrize("mode", ["server", "threaded"])
def test_transports_and_server_modes(mode: str, transports: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    said = utterance("two_sentences")
    client = record(request.getfixturevalue(mode), said, transports)
    check(client, said)
    welcome = client.expect("connected")
    assert welcome["protocol_version"] == 1 and welcome["session_id"]


def test_frame_size_does_not_change_the_text(server: Server) -> None:
    said = utterance("three_sentences")
    results = []
    for frame in (333, 3200, 64_000, len(said.pcm)):
        with Recorder(server.url) as client:
            client.start()
            client.play(said.pcm, pace=0, frame=frame)
            results.append(client.stop())
    keys = ("paraformer", "sensevoice", "timestamps", "duration_ms")
    assert len({str([result[key] for key in keys]) for result in results}) == 1
    assert results[0]["duration_ms"] == said.milliseconds


def test_two_thousand_frames_at_full_speed_then_stop(server: Server) -> None:
    """200 s sent as fast as the socket takes it; numbered, so that a loss or a swap would be told."""
    said = utterance("two_sentences")
    pcm = (said.pcm * (200 * 2 * RATE // len(said.pcm) + 1))[: 200 * 2 * RATE]
    with Recorder(server.url) as client:
        client.start()
        for number in range(2000):
            client.client.emit("audio_data", {"audio": pcm[number * 3200 :][:3200], "seq": number})
        final = client.stop()
        stopped = client.expect("recording_stopped")
    assert (stopped["received_bytes"], stopped["duration_ms"], stopped["reason"]) == (len(pcm), 200_000, "client")
    assert {body["code"] for body in client.named("error")} <= {"overloaded"}
    whole = len(pcm) // len(said.pcm)
    if said.exact:
        texts = [item["text"] for item in final["sentences"]]
        assert texts[: 2 * whole] == [sentence["written"] for sentence in said.sentences] * whole


def test_several_recordings_on_one_socket(server: Server) -> None:
    said = utterance("question")
    with Recorder(server.url) as client:
        ids = []
        for _ in range(2):
            ids.append(client.start()["recording_id"])
            client.play(said.pcm, pace=0)
            assert client.stop()["recording_id"] == ids[-1]
        # A third one begins while the second of a pair is still being finished.
        first = client.start()["recording_id"]
        client.play(said.pcm, pace=0)
        client.client.emit("stop_recording")
        second = client.start()["recording_id"]
        client.play(said.pcm, pace=0)
        client.client.emit("stop_recording")
        client.expect("final_result", 4)
        finals = {body["recording_id"]: body["sensevoice"] for body in client.named("final_result")}
    assert set(finals) == {*ids, first, second}
    assert len(set(finals.values())) == 1 and "" not in finals.values()


def test_silence_and_stop_at_once_give_an_empty_result(server: Server) -> None:
    with Recorder(server.url) as client:
        for pcm in (b"", bytes(2 * RATE), bytes(10 * 2 * RATE)):
            client.start()
            client.play(pcm, pace=0)
            final = client.stop()
            assert final["llm_merged"] == final["sensevoice"] == final["paraformer"] == ""
            assert final["timestamps"] == final["realtime_segments"] == final["sentences"] == []
            assert final["error"] is None


def test_a_cancelled_recording_has_no_final_result(server: Server) -> None:
    with Recorder(server.url) as client:
        client.start()
        client.play(utterance("question").pcm, pace=0)
        assert client.client.call("cancel_recording")["ok"]
        client.expect("recording_cancelled")
        client.start()
        assert client.stop()["duration_ms"] == 0
        assert len(client.named("final_result")) == 1


@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_however_a_recording_ends_what_waits_behind_a_gap_is_heard(mode: str, models: Path, tmp_path: Path) -> None:
    said, pause = utterance("question"), silence(0.5)
    pieces = [said.pcm[at : at + 5 * FRAME] for at in range(0, len(said.pcm), 5 * FRAME)]

    def begin(client: Recorder) -> str:
        id = str(client.start()["recording_id"])
        for seq, data in [(0, pause), *enumerate(pieces, 2)]:  # there is no frame 1
            assert client.client.call("audio_data", {"audio": data, "seq": seq}, timeout=10)["received_ms"] == 500
        return id

    limits = {"XINGJI_IDLE_S": "5", "XINGJI_MAX_RECORDING_S": "20"}
    with Server(tmp_path, XINGJI_ASYNC_MODE=mode, **limits) as server, Recorder(server.url) as client:
        with Recorder(server.url) as leaving:
            left = begin(leaving)
        for count, reason in enumerate(("client", "max_duration", "idle", "server_shutdown"), 1):
            begin(client)
            match reason:
                case "client":
                    client.stop()
                case "max_duration":
                    client.client.emit("audio_data", silence(20))
                case "server_shutdown":
                    server.wait(lambda: server.get(f"/api/asr/recordings/{left}").status_code == 200, 30)
                    kept = server.get(f"/api/asr/recordings/{left}").json()["data"]
                    assert kept["sensevoice"] == said.written
                    server.process.terminate()
            final = client.expect("final_result", count)
            assert client.expect("recording_stopped", count)["reason"] == reason
            assert final["sensevoice"] == said.written, reason
            extra = 20_000 if reason == "max_duration" else 0
            assert final["duration_ms"] == 500 + extra + said.milliseconds
            error = client.expect("error", count)
            assert (error["code"], error["expected"], error["got"]) == ("audio_gap", 1, 2)
    names = [name for name, _ in client.events]
    assert names.count("error") == names.count("final_result") == 4


def test_the_result_outlives_the_connection(server: Server) -> None:
    said = utterance("question")
    with Recorder(server.url) as client:
        id = client.start()["recording_id"]
        client.play(said.pcm, pace=0)
        assert client.client.call("ping_latency", "echo") == "echo"  # the audio has arrived
    server.wait(lambda: server.get(f"/api/asr/recordings/{id}").status_code == 200, 30)
    final = server.get(f"/api/asr/recordings/{id}").json()["data"]
    assert final["duration_ms"] == said.milliseconds and final["sensevoice"]
    assert server.get("/api/asr/recordings/rec_unknown").status_code == 404
