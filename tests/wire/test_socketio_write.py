"""What clients are told on Socket.IO, field by field, for scripted events of the core."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.messages import (
    Completed,
    Event,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
)
from xingji.core.types import (
    AcceptedEdit,
    AudioFormat,
    Edit,
    Hotword,
    HotwordHit,
    RejectedEdit,
    Sentence,
    Span,
    Stage,
    Word,
)
from xingji.wire import Open, Pace, Wishes
from xingji.wire.socketio import Message, Recording, SocketIoWire, final_result

ID = "rec_7f"
UNHEARD = {"confidence": None, "emotion": None, "event": None, "timestamp_source": None, "words": []}
MS = 16  # samples in a millisecond
PARTIAL, STREAMED, SECOND_PASS, CORRECTED = Stage


def recording(wishes: Wishes | None = None, llm_model: str | None = None, backup_id: str | None = None) -> Recording:
    return SocketIoWire().recording(ID, Open(wishes or Wishes()), llm_model, lambda: backup_id)


def sentence(
    id: int, stage: Stage, revision: int, text: str, begin: int = 120, end: int | None = None, **more: Any
) -> Sentence:
    """``begin`` and ``end`` in milliseconds."""
    if stage <= STREAMED:
        more = {"bare": "".join(c for c in text if c.isalnum())} | more
    return Sentence(id, begin * MS, None if end is None else end * MS, stage, revision, text, **more)


def readings(texts: dict[Stage, str], rejected: int = 0, **lost: str) -> SentenceReadings:
    refused = (RejectedEdit(Edit(0, 1, "x"), "not_near"),) * rejected
    away = tuple((Stage[stage.upper()], reason) for stage, reason in lost.items())
    edits = (AcceptedEdit(Edit(6, 7, "！"), "。", "writing"),) if Stage.CORRECTED in texts else ()
    return SentenceReadings(texts, refused, away, edits=edits)


def sent(wire: Recording, *events: Event, at: int = 0, done: float = 0.0) -> list[Message]:
    return [message for event in events for message in wire.encode(event, at * MS, done)]


def transcription(seq: int, full_text: str, **more: Any) -> Message:
    return "transcription", {
        "text": "",
        "punc_text": "",
        "full_text": full_text,
        "is_final": False,
        "vad_event": None,
        "is_speech_active": False,
        "segment": None,
        "current_time_ms": 0,
        "recording_id": ID,
        "event_seq": seq,
        "sentence": None,
    } | more


def segment_result(seq: int, **detail: Any) -> Message:
    plain: dict[str, Any] = {
        "language": None,
        "fallback": None,
        "settled": False,
        "missing": [],
        "hotword_hits": [],
    } | UNHEARD
    return "segment_result", {"recording_id": ID, "event_seq": seq, "sentence": plain | detail}


# -- the life of a recording ----------------------------------------------------------


def test_one_sentence_from_onset_to_final_result() -> None:
    wire = recording(llm_model="Qwen3-8B")
    begin = {"id": 1, "start_ms": 120}
    closed = begin | {"end_ms": 1900}
    hit = HotwordHit("天气", "天汽", SECOND_PASS, 0.98765)
    told_hit = {"word": "天气", "replaced": "天汽", "stage": "second_pass", "score": 0.988}

    assert sent(wire, SpeechStarted(0, 120 * MS), at=400) == [
        transcription(1, "", vad_event={"type": "start", "time": 120}, is_speech_active=True, current_time_ms=400)
    ]
    first = SentenceRevised(sentence(0, PARTIAL, 1, "今天天汽", stable=2))
    assert sent(wire, first, at=1200) == [
        transcription(
            2, "今天天汽", text="今天天汽", is_speech_active=True, current_time_ms=1200,
            sentence=begin | {"revision": 1, "stage": "partial", "text": "今天天汽", "end_ms": None, "stable_chars": 2},
        )
    ]  # fmt: skip
    punctuated = SentenceRevised(sentence(0, PARTIAL, 2, "今天，天汽", stable=3))
    [(_, body)] = sent(wire, punctuated, at=1800)
    assert (body["text"], body["full_text"], body["punc_text"]) == ("", "今天，天汽", "")
    assert sent(wire, SpeechEnded(0, Span(120 * MS, 1900 * MS)), at=2600) == [
        transcription(4, "今天，天汽", vad_event={"type": "end", "time": 1900}, current_time_ms=2600)
    ]
    streamed = SentenceRevised(sentence(0, STREAMED, 3, "今天天汽不错。", end=1900, stable=7))
    assert sent(wire, streamed, at=2600) == [
        transcription(
            5, "今天天汽不错。", text="不错", punc_text="今天天汽不错。", current_time_ms=2600,
            segment={"text": "今天天汽不错。", "start_ms": 120, "end_ms": 1900},
            sentence=closed | {"revision": 3, "stage": "streamed", "text": "今天天汽不错。", "stable_chars": 7},
        )
    ]  # fmt: skip
    second = SentenceRevised(
        sentence(
            0,
            SECOND_PASS,
            4,
            "今天天气不错。",
            end=1900,
            language="zh",
            hotword_hits=(hit,),
            words=(Word("今", Span(150 * MS, 300 * MS), 0.75), Word("天", Span(300 * MS, 410 * MS))),
            confidence=0.75,
            emotion="neutral",
            event="speech",
            timestamp_source="edit",
        )
    )
    heard = {
        "confidence": 0.75,
        "emotion": "neutral",
        "event": "speech",
        "timestamp_source": "edit",
        "words": [
            {"text": "今", "start_ms": 150, "end_ms": 300, "confidence": 0.75},
            {"text": "天", "start_ms": 300, "end_ms": 410, "confidence": None},
        ],
    }
    now = closed | {"revision": 4, "stage": "second_pass", "text": "今天天气不错。"}
    assert sent(wire, second, at=2600) == [
        transcription(6, "今天天气不错。", current_time_ms=2600, sentence=now | {"stable_chars": 0}),
        segment_result(7, **now, source="sensevoice", language="zh", hotword_hits=[told_hit], **heard),
    ]

    assert wire.stopped("client", 3000 * MS, 96_000) == (
        "recording_stopped",
        {
            "message": "录音已停止",
            "recording_id": ID,
            "duration_ms": 3000,
            "received_bytes": 96_000,
            "reason": "client",
        },
    )
    last = sentence(0, CORRECTED, 5, "今天天气不错！", end=1900, language="zh")
    now = closed | {"revision": 5, "stage": "corrected", "text": "今天天气不错！"}
    told = readings({SECOND_PASS: "今天天气不错。"}, rejected=1)
    provenance = {
        "readings": {"sensevoice": "今天天气不错。"},
        "edits": [],
        "rejected": [{"from": "今", "to": "x", "reason": "not_near"}],
    }
    assert sent(wire, SentenceRevised(last), SentenceSettled(last, told), at=3000, done=0.5) == [
        transcription(8, "今天天气不错！", current_time_ms=3000, sentence=now | {"stable_chars": 0}),
        segment_result(9, **now, source="llm", language="zh"),
        segment_result(10, **now, **provenance, source="llm", language="zh", settled=True),
        ("processing_progress", {"progress": 50, "recording_id": ID}),
    ]
    texts = {STREAMED: "今天天汽不错。", SECOND_PASS: "今天天气不错。", CORRECTED: "今天天气不错！"}
    over = Completed((last,), (readings(texts, rejected=2),), (Span(1900 * MS, 3000 * MS),), 3000 * MS)
    assert sent(wire, over, at=3000, done=1.0) == [
        ("processing_progress", {"progress": 100, "recording_id": ID}),
        (
            "final_result",
            {
                "paraformer": "今天天汽不错。",
                "sensevoice": "今天天气不错。",
                "llm_merged": "今天天气不错！",
                "paraformer_length": 7,
                "sensevoice_length": 7,
                "llm_merged_length": 7,
                "timestamps": [{"text": "今天天气不错！", "start_ms": 120, "end_ms": 1900}],
                "realtime_segments": [{"text": "今天天汽不错。", "start_ms": 120, "end_ms": 1900}],
                "recording_id": ID,
                "duration_ms": 3000,
                "sentences": [
                    now
                    | {
                        "source": "llm",
                        "fallback": None,
                        "language": "zh",
                        "readings": {
                            "paraformer": "今天天汽不错。",
                            "sensevoice": "今天天气不错。",
                            "llm": "今天天气不错！",
                        },
                        "hotword_hits": [],
                        "missing": [],
                        "edits": [{"from": "。", "to": "！", "reason": "writing"}],
                        "rejected": [{"from": "今", "to": "x", "reason": "not_near"}] * 2,
                    }
                    | UNHEARD
                ],
                "llm": {"used": True, "model": "Qwen3-8B", "fallback": None, "rejected_edits": 2},
                "backup_audio_id": None,
                "error": None,
                "error_code": None,
            },
        ),
    ]


def test_started_tells_the_effective_options() -> None:
    wishes = Wishes(
        language="yue", hotwords=(Hotword("a"), Hotword("b")), hotword_table="names", punctuation=False, itn=False,
        model="qwen3-asr-1.7b",
        remove_fillers=True, second_pass=False, llm=True, partials=False,
        pace=Pace(6000 * MS, 5000 * MS, 100 * MS),
        client_recording_id="会议-1",
    )  # fmt: skip
    started = Recording(ID, Open(wishes, AudioFormat("mulaw", 8_000)), None, lambda: None).started()
    assert started == (
        "recording_started",
        {
            "status": "ok",
            "recording_id": ID,
            "client_recording_id": "会议-1",
            "sample_rate": 8_000,
            "config": {
                "format": "mulaw",
                "language": "yue",
                "punctuation": False,
                "itn": False,
                "remove_fillers": True,
                "second_pass": False,
                "llm": False,  # wished for, but this server has none
                "partials": False,
                "max_sentence_silence_ms": 6000,
                "max_sentence_ms": 5000,
                "preroll_ms": 100,
                "hotwords": 2,
                "hotword_table": "names",
                "model": "qwen3-asr-1.7b",
            },
        },
    )
    _, plain = recording(llm_model="Qwen3-8B").started()
    assert "client_recording_id" not in plain
    assert plain["config"]["llm"] is True
    assert plain["config"]["hotword_table"] is None


def test_cancelled() -> None:
    assert recording().cancelled() == ("recording_cancelled", {"recording_id": ID})


# -- transcription ---------------------------------------------------------------------


@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (0, 3), (1, 3), (3,)], ids=repr)
def test_text_is_what_is_new_since_the_last_event_that_was_sent(kept: tuple[int, ...]) -> None:
    """A slow client misses partials; the bare characters it gets still make up the whole."""
    steps = [
        sentence(0, PARTIAL, 1, "今天"),
        sentence(0, PARTIAL, 2, "今天，天气"),
        sentence(0, PARTIAL, 3, "今天，天气不错"),
        sentence(0, STREAMED, 4, "今天天气不错，真的。", end=1900),
    ]
    wire = recording()
    bodies = [body for n in kept for _, body in sent(wire, SentenceRevised(steps[n]))]
    assert "".join(body["text"] for body in bodies) == "今天天气不错真的"
    assert [body["event_seq"] for body in bodies] == [*range(1, len(kept) + 1)]
    assert bodies[-1]["punc_text"] == "今天天气不错，真的。"


def test_text_is_as_it_was_recognised_whatever_the_shown_text_leaves_out() -> None:
    wire = recording()
    said = [("嗯，", "嗯"), ("明天", "嗯明天"), ("明天3点。", "嗯明天三点")]
    steps = [sentence(0, PARTIAL, n, text, bare=bare) for n, (text, bare) in enumerate(said, 1)]
    bodies = [body for step in steps for _, body in sent(wire, SentenceRevised(step))]
    assert [body["text"] for body in bodies] == ["嗯", "明天", "三点"]
    assert [body["full_text"] for body in bodies] == ["嗯，", "明天", "明天3点。"]


def test_partials_can_be_switched_off() -> None:
    wire = recording(Wishes(partials=False))
    assert sent(wire, SentenceRevised(sentence(0, PARTIAL, 1, "今天"))) == []
    [(_, body)] = sent(wire, SpeechEnded(0, Span(120 * MS, 1900 * MS)))
    assert body["full_text"] == "", "nor do they show in other events"
    [(_, body)] = sent(wire, SentenceRevised(sentence(0, STREAMED, 2, "今天好。", end=1900)))
    assert (body["text"], body["full_text"], body["event_seq"]) == ("今天好", "今天好。", 2)


def test_full_text_is_in_the_order_of_sentences_whatever_comes_last() -> None:
    wire = recording()
    for n, (id, text) in enumerate([(1, "二。"), (0, "一。"), (2, "three"), (3, "four"), (1, "贰。")]):
        [(_, body), *_] = sent(wire, SentenceRevised(sentence(id, STREAMED, n, text, end=1900)))
    assert body["full_text"] == "一。贰。three four"


def test_a_dropped_sentence_leaves_full_text() -> None:
    wire = recording()
    sent(wire, SentenceRevised(sentence(0, STREAMED, 1, "好。", 100, 900)))
    sent(wire, SentenceRevised(sentence(1, PARTIAL, 1, "呃", 1000)))
    dropped = SentenceDropped(1, Span(1000 * MS, 1500 * MS))
    gone = {"id": 2, "revision": 2, "stage": "partial", "text": "", "start_ms": 1000, "end_ms": None, "stable_chars": 0}
    assert sent(wire, dropped) == [transcription(3, "好。", sentence=gone)]
    [(_, body)] = sent(wire, SentenceDropped(0, Span(100 * MS, 900 * MS)))
    assert (body["full_text"], body["sentence"]["id"], body["sentence"]["revision"]) == ("", 1, 2)
    assert sent(wire, dropped) == [], "nothing is shown of it: nothing is told"


def test_a_streamed_sentence_without_text_closes_no_segment() -> None:
    wire = recording()
    sent(wire, SentenceRevised(sentence(0, PARTIAL, 1, "呃")))
    [(_, body)] = sent(wire, SentenceRevised(sentence(0, STREAMED, 2, "", end=900)))
    assert (body["full_text"], body["punc_text"], body["segment"]) == ("", "", None)


def test_current_time_never_goes_back() -> None:
    wire = recording()
    times = []
    for at in (500, 300, 900, 0):
        [(_, body)] = sent(wire, SpeechStarted(0, 0), at=at)
        times.append(body["current_time_ms"])
    assert times == [500, 500, 900, 900]


def test_two_recordings_of_one_connection_count_for_themselves() -> None:
    wire = SocketIoWire()
    one, two = (wire.recording(name, Open(), None, lambda: None) for name in ("rec_1", "rec_2"))
    sent(one, SentenceRevised(sentence(0, PARTIAL, 1, "一")))
    [(_, body)] = sent(two, SentenceRevised(sentence(0, PARTIAL, 1, "二")))
    assert (body["event_seq"], body["full_text"], body["recording_id"]) == (1, "二", "rec_2")


# -- segment_result --------------------------------------------------------------------


def test_a_sentence_that_lost_its_second_pass_settles_with_the_streamed_text() -> None:
    wire = recording()
    last = sentence(0, STREAMED, 1, "好。", end=900, missing=(SECOND_PASS, CORRECTED))
    [*_, (event, body)] = sent(wire, SentenceRevised(last), SentenceSettled(last))
    told = body["sentence"]
    assert (event, told["source"], told["stage"]) == ("segment_result", "paraformer", "streamed")
    assert (told["missing"], told["settled"]) == (["second_pass", "corrected"], True)


# -- progress --------------------------------------------------------------------------


def progress(messages: Iterable[Message]) -> list[int]:
    return [body["progress"] for event, body in messages if event == "processing_progress"]


def test_progress_is_told_after_stop_rises_and_ends_at_100() -> None:
    wire = recording()
    settled = SentenceSettled(sentence(0, STREAMED, 1, "好。", end=900))
    assert progress(sent(wire, settled, done=0.9)) == []
    wire.stopped("client", 0, 0)
    shares = (0.0, 0.25, 0.25, 0.1, 0.999)
    assert [progress(sent(wire, settled, done=done)) for done in shares] == [[], [25], [], [], [99]]
    messages = sent(wire, Completed((), (), (), 0), done=0.0)
    assert [event for event, _ in messages] == ["processing_progress", "final_result"]
    assert progress(messages) == [100]
    assert progress(sent(wire, settled, done=1.0)) == []


# -- final_result ------------------------------------------------------------------------

Told = tuple[Sentence, SentenceReadings]


def final(*told: Told, llm_model: str | None = "Qwen3-8B", length: int = 10_000) -> dict[str, Any]:
    """``length`` in milliseconds."""
    return final_result(ID, tuple(s for s, _ in told), tuple(r for _, r in told), length * MS, llm_model)


def test_no_speech() -> None:
    assert final(length=3000) == {
        "paraformer": "", "sensevoice": "", "llm_merged": "",
        "paraformer_length": 0, "sensevoice_length": 0, "llm_merged_length": 0,
        "timestamps": [], "realtime_segments": [], "sentences": [],
        "recording_id": ID, "duration_ms": 3000, "backup_audio_id": None, "error": None, "error_code": None,
        "llm": {"used": False, "model": "Qwen3-8B", "fallback": None, "rejected_edits": 0},
    }  # fmt: skip


@pytest.mark.parametrize(("by", "source"), [("", "sensevoice"), ("qwen3-asr-1.7b", "qwen3-asr-1.7b")])
def test_a_preview_is_by_the_model_of_the_second_pass(by: str, source: str) -> None:
    """It is all there is where that was lost."""
    kept = replace(sentence(0, Stage.PARTIAL, 1, "好的", 0, 900), previewed=True, second_by=by)
    (told,) = final((kept, readings({Stage.PARTIAL: "好的"}, second_pass="crashed")))["sentences"]
    assert told["source"] == source and told["readings"] == {source: "好的"}


def test_a_sentence_says_which_model_made_its_second_pass() -> None:
    second = replace(sentence(0, SECOND_PASS, 2, "好的。", 0, 900), second_by="qwen3-asr-1.7b")
    texts = readings({STREAMED: "好得", SECOND_PASS: "好的。"})
    body = final((second, texts))
    (told,) = body["sentences"]
    assert (told["source"], told["fallback"]) == ("qwen3-asr-1.7b", None)
    assert told["readings"] == {"paraformer": "好得", "qwen3-asr-1.7b": "好的。"} and body["sensevoice"] == "好的。"
    corrected = replace(second, stage=CORRECTED)
    assert final((corrected, texts))["sentences"][0]["source"] == "llm"
    stood_in = replace(second, second_by="", fallback="timeout")
    (message,) = sent(recording(), SentenceSettled(stood_in))
    assert (message[1]["sentence"]["source"], message[1]["sentence"]["fallback"]) == ("sensevoice", "timeout")


CRASHED = readings({STREAMED: "再见"}, second_pass="crashed")
HEARD = (sentence(0, SECOND_PASS, 2, "好的。", 0, 900), readings({STREAMED: "好得", SECOND_PASS: "好的。"}))


@pytest.mark.parametrize(
    ("told", "layers", "code"),
    [
        ([HEARD], ("好得", "好的。", "好的。"), None),
        (
            [(sentence(0, STREAMED, 1, "好得", 0, 900), readings({STREAMED: "好得"}, second_pass="crashed"))],
            ("好得", "", "好得"),
            "backend_failed",
        ),
        (
            [HEARD, (sentence(1, STREAMED, 1, "再见", 1000, 1900), CRASHED)],
            ("好得再见", "好的。", "好的。再见"),
            "backend_failed",
        ),
        (
            [(sentence(0, SECOND_PASS, 1, "好的。", 0, 900), readings({SECOND_PASS: "好的。"}, streamed="crashed"))],
            ("", "好的。", "好的。"),
            "backend_failed",
        ),
        (
            [(sentence(0, PARTIAL, 1, "好", 0, 900), readings({PARTIAL: "好"}, streamed="x", second_pass="y"))],
            ("好", "", "好"),
            "backend_failed",
        ),
        (
            [(sentence(0, PARTIAL, 0, "", 0, 900), readings({}, streamed="unavailable", second_pass="unavailable"))],
            ("", "", ""),
            "backend_failed",
        ),
        ([(sentence(0, STREAMED, 1, "好得", 0, 900), readings({STREAMED: "好得"}))], ("好得", "", "好得"), None),
    ],
    ids=["good", "second pass lost", "one of two lost", "streaming lost", "both lost", "nothing left", "not asked"],
)
def test_what_remains_when_a_pass_is_lost(told: list[Told], layers: tuple[str, ...], code: str | None) -> None:
    body = final(*told)
    assert (body["paraformer"], body["sensevoice"], body["llm_merged"]) == layers
    assert body["error_code"] == code
    assert (body["error"] is None) == (code is None)
    check_consistency(body)


@pytest.mark.parametrize(
    ("llm_model", "lost", "used", "fallback"),
    [
        (None, {}, False, "disabled"),
        ("Qwen3-8B", {}, True, None),
        ("Qwen3-8B", {"corrected": "timeout"}, False, "timeout"),
        ("Qwen3-8B", {"corrected": "http_error"}, False, "http_error"),
        ("Qwen3-8B", {"corrected": "circuit_open"}, False, "http_error"),
        ("Qwen3-8B", {"corrected": "rejected"}, False, "rejected"),
        ("Qwen3-8B", {"corrected": "empty"}, False, None),
    ],
)
def test_what_the_llm_did(llm_model: str | None, lost: dict[str, str], used: bool, fallback: str | None) -> None:
    texts = {STREAMED: "好得", SECOND_PASS: "好的。"} | ({CORRECTED: "好的！"} if used else {})
    stage = CORRECTED if used else SECOND_PASS
    body = final((sentence(0, stage, 3, texts[stage], 0, 900), readings(texts, 0, **lost)), llm_model=llm_model)
    assert body["llm"] == {"used": used, "model": llm_model, "fallback": fallback, "rejected_edits": 0}
    assert body["llm_merged"] == texts[stage]
    assert body["error"] is None, "a missing correction is no error"


def test_the_llm_was_used_where_it_corrected_one_sentence_and_missed_another() -> None:
    texts = {STREAMED: "好", SECOND_PASS: "好。", CORRECTED: "好！"}
    body = final(
        (sentence(0, CORRECTED, 3, "好！", 0, 900), readings(texts, rejected=1)),
        (sentence(1, SECOND_PASS, 3, "好。", 900, 1900), readings({SECOND_PASS: "好。"}, 2, corrected="timeout")),
    )
    assert body["llm"] == {"used": True, "model": "Qwen3-8B", "fallback": "timeout", "rejected_edits": 3}


def test_latin_sentences_are_kept_apart() -> None:
    body = final(
        (sentence(0, SECOND_PASS, 2, "hello", 0, 900), readings({STREAMED: "helo", SECOND_PASS: "hello"})),
        (sentence(1, SECOND_PASS, 2, "world", 1000, 1900), readings({STREAMED: "word", SECOND_PASS: "world"})),
        (sentence(2, SECOND_PASS, 2, "你好。", 2000, 2900), readings({STREAMED: "你好", SECOND_PASS: "你好。"})),
    )
    assert (body["paraformer"], body["sensevoice"]) == ("helo word你好", "hello world你好。")
    assert [item["text"] for item in body["timestamps"]] == ["hello", " world", "你好。"]
    check_consistency(body)


def check_consistency(body: dict[str, Any]) -> None:
    for name in ("paraformer", "sensevoice", "llm_merged"):
        assert body[f"{name}_length"] == len(body[name])
    assert "".join(item["text"] for item in body["timestamps"]) == body["llm_merged"]
    assert "".join(item["text"] for item in body["realtime_segments"]) == body["paraformer"]
    for name in ("timestamps", "realtime_segments", "sentences"):
        at = 0
        for item in body[name]:
            assert at <= item["start_ms"] <= item["end_ms"] <= body["duration_ms"]
            at = item["end_ms"]


@st.composite
def results(draw: st.DrawFn) -> tuple[list[Told], int]:
    told, at = [], 0
    for id in range(draw(st.integers(0, 6))):
        start = at + draw(st.integers(0, 20_000))
        at = start + draw(st.integers(0, 50_000))
        texts = {
            stage: text
            for stage in draw(st.sets(st.sampled_from(Stage)))
            if (text := draw(st.text("今天a b。,x1", max_size=6)))
        }
        best = max(texts, default=PARTIAL)
        lost = tuple((stage, "crashed") for stage in (STREAMED, SECOND_PASS) if stage not in texts)
        last = Sentence(id, start, at, best, 1, texts.get(best, ""), missing=tuple(stage for stage, _ in lost))
        told.append((last, SentenceReadings(texts, (), lost)))
    return told, at + draw(st.integers(0, 20_000))


@given(results())
def test_final_result_agrees_with_itself(result: tuple[list[Told], int]) -> None:
    told, length = result
    body = final_result(ID, tuple(s for s, _ in told), tuple(r for _, r in told), length, None)
    check_consistency(body)
    assert all(type(body[name]) is str for name in ("paraformer", "sensevoice", "llm_merged"))
    assert (body["error"] is None) == (not any(r.lost for _, r in told))


@pytest.mark.parametrize("event", [Completed((), (), (), 0), None], ids=["completed", "defect"])
@pytest.mark.parametrize("id", [ID, None])
def test_the_final_result_says_whether_the_audio_was_kept(event: Completed | None, id: str | None) -> None:
    _, body = recording(backup_id=id).final(event)
    assert body["backup_audio_id"] == id


def test_after_a_defect_what_was_shown_stands() -> None:
    wire = recording(llm_model="Qwen3-8B")
    second = sentence(0, SECOND_PASS, 2, "好的。", 100, 900)
    sent(wire, SentenceRevised(second), SentenceRevised(sentence(1, PARTIAL, 1, "再", 1200)))
    wire.stopped("error", 2000 * MS, 64_000)
    event, body = wire.final(None)
    assert event == "final_result"
    assert set(body) == set(final())
    assert (body["llm_merged"], body["sensevoice"], body["paraformer"]) == ("好的。再", "好的。", "再")
    assert (body["duration_ms"], body["error_code"]) == (2000, "internal")
    check_consistency(body | {"sentences": body["sentences"][:1]})
    assert body["sentences"][1]["end_ms"] is None
