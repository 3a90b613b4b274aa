"""Jobs on real servers: what was accepted is done, whatever happens to the server and its workers meanwhile."""

import base64
import io
import os
import signal
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import ANSWER_S, RATE, Recorder, Server, silence, utterance
from xingji.runtime.job_sqlite import FILE
from xingji.runtime.jobs import PROBLEMS

HERE = "127.0.0.1"
JOBS = "/api/asr/jobs"
SAID = ("question", "name_lintao", "two_sentences")


def wav(pcm: bytes) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return buffer.getvalue()


def long(repeats: int = 12) -> bytes:
    """Speech that takes a while."""
    return wav((utterance("two_sentences").pcm + silence(1.0)) * repeats)


def send(server: Server, data: bytes, name: str = "a.wav", **form: str) -> Any:
    answer = server.post(JOBS, files={"file": (name, data)}, data=form)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"{JOBS}/{answer.json()['data']['id']}"
    return answer.json()["data"]


def job(server: Server, id: str) -> Any:
    answer = server.get(f"{JOBS}/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def reached(server: Server, id: str, *states: str) -> Any:
    found: list[Any] = []

    def there() -> bool:
        found.append(job(server, id))
        return found[-1]["state"] in states

    server.wait(there, ANSWER_S)
    return found[-1]


def text(server: Server, id: str) -> str:
    answer = server.get(f"{JOBS}/{id}/result", params={"format": "text"})
    assert answer.status_code == 200, answer.text
    return answer.content.decode()


def under_way(server: Server, id: str) -> None:
    """Its first sentences are recognised, and others are not."""
    server.wait(lambda: job(server, id)["progress"] > 0, ANSWER_S)
    assert job(server, id)["state"] == "running"


def metric(server: Server, name: str) -> float:
    return sum(
        float(line.rpartition(" ")[2]) for line in server.get("/metrics").text.splitlines() if line.startswith(name)
    )


@pytest.fixture(scope="module")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One job at a time, one recording at a time, addresses on this machine allowed."""
    wanted = {"JOBS_CONCURRENCY": "1", "MAX_SESSIONS": "1", "JOBS_URLS": "1", "JOBS_URL_HOSTS": HERE}
    environment = {f"XINGJI_{name}": value for name, value in wanted.items()}
    with Server(tmp_path_factory.mktemp("served"), **environment) as running:
        yield running


def test_an_address_may_carry_its_audio(server: Server) -> None:
    said = utterance("question")
    data = base64.b64encode(wav(said.pcm)).decode()
    answer = server.post(JOBS, json={"url": f"data:audio/wav;base64,{data}"})
    assert (answer.status_code, answer.json()["data"]["source"]) == (202, "upload")
    id = answer.json()["data"]["id"]
    reached(server, id, "done")
    assert text(server, id).strip() == said.written


def test_a_job_is_an_upload_whose_answer_is_fetched_later(server: Server) -> None:
    data, form = wav(utterance("two_sentences").pcm), {"hotwords": "林滔"}
    direct = server.post("/api/asr/transcribe", files={"file": ("会议.wav", data)}, data=form).json()
    with Recorder(server.url) as client:
        session = client.expect("connected")["session_id"]
        told = send(server, data, "会议.wav", session_id=session, response_format="srt", **form)
        assert (told["state"], told["filename"], told["size_bytes"]) == ("queued", "会议.wav", len(data))
        ended = reached(server, told["id"], "done")
        assert (ended["progress"], ended["error"], ended["position"]) == (100, None, None)
        assert ended["duration_ms"] == direct["duration_ms"]
        assert ended["created_at"] <= ended["started_at"] <= ended["ended_at"]
        server.wait(lambda: [body["state"] for body in client.named("job_updated")][-1:] == ["done"], ANSWER_S)
        assert client.named("job_updated")[-1] == ended
        states = [body["state"] for body in client.named("job_updated")]
        assert states == sorted(states, key=("queued", "running", "done").index) and states[-2:] == ["running", "done"]
        progress = client.named("processing_progress")
        assert {body["job_id"] for body in progress} == {told["id"]}
        percents = [body["progress"] for body in progress]
        assert percents == sorted(percents) and percents[-1] == 100
    result = server.get(f"{JOBS}/{told['id']}/result", params={"format": "json"}).json()
    assert result == direct
    own = server.get(f"{JOBS}/{told['id']}/result")
    assert own.headers["Content-Type"].startswith("application/x-subrip") and own.text.startswith("1\n00:00:0")
    assert not list((server.folder / "jobs" / "audio").iterdir())
    listed = server.get(JOBS, params={"state": "done", "limit": 1}).json()["data"]
    assert listed["jobs"] == [ended]
    for method, status in (("cancel", 409), ("", 200), ("", 404)):
        answer = server.post(f"{JOBS}/{told['id']}/cancel") if method else server.delete(f"{JOBS}/{told['id']}")
        assert answer.status_code == status, answer.text


BAD = {
    "no file": ({"data": {"language": "zh"}}, 400, "no_file"),
    "an empty file": ({"files": {"file": ("a", b"")}}, 400, "empty_file"),
    "an unknown model": ({"files": {"file": ("a", b"x")}, "data": {"model": "whisper"}}, 400, "unknown_model"),
    "a bad option": ({"files": {"file": ("a", b"x")}, "data": {"preset": "fast"}}, 400, "bad_parameter"),
    "an address that is none": ({"json": {"url": ["x"]}}, 400, "bad_parameter"),
    "a data address that is none": ({"json": {"url": "data:audio/wav;base64,???"}}, 400, "bad_parameter"),
    "a data address with nothing": ({"json": {"url": "data:;base64,"}}, 400, "empty_file"),
    "an address, where none is wanted": ({"data": {"url": "http://example.org/a.wav"}}, 400, "not_supported"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_job_is_refused_at_once(server: Server, kind: str) -> None:
    request, status, code = BAD[kind]
    answer = server.post(JOBS, **request)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not list((server.folder / "jobs" / "audio").iterdir())


def test_a_file_that_is_no_audio_fails_with_a_code(server: Server) -> None:
    id = send(server, b"%PDF-1.7\n" * 100)["id"]
    failed = reached(server, id, "failed")
    assert failed["error"]["code"] == "unsupported_format" and failed["attempts"] == 1
    assert failed["error"]["message"] and failed["error"]["message_en"] and failed["error"]["retryable"] is False
    answer = server.get(f"{JOBS}/{id}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_not_done")
    assert (answer.json()["state"], answer.json()["job_error"]) == ("failed", "unsupported_format")


def test_jobs_wait_in_order_and_are_cancelled_waiting_or_running(served: Server) -> None:
    first, second, third = (send(served, data)["id"] for data in (long(60), long(1), wav(utterance("question").pcm)))
    under_way(served, first)
    assert [job(served, id)["position"] for id in (first, second, third)] == [None, 1, 2]
    for id in (second, first):
        answer = served.post(f"{JOBS}/{id}/cancel")
        assert (answer.status_code, answer.json()["data"]["state"]) == (200, "cancelled")
    assert reached(served, third, "done")["attempts"] == 1
    assert text(served, third) == utterance("question").written
    assert [job(served, id)["state"] for id in (first, second)] == ["cancelled"] * 2
    served.wait(lambda: metric(served, "xingji_segment_worker_jobs_waiting") == 0, ANSWER_S)
    assert metric(served, "xingji_recordings_active") == metric(served, "xingji_file_jobs_running") == 0
    assert metric(served, 'xingji_engine_audio_seconds_total{job="transcribe"}') < 200, "most of it was not recognised"


def test_a_job_whose_worker_is_killed_twice_is_done_all_the_same(served: Server) -> None:
    once, repeats = utterance("two_sentences").written, 20
    id = send(served, long(repeats))["id"]
    under_way(served, id)
    for deaths in (1, 2):
        os.kill(served.worker_pids()["segment"], signal.SIGKILL)
        served.wait(lambda deaths=deaths: restarts(served) == deaths, ANSWER_S)  # type: ignore[misc]
        served.wait(lambda: served.get("/api/ready").status_code == 200, ANSWER_S)
    reached(served, id, "done")
    assert text(served, id) == once * repeats


def restarts(server: Server) -> int:
    return int(server.get("/api/health").json()["workers"]["segment"]["restarts"])


def test_a_live_recording_beside_a_job_has_the_only_place(served: Server) -> None:
    id = send(served, long(30))["id"]
    under_way(served, id)
    with Recorder(served.url) as client:
        client.start()
        client.play(utterance("question").pcm)
        assert client.stop()["llm_merged"] == utterance("question").written
    assert job(served, id)["state"] in ("running", "done")
    assert served.delete(f"{JOBS}/{id}").status_code == 200
    assert served.get(f"{JOBS}/{id}").status_code == 404


class Site(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(wav(utterance("question").pcm))


def test_the_audio_of_an_address(served: Server) -> None:
    """Of a host that the operator named, and of none other."""
    site = ThreadingHTTPServer((HERE, 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        urls = [f"http://{host}:{site.server_port}/a.wav?signature=zyxw" for host in (HERE, "localhost")]
        answers = [
            served.post(JOBS, json={"url": url, "response_format": "text", "hotwords": ["林滔"]}) for url in urls
        ]
        assert [answer.status_code for answer in answers] == [202, 202]
        good, bad = (answer.json()["data"]["id"] for answer in answers)
        assert reached(served, good, "done")["source"] == "url"
        assert text(served, good) == utterance("question").written
        assert reached(served, bad, "failed")["error"]["code"] == "url_refused"
        assert "zyxw" not in served.get(JOBS).text + served.log.read_text("utf-8")
    finally:
        site.shutdown()
        site.server_close()


def test_no_accepted_job_is_lost_when_the_server_is_killed(models: Path, tmp_path: Path) -> None:
    """Nor does a file that is none of ours cost more than the jobs."""
    wanted: dict[str, str] = {}
    with Server(tmp_path) as first:
        for number in range(20):
            said = utterance(SAID[number % len(SAID)])
            wanted[send(first, wav(said.pcm), f"{number}.wav")["id"]] = said.written
        first.wait(lambda: sum(one["state"] == "done" for one in listed(first)) >= 3, ANSWER_S)
        first.process.kill()
        first.process.wait()
    with Server(tmp_path) as second:
        assert {one["id"] for one in listed(second)} == set(wanted)
        second.wait(lambda: all(one["state"] == "done" for one in listed(second)), 2 * ANSWER_S)
        assert {id: text(second, id) for id in wanted} == wanted
        assert {one["attempts"] for one in listed(second)} <= {1, 2}
        assert not any(said in second.log.read_text("utf-8") for said in wanted.values())
    assert second.process.returncode == 0
    file = tmp_path / "jobs" / FILE
    file.write_bytes(b"no database" * 1000)
    with Server(tmp_path) as third:
        answer = third.get(JOBS)
        assert (answer.status_code, answer.json()["code"]) == (503, "jobs_unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert all(said in third.log.read_text("utf-8") for said in PROBLEMS["corrupt"])
        health = third.get("/api/health").json()
        assert health["jobs"] == {"enabled": True, "problem": "corrupt"}
        assert "jobs_unavailable" in {warning["code"] for warning in health["warnings"]}
        file.rename(tmp_path / "aside")
        third.wait(lambda: third.get(JOBS).status_code == 200, ANSWER_S)
        assert reached(third, send(third, wav(utterance("question").pcm))["id"], "done")


def listed(server: Server) -> Any:
    return server.get(JOBS).json()["data"]["jobs"]
