"""Qwen's realtime recognition in both directions, without a model. Frames as Alibaba's client sends them."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.conversation import Close, Conversation, SentenceDropped, completed, sentence, spoken
from xingji.core.errors import CODES, XingjiError
from xingji.core.messages import (
    Completed,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
)
from xingji.core.types import AudioFormat, Span, Stage
from xingji.wire import NO_END, Frame, Open, samples
from xingji.wire.dialect import Cancel, Configure, Handshake, Say, Stop
from xingji.wire.qwen_realtime import QwenRealtime

AUDIO = b"\1\2" * 1600
UPDATE: dict[str, Any] = {
    "modalities": ["text"], "voice": None, "input_audio_format": "pcm", "output_audio_format": "pcm16",
    "input_audio_transcription": {"language": "zh", "corpus": {"text": "热词"}},
    "turn_detection": {"type": "server_vad", "threshold": 0.0, "prefix_padding_ms": 300, "silence_duration_ms": 400},
    "sample_rate": 16000,
}  # fmt: skip


def act(kind: str, **more: Any) -> dict[str, Any]:
    return {"event_id": "event_x", "type": kind, **more}


def update(**more: Any) -> dict[str, Any]:
    return act("session.update", session=UPDATE | more)


def append(data: bytes = AUDIO) -> dict[str, Any]:
    return act("input_audio_buffer.append", audio=base64.b64encode(data).decode())


COMMIT, CLEAR, FINISH = (
    act(kind) for kind in ("input_audio_buffer.commit", "input_audio_buffer.clear", "session.finish")
)


def talk(*messages: dict[str, Any]) -> Conversation:
    one = Conversation(QwenRealtime(Handshake("/api-ws/v1/realtime", {"model": "qwen3-asr-flash-realtime"})))
    one.say(*messages)
    return one


def kinds(told: list[Any]) -> list[str]:
    return [t["type"].rpartition(".")[2] for t in told]


def fails(told: list[Any], code: str, param: str | None = None) -> None:
    """One error, after which the session goes on."""
    (said,) = told
    assert (said["type"], said["error"]["type"]) == ("error", "invalid_request_error")
    assert (said["error"]["code"], said["error"]["param"]) == (code, param) and said["error"]["message"]


def opened(one: Conversation) -> Open:
    return next(command for command in one.done if isinstance(command, Open))


def test_the_session_is_told_first() -> None:
    one = talk()
    (created,) = one.told
    assert created["type"] == "session.created" and created["session"]["id"].startswith("sess_")
    assert created["session"]["turn_detection"]["type"] == "server_vad"
    (updated,) = one.say(update())
    assert updated["type"] == "session.updated"
    assert updated["session"] | UPDATE == updated["session"] | {"voice": None, "output_audio_format": "pcm16"}
    assert updated["event_id"] != created["event_id"]


def test_the_server_finds_the_sentences() -> None:
    one = talk(update())
    assert one.say(append(), append()) == [] and one.audio == AUDIO * 2
    wishes = opened(one).wishes
    assert (wishes.language, wishes.pace.end_silence, wishes.stream, wishes.llm) == ("zh", samples(400), True, False)
    last = sentence(0, Stage.SECOND_PASS, "今天天气。", 100, 700, language="yue")
    told = one.happens(
        SpeechStarted(0, samples(100)),
        SentenceRevised(sentence(0, Stage.PARTIAL, "今天", stable=1)),
        SentenceRevised(sentence(0, Stage.PARTIAL, "今天气", stable=2)),
        SentenceRevised(sentence(0, Stage.PARTIAL, "金天气", stable=0)),  # what is confirmed stays
        SpeechEnded(0, Span(samples(100), samples(700))),
        SentenceRevised(sentence(0, Stage.STREAMED, "今天气", 100, 700)),
        SentenceRevised(last),
        SentenceSettled(last),
    )
    assert kinds(told) == [
        "speech_started",
        "created",
        "text",
        "text",
        "text",
        "speech_stopped",
        "committed",
        "completed",
    ]
    assert [(t["text"], t["stash"]) for t in told if "stash" in t] == [("今", "天"), ("今天", "气"), ("今天", "")]
    item = told[0]["item_id"]
    assert (told[0]["audio_start_ms"], told[5]["audio_end_ms"]) == (100, 700)
    assert told[1]["item"] == {
        "id": item, "object": "realtime.item", "type": "message", "status": "in_progress", "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }  # fmt: skip
    assert all(t.get("item_id", item) == item for t in told)
    assert (told[-1]["transcript"], told[-1]["language"], told[-1]["content_index"]) == ("今天天气。", "yue", 0)
    assert told[2]["language"] == "zh" and told[-2]["previous_item_id"] == ""
    (_, second) = one.happens(SpeechStarted(1, samples(900)))
    assert second["previous_item_id"] == item
    assert one.say(FINISH) == [] and one.kinds[-1] is Stop
    assert kinds(one.happens(*spoken(1, "好。", 900, 999)[1:], completed(1000, "今天天气。", "好。"))) == [
        "speech_stopped", "committed", "completed", "finished",
    ]  # fmt: skip


def test_noise_is_an_empty_item_and_a_lost_sentence_a_failed_one() -> None:
    one = talk(update(), append())
    told = one.happens(SpeechStarted(0, 0), SentenceDropped(0, Span(0, 1600)))
    assert kinds(told) == ["speech_started", "created", "speech_stopped", "committed", "completed"]
    assert told[-1]["transcript"] == ""
    lost = sentence(1, Stage.STREAMED, "", 100, 200)
    told = one.happens(SpeechStarted(1, 1600), SentenceSettled(lost))
    assert kinds(told)[-1] == "failed" and told[-1]["error"]["code"] == "InternalError"


def test_the_client_commits() -> None:
    one = talk(update(turn_detection=None), append(), append())
    wishes = opened(one).wishes
    assert (wishes.stream, wishes.waits, wishes.pace.end_silence) == (False, True, NO_END)
    (first,) = one.say(COMMIT)
    assert first["type"] == "input_audio_buffer.committed" and first["previous_item_id"] == ""
    (second,) = one.say(append(), COMMIT)
    assert second["previous_item_id"] == first["item_id"]
    assert [kind for kind in one.kinds if kind is not Say] == [Open, Stop, Open, Stop]
    (later,) = one.happens(completed(200, "好。"), of=1)
    (done,) = one.happens(completed(200, "今天。", "天气。"), of=0)
    assert (later["item_id"], later["transcript"]) == (second["item_id"], "好。")
    assert (done["item_id"], done["transcript"]) == (first["item_id"], "今天。天气。")
    assert kinds(one.say(FINISH)) == ["finished"]


def test_what_is_not_committed_is_told_at_the_end() -> None:
    one = talk(update(turn_detection=None), append())
    assert kinds(one.say(FINISH)) == ["committed"]
    assert kinds(one.happens(completed(100, "好。"))) == ["completed", "finished"]
    fails(one.say(append()), "session_finished")


def test_a_limit_ends_what_the_client_does_not() -> None:
    one = talk(update(turn_detection=None), append())
    assert kinds(one.stops("idle")) == ["committed"]
    assert kinds(one.happens(completed(100, "好。"))) == ["completed"]
    assert one.say(append()) == [] and one.kinds.count(Open) == 2
    one = talk(update(), append())
    assert one.stops("idle") == [] and one.happens(completed(60_000)) == []
    one.say(append())
    assert one.happens(SpeechStarted(0, samples(100)))[0]["audio_start_ms"] == 60_100


def test_clearing() -> None:
    one = talk(update(turn_detection=None), append())
    assert kinds(one.say(CLEAR)) == ["cleared"] and one.kinds[-1] is Cancel
    fails(one.say(COMMIT), "input_audio_buffer_commit_empty")
    assert kinds(one.say(FINISH)) == ["finished"]
    one = talk(update(), append())
    assert kinds(one.say(CLEAR)) == ["cleared"] and Cancel not in one.kinds


def test_defects() -> None:
    one = talk(update(), append())
    error, close = one.fails()
    assert error["error"]["type"] == "server_error" and close == Close(1011, "InternalError")
    one = talk(update(turn_detection=None), append(), COMMIT)
    assert kinds(one.happens(completed(9, "", lost=((Stage.SECOND_PASS, "crashed"),)))) == ["failed"]


@pytest.mark.parametrize(
    "message, code, param",
    [
        (COMMIT, "invalid_value", "type"),
        (act("dance"), "unknown_event", "type"),
        (act("session.update"), "invalid_value", "session"),
        (act("input_audio_buffer.append"), "invalid_value", "audio"),
        (act("input_audio_buffer.append", audio="?"), "invalid_value", "audio"),
        (update(input_audio_format="midi"), "invalid_value", "input_audio_format"),
        (update(sample_rate="16000"), "invalid_value", "sample_rate"),
        (update(sample_rate=4000), "invalid_value", "sample_rate"),
        (update(input_audio_transcription=3), "invalid_value", "input_audio_transcription"),
        (update(input_audio_transcription={"language": 3}), "invalid_value", "input_audio_transcription.language"),
        (update(turn_detection={"type": "semantic_vad"}), "invalid_value", "turn_detection"),
        (update(turn_detection={"threshold": 2}), "invalid_value", "turn_detection.threshold"),
        (update(turn_detection={"silence_duration_ms": 1}), "invalid_value", "turn_detection.silence_duration_ms"),
        (update(audio={"input": 3}), "invalid_value", "audio.input.format"),
    ],
)
def test_mistakes_end_nothing(message: dict[str, Any], code: str, param: str) -> None:
    one = talk()
    told = one.say(message)
    fails(told, code, param)
    assert told[0]["error"]["event_id"] == "event_x"
    assert kinds(one.say(update(), append(), FINISH)) == ["updated"]
    assert one.audio == AUDIO


def test_formats() -> None:
    one = talk(update(audio={"input": {"format": {"type": "wav", "sample_rate": 48000}}}), append())
    assert opened(one).format == AudioFormat("pcm", 48000)
    one = talk(update(input_audio_format="pcm16", sample_rate=8000), append())
    assert opened(one).format == AudioFormat("s16le", 8000)
    fails(one.say(update()), "invalid_value", "session")  # too late
    assert kinds(one.say(update(input_audio_format="pcm16", sample_rate=8000, input_audio_transcription=None))) == [
        "updated"
    ]
    assert [c.wishes.language for c in one.done if isinstance(c, Configure)] == ["auto"]


def test_a_format_that_is_not_decoded_is_said_once() -> None:
    one = talk(update(input_audio_format="opus"))
    one.refuses = XingjiError("bad_config", field="format")
    fails(one.say(append(), append()), "UNSUPPORTED_FORMAT", "format")
    assert not any(isinstance(command, Frame) for command in one.done)
    one.say(update(), append())
    assert one.audio == AUDIO


def test_what_is_no_event() -> None:
    one = talk()
    fails(one.say("{"), "InvalidParameter")
    fails(one.say(b"1234"), "invalid_value")
    with pytest.raises(XingjiError):
        QwenRealtime(Handshake("/api-ws/v1/realtime", {"model": "gpt-realtime"}))


@pytest.mark.parametrize("code", list(CODES))
def test_every_error_of_ours_has_words(code: str) -> None:
    said = talk(update(), append()).dialect.error(XingjiError(code), None)
    for frame in said:
        assert isinstance(frame, Close) or json.loads(str(frame))["type"] == "error"
    if code in ("busy", "internal"):
        assert isinstance(said[-1], Close)


@given(st.dictionaries(st.sampled_from(["type", "session", "audio", "event_id"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["session.update", "input_audio_buffer.append",
    "input_audio_buffer.commit", "server_vad", "AAAA"]), lambda inner: st.dictionaries(st.sampled_from(
    ["turn_detection", "audio", "input", "format", "type", "sample_rate"]), inner, max_size=3))))  # fmt: skip
def test_nothing_breaks_it(body: dict[str, Any]) -> None:
    one = talk()
    one.say(body)
    assert kinds(one.say(update(), FINISH))[-1] in ("updated", "finished", "error")


@pytest.mark.parametrize("by_client", [False, True])
def test_the_second_pass_hears_the_emotion(by_client: bool) -> None:
    heard = sentence(0, Stage.SECOND_PASS, "太好了！", 0, 900, emotion="happy", language="zh")
    one = Conversation(QwenRealtime(Handshake("/api-ws/v1/realtime", {"model": "qwen3-asr-flash-realtime"})))
    if by_client:
        one.say({"type": "session.update", "session": {"turn_detection": None}})
    one.say({"type": "input_audio_buffer.append", "audio": "AAAA"}, {"type": "session.finish"})
    partial = SentenceRevised(sentence(0, Stage.PARTIAL, "太", 0))
    told = one.happens(SpeechStarted(0, 0), partial, SentenceRevised(heard), SentenceSettled(heard),
                       Completed((heard,), (SentenceReadings({}),), (), samples(900)))  # fmt: skip
    emotions = [(t["type"].rpartition(".")[2], t["emotion"]) for t in told if "emotion" in t]
    assert emotions == [*([] if by_client else [("text", None)]), ("completed", "happy")]
    assert next(command.wishes.model for command in one.done if isinstance(command, Open)) == "qwen3-asr-flash-realtime"
