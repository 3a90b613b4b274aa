"""The reducer: whatever order events come in, text never goes backwards; and JavaScript's says the same as Python's."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_transcript import EMPTY, STAGES, Sentence, Transcript, join, reduce

Event = tuple[str, dict[str, Any]]

ID = "rec_1"
HERE = Path(__file__).parent


def play(events: list[Event], state: Transcript = EMPTY) -> Transcript:
    for name, data in events:
        state = reduce(state, name, data)
    return state


STARTED = play([("starting", {}), ("recording_started", {"recording_id": ID})])


def wire(id: int, revision: int, stage: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "revision": revision, "stage": stage, "text": text, "start_ms": 100 * id, "end_ms": None, **more}


def told(sentence: dict[str, Any], full_text: str | None = None) -> Event:
    data: dict[str, Any] = {"recording_id": ID, "sentence": sentence, "is_speech_active": True, "current_time_ms": 900}
    return "transcription", data if full_text is None else data | {"full_text": full_text}


# -- a server's story, as it may be told ----------------------------------------------------

texts = st.text("今天好的。ab 𠮷", min_size=1, max_size=6)


@st.composite
def stories(draw: st.DrawFn) -> list[list[Event]]:
    """For each sentence its revisions in order: stages rise, some sentences are dropped, the others settled."""
    found = []
    for id in range(1, draw(st.integers(1, 4)) + 1):
        stages = sorted(draw(st.lists(st.sampled_from(STAGES), min_size=1, max_size=5)), key=STAGES.index)
        revisions = sorted(draw(st.sets(st.integers(1, 20), min_size=len(stages), max_size=len(stages))))
        line = [told(wire(id, n, stage, draw(texts))) for n, stage in zip(revisions, stages, strict=True)]
        last = line[-1][1]["sentence"]
        if draw(st.booleans()):
            line.append(told(last | {"text": "", "revision": last["revision"] + 1}))
        else:
            line.append(("segment_result", {"recording_id": ID, "sentence": last | {"settled": True}}))
        found.append(line)
    return found


@given(stories(), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=200)
def test_order_and_repetition_do_not_matter(story: list[list[Event]], random: Any, doubled: bool) -> None:
    events = [event for line in story for event in line]
    shuffled = events * (2 if doubled else 1)
    random.shuffle(shuffled)
    right, got = play(events, STARTED), play(shuffled, STARTED)
    seen: dict[int, Sentence] = {}
    state = STARTED
    for event in shuffled:
        state = play([event], state)
        for one in (*state.sentences, *state.dropped):
            was = seen.get(one.id)
            assert was is None or (
                one.revision >= was.revision and STAGES.index(one.stage) >= STAGES.index(was.stage)
            ), "it went backwards"
            assert was is None or not was.settled or one == was, "a settled sentence changed"
            seen[one.id] = one
        assert [one.id for one in state.sentences] == sorted(one.id for one in state.sentences)
        assert all(one.text for one in state.sentences) and not any(one.text for one in state.dropped)
    texts = [[(one.id, one.revision, one.text) for one in which.sentences] for which in (right, got)]
    assert texts[0] == texts[1]
    assert {one.id for one in right.dropped} == {one.id for one in got.dropped}
    assert all(one.settled for one in right.sentences)


anything = st.one_of(
    st.builds(
        lambda id, n, stage, text, full, settled: told(wire(id, n, stage, text, settled=settled), full),
        st.integers(1, 3),
        st.integers(1, 6),
        st.sampled_from(STAGES),
        st.one_of(st.just(""), texts),
        st.one_of(st.none(), texts),
        st.booleans(),
    ),
    st.builds(
        lambda id, n, stage, text: ("segment_result", {"recording_id": ID, "sentence": wire(id, n, stage, text)}),
        st.integers(1, 3),
        st.integers(1, 6),
        st.sampled_from(STAGES),
        st.one_of(st.just(""), texts),
    ),
    st.sampled_from(
        [
            ("starting", {}),
            ("recording_started", {"recording_id": ID}),
            ("recording_started", {"recording_id": "rec_2"}),
            ("stopping", {}),
            ("cancelled", {}),
            ("connection_lost", {}),
            ("recording_stopped", {"recording_id": ID, "reason": "idle", "duration_ms": 1200}),
            ("recording_cancelled", {"recording_id": ID}),
            ("processing_progress", {"recording_id": ID, "progress": 40}),
            ("processing_progress", {"recording_id": None, "progress": 90}),
            ("something_new", {"recording_id": ID}),
        ]
    ),
    st.builds(
        lambda text, second, readings: (
            "final_result",
            {
                "recording_id": ID,
                "llm_merged": text,
                "sensevoice": second,
                "duration_ms": 1300,
                "sentences": [
                    {"id": 2, "revision": 9, "text": text, "start_ms": 5, "end_ms": 9, "readings": readings},
                    wire(3, 9, "streamed", ""),
                ],
            },
        ),
        texts,
        st.one_of(st.just(""), texts),
        st.dictionaries(st.sampled_from(["paraformer", "sensevoice"]), texts),
    ),
    st.just(("final_result", {"recording_id": ID, "duration_ms": 700})),
)


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def as_javascript(state: Transcript) -> dict[str, Any]:
    told = {camel(name): value for name, value in asdict(state).items()}
    for name in ("sentences", "dropped"):
        told[name] = [{camel(key): value for key, value in one.items()} for one in told[name]]
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def test_javascript_says_the_same() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; this compares the two with Node.js 20 or later")
    recordings: list[list[Event]] = []

    @given(st.lists(anything, max_size=14))
    @settings(max_examples=400, database=None, derandomize=True)
    def collect(events: list[Event]) -> None:
        recordings.append([("starting", {}), ("recording_started", {"recording_id": ID}), *events])

    collect()
    done = subprocess.run(
        [node, str(HERE / "reduce.mjs")], input=json.dumps(recordings), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for events, theirs in zip(recordings, json.loads(done.stdout), strict=True):
        assert as_javascript(play(events)) == theirs, events


# -- examples --------------------------------------------------------------------------------


def test_a_second_pass_replaces_its_own_sentence_in_the_full_text() -> None:
    state = play(
        [told(wire(1, 1, "streamed", "好的"), "好的"), told(wire(2, 1, "streamed", "好的"), "好的好的")], STARTED
    )
    state = reduce(state, "segment_result", {"recording_id": ID, "sentence": wire(1, 2, "second_pass", "好的。")})
    assert state.full_text == "好的。好的"


def test_the_kept_result_is_taken_after_the_connection_broke() -> None:
    broken = play([told(wire(1, 1, "partial", "留下"), "留下"), ("connection_lost", {})], STARTED)
    assert (broken.phase, broken.full_text) == ("interrupted", "留下")
    assert reduce(broken, "final_result", {"recording_id": "rec_2", "llm_merged": "别的"}) is broken
    kept = {"recording_id": ID, "llm_merged": "留下了。", "sentences": [wire(1, 2, "second_pass", "留下了。")]}
    done = reduce(broken, "final_result", kept)
    assert (done.phase, done.full_text, done.sentences[0].settled) == ("done", "留下了。", True)


def test_what_belongs_to_another_recording_or_to_none_changes_nothing() -> None:
    stranger = {"recording_id": "rec_0", "progress": 9, "sentence": wire(1, 1, "partial", "旧"), "llm_merged": "旧"}
    for name in ("transcription", "segment_result", "recording_stopped", "processing_progress", "final_result"):
        assert reduce(STARTED, name, stranger) is STARTED
        assert reduce(EMPTY, name, stranger | {"recording_id": None}) is EMPTY


def test_sentences_are_joined_as_the_server_joins_them() -> None:
    from xingji.core.transcript import join as servers

    for parts in (["今天", "很好。", "OK", "fine", "好", ""], ["Call me", "at 3.", "Yes.", "好的"], [], ["", "a", "b"]):
        assert join(parts) == servers(parts)
