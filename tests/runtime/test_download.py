"""Official models come whole or not at all, from the first hub that has them.

The hubs are played over HTTP (``tests/hub_stub.py``); the clients that talk to them are the real ones.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hub_stub import Hub, blob, sha256
from xingji.runtime.download import Download, Exit, check
from xingji.runtime.hubs import Hub as Client
from xingji.runtime.hubs import HubError, Remote, Unreachable, hubs
from xingji.runtime.registry import LOCK, Entry, Source, Store

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = bytes(range(256)) * 400
FILES = {"model.pt": WEIGHTS, "config.yaml": b"model: FsmnVADStreaming\n", "am.mvn": b"<AddShift>\n"}
EXTRAS = {"README.md": b"# VAD", "requirements.txt": b"evil", "example/asr.json": b"{}", "fig/a.png": b"png"}
NOWHERE = "http://127.0.0.1:9"
MS, HF = "iic/vad", "funasr/vad"
ENTRY = Entry(
    name="VAD",
    engine="fsmn_vad",
    modelscope=Source(repo=MS, revision="v1"),
    huggingface=Source(repo=HF, revision="main"),
    licence="x",
    languages=["zh"],
    default=True,
)
ONLY_MS = ENTRY.model_copy(update={"huggingface": None})


@dataclass
class Place:
    """A store, two hubs, and what was said in the last run."""

    store: Store
    modelscope: Hub
    huggingface: Hub
    said: list[str] = field(default_factory=list)

    def run(self, entry: Entry = ENTRY) -> Exit:
        self.said.clear()
        return Download(self.store, hubs(self.store), self.said.append).run({"vad": entry})

    def check(self) -> Exit:
        self.said.clear()
        return check({"vad": ENTRY}, self.store, self.said.append)

    def model(self, hub: str = "modelscope") -> Path:
        return self.store.folder("modelscope", MS) if hub == "modelscope" else self.store.folder("huggingface", HF)

    def here(self, hub: str = "modelscope") -> dict[str, bytes]:
        folder = self.model(hub)
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    store = Store(tmp_path / "ms", tmp_path / "hf")
    with Hub({MS: FILES | EXTRAS}) as modelscope, Hub({HF: FILES | EXTRAS}) as huggingface:
        environment = {
            "MODELSCOPE_ENDPOINT": modelscope.url,
            "MODELSCOPE_HOME": str(tmp_path / "home"),
            "MODELSCOPE_API_CONNECT_TIMEOUT": "5",
            "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "2",
            "MODELSCOPE_LOG_LEVEL": "CRITICAL",
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_VERBOSITY": "critical",
            "TQDM_DISABLE": "1",
            "no_proxy": "127.0.0.1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        # The clients read their variables once; here they are told again for every test.
        monkeypatch.setattr("modelscope_hub.config._default_config", None)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", huggingface.url)
        url = huggingface.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_INTEGRITY_RETRY_BACKOFF", 0)
        monkeypatch.setattr("modelscope_hub._legacy_api.REPO_TREE_PAGE_RETRY_MAX_DELAY_SECONDS", 0)
        monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_RETRY_MAX_DELAY_SECONDS", 0)
        yield Place(store, modelscope, huggingface)


def test_a_model_is_brought_and_locked(place: Place) -> None:
    assert place.run() == Exit.COMPLETE
    assert place.here() == FILES, "documents and examples are left there"
    locked = json.loads((place.store.modelscope / LOCK).read_text())["vad"]
    assert (locked["hub"], locked["repo"], locked["revision"]) == ("modelscope", MS, "v1")
    assert {name: file["sha256"] for name, file in locked["files"].items()} == {n: sha256(c) for n, c in FILES.items()}
    assert not place.store.stage("modelscope", MS).exists()
    assert not place.huggingface.asked
    assert place.check() == Exit.COMPLETE


def test_sizes_are_told_before_anything_is_fetched(place: Place) -> None:
    place.run()
    total = f"{sum(map(len, FILES.values())) / 1e6:.1f} MB"
    assert total in place.said[0] and MS in place.said[0]
    assert total in place.said[1] and "in total" in place.said[1]
    assert [line.split()[1:3] for line in place.said[2:5]] == [
        [f"[{number}/3]", name] for number, name in enumerate(FILES, 1)
    ]


def test_what_is_intact_is_not_fetched_again(place: Place) -> None:
    place.run()
    before = dict(place.modelscope.asked)
    assert place.run() == Exit.COMPLETE
    assert dict(place.modelscope.asked) == before


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_a_cut_connection_is_taken_up_again(place: Place, hub: str) -> None:
    if hub == "huggingface":
        place.modelscope.listing_status = 404
    server: Hub = getattr(place, hub)
    server.cut["model.pt"] = [50_000, 30_000]
    assert place.run() == Exit.COMPLETE
    assert place.here(hub) == FILES
    assert server.asked["model.pt"] == 3
    if hub == "modelscope":  # the other client writes in blocks of 10 MB, and begins again below that
        assert server.ranges == ["bytes=50000-", "bytes=80000-"]


def test_a_run_that_was_ended_is_taken_up_by_the_next(place: Place) -> None:
    stage = place.store.stage("modelscope", MS)
    stage.mkdir(parents=True)
    (stage / "model.pt.incomplete").write_bytes(WEIGHTS[:70_000])
    (stage / "am.mvn").write_bytes(FILES["am.mvn"])
    (stage / "config.yaml").write_bytes(b"half")
    assert place.check() == Exit.INCOMPLETE
    assert place.run() == Exit.COMPLETE
    assert place.here() == FILES
    assert place.modelscope.ranges == ["bytes=70000-"]
    assert place.modelscope.asked["am.mvn"] == 0


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_hub_that_stumbles_is_asked_again(place: Place, status: int) -> None:
    place.modelscope.status["config.yaml"] = [status]
    assert place.run() == Exit.COMPLETE
    assert place.modelscope.asked["config.yaml"] == 2
    assert not place.huggingface.asked


@pytest.mark.parametrize("trouble", ["no such model", "listing fails", "absent", "file missing", "other content"])
def test_the_second_source_steps_in(place: Place, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    match trouble:
        case "no such model":
            place.modelscope.repos.clear()
        case "listing fails":
            place.modelscope.listing_status = 500
        case "absent":
            monkeypatch.setenv("MODELSCOPE_ENDPOINT", NOWHERE)
        case "file missing":
            place.modelscope.status["am.mvn"] = [404] * 9
        case "other content":
            place.modelscope.listed["model.pt"] = sha256(b"something else")
    assert place.run() == Exit.COMPLETE
    assert place.here() == {}
    assert place.here("huggingface") == FILES
    assert any("modelscope" in line for line in place.said)
    assert place.check() == Exit.COMPLETE


@pytest.mark.parametrize(
    ("hub", "name", "listed"),
    [
        ("modelscope", "model.pt", sha256(b"something else")),
        ("modelscope", "am.mvn", sha256(b"something else")),
        ("huggingface", "model.pt", sha256(b"something else")),
        ("huggingface", "am.mvn", blob(b"<AddShif2>\n")),
    ],
)
def test_a_digest_that_does_not_match_keeps_the_model_out(place: Place, hub: str, name: str, listed: str) -> None:
    if hub == "modelscope":
        entry, server = ONLY_MS, place.modelscope
    else:
        entry, server = ENTRY, place.huggingface
        place.modelscope.repos.clear()
    server.listed[name] = listed
    assert place.run(entry) == Exit.FAILED
    assert place.here(hub) == {}
    assert not (place.store.modelscope / LOCK).exists()


@pytest.mark.parametrize(
    "content", [None, b"", WEIGHTS[:-1], WEIGHTS[:-1] + b"!"], ids=["gone", "empty", "short", "other"]
)
def test_damage_is_found_and_mended(place: Place, content: bytes | None) -> None:
    place.run()
    path = place.model() / "model.pt"
    path.unlink() if content is None else path.write_bytes(content)
    assert place.check() == Exit.INCOMPLETE
    assert "model.pt" in place.said[0] and "config.yaml" not in place.said[0]
    assert place.run() == Exit.COMPLETE
    assert place.here() == FILES
    assert place.modelscope.asked["config.yaml"] == 1, "only what was wrong is fetched again"
    assert place.check() == Exit.COMPLETE


def test_checking_needs_a_record(place: Place) -> None:
    place.model().mkdir(parents=True)
    for name, content in FILES.items():
        (place.model() / name).write_bytes(content)
    assert place.check() == Exit.INCOMPLETE
    assert place.run() == Exit.COMPLETE
    assert not set(FILES) & set(place.modelscope.asked), "what lay there by hand was right"
    assert place.check() == Exit.COMPLETE


def test_a_locked_revision_may_not_become_something_else(place: Place) -> None:
    place.run(ONLY_MS)
    place.modelscope.repos[MS] = FILES | {"model.pt": b"new weights"}
    (place.model() / "model.pt").unlink()
    assert place.run(ONLY_MS) == Exit.FAILED
    assert any("model.pt" in line and "lock" in line for line in place.said)
    (place.store.modelscope / LOCK).unlink()
    assert place.run(ONLY_MS) == Exit.COMPLETE
    assert place.here()["model.pt"] == b"new weights"


@pytest.mark.parametrize("hub", ["modelscope", "huggingface"])
def test_small_files_are_held_to_the_lock_too(place: Place, hub: str) -> None:
    """Hugging Face names no SHA-256 of a small file, only git's digest."""
    server: Hub = getattr(place, hub)
    if hub == "huggingface":
        place.modelscope.repos.clear()
    entry = ENTRY if hub == "huggingface" else ONLY_MS
    repo = HF if hub == "huggingface" else MS
    place.run(entry)
    server.repos[repo] = FILES | {"am.mvn": b"<AddShift2>"}
    (place.model(hub) / "am.mvn").unlink()
    assert place.run(entry) == Exit.FAILED
    assert place.check() == Exit.INCOMPLETE


def test_a_failed_mending_leaves_what_was_there(place: Place) -> None:
    place.model().mkdir(parents=True)
    for name, content in (FILES | {"am.mvn": b"mine"}).items():
        (place.model() / name).write_bytes(content)
    place.modelscope.status["am.mvn"] = [404] * 9
    assert place.run(ONLY_MS) == Exit.FAILED
    assert place.here() == FILES | {"am.mvn": b"mine"}


@pytest.mark.parametrize("left_out", ["model.pt", "config.yaml"])
def test_a_repository_of_another_kind_is_no_offer(place: Place, left_out: str) -> None:
    del place.modelscope.repos[MS][left_out]
    assert place.run(ONLY_MS) == Exit.FAILED
    assert not place.store.stage("modelscope", MS).exists()
    assert place.run() == Exit.COMPLETE
    assert place.here("huggingface") == FILES


def test_a_broken_lock_is_not_mistaken_for_a_failed_check(tmp_path: Path) -> None:
    (tmp_path / "ms").mkdir()
    (tmp_path / "ms" / LOCK).write_text("{")
    done = command(tmp_path, "--check")
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert LOCK in done.stderr and "Traceback" not in done.stderr


class Played:
    """A client whose hub is gone, or goes away while it fetches."""

    def __init__(self, listing: list[Remote] | HubError) -> None:
        self._listing, self.fetched = listing, 0

    def files(self, source: Source) -> list[Remote]:
        if isinstance(self._listing, HubError):
            raise self._listing
        return self._listing

    def fetch(self, source: Source, file: Remote, folder: Path) -> None:
        self.fetched += 1
        raise Unreachable("ConnectionError")


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (Unreachable("a"), Unreachable("b"), Exit.NO_HUB),
        (HubError("a"), Unreachable("b"), Exit.FAILED),
        (Unreachable("a"), HubError("b"), Exit.FAILED),
    ],
)
def test_no_connection_differs_from_no_model(tmp_path: Path, first: HubError, second: HubError, status: Exit) -> None:
    said: list[str] = []
    clients: dict[str, Client] = {"modelscope": Played(first), "huggingface": Played(second)}
    store = Store(tmp_path / "ms", tmp_path / "hf")
    assert Download(store, clients, said.append).run({"vad": ENTRY}) == status  # type: ignore[arg-type]
    assert ("No model hub can be reached" in said[-1]) == (status == Exit.NO_HUB)


def test_a_hub_that_goes_away_is_not_asked_for_the_next_model(tmp_path: Path) -> None:
    gone = Played([Remote("model.pt", 1, None), Remote("config.yaml", 1, None)])
    store = Store(tmp_path / "ms", tmp_path / "hf")
    run = Download(store, {"modelscope": gone, "huggingface": gone}, lambda line: None)
    assert run.run({"vad": ONLY_MS, "punc": ONLY_MS}) == Exit.FAILED
    assert gone.fetched == 1


# -- the door ------------------------------------------------------------------------------


def command(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "download_models.py", *arguments],
        cwd=ROOT,
        env=os.environ
        | {"MODELSCOPE_ENDPOINT": NOWHERE, "HF_ENDPOINT": NOWHERE, "MODELSCOPE_HOME": str(tmp_path / "home")}
        | {"MODELSCOPE_CACHE": str(tmp_path / "ms"), "HF_HOME": str(tmp_path / "hf"), "no_proxy": "127.0.0.1"}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_brings_checks_and_refuses(tmp_path: Path) -> None:
    from xingji.runtime.registry import official

    with Hub({official()["vad"].repo: FILES}) as hub:
        done = command(tmp_path, "--model", "vad", MODELSCOPE_ENDPOINT=hub.url)
    assert (done.returncode, done.stderr) == (Exit.COMPLETE, "")
    checked = command(tmp_path, "--check", "--model", "vad")
    assert (checked.returncode, checked.stdout) == (Exit.COMPLETE, "vad：完好（intact）\n")
    assert command(tmp_path, "--check").returncode == Exit.INCOMPLETE
    assert command(tmp_path, "--model", "whisper").returncode == 2


def test_without_a_hub_the_command_says_so_and_ends(tmp_path: Path) -> None:
    done = command(tmp_path)
    assert done.returncode == Exit.NO_HUB
    assert "连不上任何模型站" in done.stdout and "No model hub can be reached" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "ms" / LOCK).exists()
