"""``/ws/asr`` in both directions, without a model: what a page sends and what it is told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.conversation import (
    Close,
    Conversation,
    SentenceDropped,
    SentenceRevised,
    SpeechStarted,
    completed,
    sentence,
    spoken,
)
from xingji.core.errors import CODES, XingjiError
from xingji.core.types import AudioFormat, Hotword, Span, Stage
from xingji.wire import NO_END, Frame, Open, samples
from xingji.wire.dialect import Cancel, Commit, Handshake, Say, Stop
from xingji.wire.simple import LONGEST_S, WAITING, Simple

SECOND = bytes(32_000)
END: dict[str, Any] = {"type": "speech_end"}
SIGNAL: dict[str, Any] = {"end_signal": True}


def talk(**query: str) -> Conversation:
    return Conversation(Simple(Handshake("/ws/asr", query)))


# -- whole sentences ------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [END, SIGNAL, json.dumps(END).encode(), json.dumps(SIGNAL).encode()], ids=str)
def test_one_result_for_each_sentence(mark: Any) -> None:
    with_mark = talk()
    assert with_mark.say(SECOND[:1000], SECOND, mark) == []
    assert with_mark.kinds == [Open, Stop] and with_mark.audio == SECOND[:1000] + SECOND
    opened = with_mark.done[0]
    assert isinstance(opened, Open) and opened.format == AudioFormat("s16le", 16_000)
    wishes = opened.wishes
    assert (wishes.stream, wishes.waits, wishes.llm, wishes.pace.end_silence) == (False, True, False, NO_END)
    expected = {"type": "result", "text": "今天天气不错。", "is_final": True, "id": 1, "duration_ms": 1031}
    assert with_mark.happens(completed(1031, "今天天气不错。")) == [expected]


def test_what_the_server_split_is_one_result() -> None:
    one = talk()
    one.say(SECOND, END)
    assert one.happens(*spoken(0, "一。", 0, 500), *spoken(1, "二。", 600, 900)) == []
    assert one.happens(completed(1000, "一。", "二。"))[0]["text"] == "一。二。"


def test_silence_is_an_empty_result() -> None:
    one = talk()
    one.say(SECOND, END)
    assert one.happens(completed(1000)) == [
        {"type": "result", "text": "", "is_final": True, "id": 1, "duration_ms": 1000}
    ]


def test_a_click_asks_no_recogniser() -> None:
    one = talk()
    assert one.say(bytes(6_000), END) == [{"type": "result", "text": "", "is_final": True, "id": 1, "duration_ms": 187}]
    assert one.kinds == [Open, Cancel, type(one.done[-1])]


def test_marks_without_audio_are_ignored() -> None:
    one = talk()
    assert one.say(END, SIGNAL, b"", END) == [] and one.done == []
    one.say(SECOND, END, END)
    assert one.kinds == [Open, Stop]


def test_results_keep_the_order_of_the_marks() -> None:
    one = talk()
    one.say(SECOND, END, SECOND, END, bytes(100), END, SECOND, END)
    assert one.told == []
    assert one.happens(completed(1000, "二。"), of=1) == []
    assert one.fails(of=3) == []
    told = one.happens(completed(1000, "一。"), of=0)
    assert [(t["id"], t.get("text"), t.get("code")) for t in told] == [
        (1, "一。", None),
        (2, "二。", None),
        (3, "", None),
        (4, None, "internal"),
    ]


def test_too_many_sentences_at_a_time() -> None:
    one = talk()
    for _ in range(WAITING):
        one.say(SECOND, END)
    (told,) = one.say(SECOND, SECOND, END)
    assert (told["type"], told["code"], told["id"]) == ("error", "busy", WAITING + 1) and "text" not in told
    assert one.kinds == [Open, Stop] * WAITING
    one.happens(completed(1000, "一。"), of=0)
    assert one.say(SECOND, END) == [] and len(one.writers) == WAITING + 1


def test_a_server_that_is_full() -> None:
    one = talk()
    one.refuses = XingjiError("busy", detail={"retry_after_ms": 5000})
    (told,) = one.say(SECOND, SECOND, END)
    assert (told["code"], told["id"]) == ("busy", 1)
    assert one.say(SECOND, END) == [] and one.kinds == [Open, Stop]
    assert one.happens(completed(1000, "一。"))[0]["id"] == 2


def test_audio_without_a_mark_ends_somewhere() -> None:
    one = talk()
    for _ in range(LONGEST_S + 1):
        one.say(SECOND)
    assert one.kinds == [Open, Stop]
    one.say(END)
    assert one.kinds == [Open, Stop]


def test_a_limit_of_the_server_ends_a_sentence_too() -> None:
    one = talk()
    one.say(SECOND)
    one.stops("idle")
    assert one.happens(completed(1000, "一。"))[0]["text"] == "一。"
    assert one.say(END) == [] and one.kinds == [Open]
    one.say(SECOND, END)
    assert one.kinds == [Open, Open, Stop]


def test_a_recogniser_that_failed_is_never_silence() -> None:
    one = talk()
    one.say(SECOND, END)
    (told,) = one.happens(completed(1000, "", lost=((Stage.SECOND_PASS, "timeout"),)))
    assert (told["type"], told["code"], told["id"]) == ("error", "backend_failed", 1) and "text" not in told
    one.say(SECOND, END)
    (told,) = one.happens(completed(1000, "", lost=((Stage.SECOND_PASS, "empty"),)))
    assert told["text"] == ""


# -- options ----------------------------------------------------------------------------------


def test_options_in_the_address() -> None:
    one = talk(sample_rate="48000", format="f32le", language="zh", hotwords="林滔,章薇", token="x")
    one.say(SECOND)
    opened = one.done[0]
    assert isinstance(opened, Open) and opened.format == AudioFormat("f32le", 48_000)
    assert opened.wishes.language == "zh" and [w.text for w in opened.wishes.hotwords] == ["林滔", "章薇"]


BAD = [("sample_rate", "1"), ("sample_rate", "x"), ("format", "mp3"), ("mode", "both"), ("language", "xx")]


@pytest.mark.parametrize(("name", "value"), [*BAD, ("events", "yes"), ("hotwords", "好" * 100)])
def test_bad_options_refuse_the_connection(name: str, value: str) -> None:
    with pytest.raises(XingjiError) as refused:
        talk(**{name: value})
    assert refused.value.code in ("bad_parameter", "bad_config")


def test_more_is_told_only_to_those_who_ask() -> None:
    plain, more = talk(), talk(events="1")
    assert plain.told == [] and more.told == [{"type": "ready", "mode": "sentence"}]
    assert plain.say({"type": "ping"})[0]["code"] == "unknown_type"
    assert more.say({"type": "ping"}) == [{"type": "pong"}]
    assert more.say({"type": "config", "language": "en", "hotwords": ["DAC"], "sample_rate": 8000}) == []
    more.say(SECOND)
    opened = more.done[-2]
    assert isinstance(opened, Open) and opened.wishes.language == "en" and opened.wishes.stream
    assert opened.wishes.hotwords == (Hotword("DAC"),) and opened.format.rate == 8000
    assert more.happens(*spoken(0, "一二。", 0, 900, "一", "一二")) == [
        {"type": "partial", "id": 1, "text": "一"},
        {"type": "partial", "id": 1, "text": "一二"},
    ]
    assert more.say({"type": "config", "language": 7})[0]["field"] == "language"


# -- the server finds the sentences ---------------------------------------------------------------


def test_live_texts_are_whole_and_end_with_their_sentence() -> None:
    live = talk(mode="stream")
    live.say(SECOND)
    assert live.happens(*spoken(0, "一二。", 100, 900, "一", "一二"), *spoken(1, "三。", 1900, 2300)) == [
        {"type": "result", "text": "一", "is_final": False, "id": 1},
        {"type": "result", "text": "一二", "is_final": False, "id": 1},
        {"type": "result", "text": "一二。", "is_final": True, "id": 1, "duration_ms": 800},
        {"type": "result", "text": "三。", "is_final": True, "id": 2, "duration_ms": 400},
    ]


def test_a_sentence_waits_until_the_one_before_it_is_over() -> None:
    live = talk(mode="stream")
    live.say(SECOND)
    first, second = spoken(0, "一。", 0, 500, "一"), spoken(1, "二三。", 600, 900, "二", "二三")
    told = live.happens(*first[:-2], *second[:3])
    assert [t["text"] for t in told] == ["一"]
    assert [t["text"] for t in live.happens(*first[-2:])] == ["一。", "二三"]
    assert [t["text"] for t in live.happens(*second[3:])] == ["二三。"]


def test_what_was_shown_and_is_no_speech_is_taken_back() -> None:
    live = talk(mode="stream")
    live.say(SECOND)
    dropped = SentenceDropped(0, Span(0, samples(500)))
    shown = SpeechStarted(0, 0), SentenceRevised(sentence(0, Stage.PARTIAL, "一"))
    assert [t["text"] for t in live.happens(*shown, dropped)] == ["一", ""]
    assert live.happens(SpeechStarted(1, 0), SentenceDropped(1, Span(0, 9))) == []
    assert [t["id"] for t in live.happens(*spoken(2, "二。", 0, 500))] == [2]


@pytest.mark.parametrize("mark", [END, SIGNAL], ids=str)
def test_a_mark_ends_the_sentence_and_not_the_recording(mark: dict[str, Any]) -> None:
    live = talk(mode="stream")
    live.say(mark, SECOND, mark, SECOND, mark)
    assert live.kinds == [Open, Commit, Commit]
    opened = live.done[0]
    assert isinstance(opened, Open) and opened.wishes.stream and opened.wishes.pace.end_silence == samples(800)


def test_after_a_pause_without_audio_it_goes_on_and_counts_on() -> None:
    live = talk(mode="stream")
    live.say(SECOND)
    live.happens(*spoken(0, "一。", 0, 500))
    live.stops("idle")
    live.happens(completed(1000, "一。"))
    live.say(SECOND)
    assert live.kinds == [Open, Open]
    assert [t["id"] for t in live.happens(*spoken(0, "二。", 0, 500))] == [2]
    assert live.fails()[0]["code"] == "internal"


# -- wrong input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["{", "[1]", "7", "null", "[" * 100_000, '"speech_end"'], ids=lambda m: m[:9])
def test_what_is_no_object(message: str) -> None:
    (told,) = talk().say(message)
    assert (told["type"], told["code"]) == ("error", "bad_json") and told["message"] and "text" not in told


@pytest.mark.parametrize("message", [{}, {"type": 1}, {"type": "stop"}, {"end_signal": 1}, {"end_signal": "true"}])
def test_unknown_messages_harm_nothing(message: dict[str, Any]) -> None:
    one = talk()
    one.say(SECOND)
    (told,) = one.say(message)
    assert (told["code"], told["id"]) == ("unknown_type", 1)
    one.say(SECOND, END)
    assert one.audio == SECOND * 2 and one.kinds == [Open, Stop]


@given(st.binary(min_size=1, max_size=300))
def test_audio_is_never_taken_for_a_mark(audio: bytes) -> None:
    one = talk()
    one.say(audio)
    assert one.done[-1] == Frame(audio) or audio.startswith(b"{")


@given(st.lists(st.sampled_from([SECOND, bytes(3), END, SIGNAL, "{", {"type": "x"}]), max_size=30), st.booleans())
def test_any_order_of_messages(messages: list[Any], live: bool) -> None:
    """A recording is opened when none runs, and only one that runs takes audio and ends."""
    one = talk(mode="stream" if live else "sentence")
    one.say(*messages)
    running = False
    for command in one.done:
        if not isinstance(command, Say):
            assert running != isinstance(command, Open)
            running = not isinstance(command, Stop | Cancel)
    assert all(isinstance(told, dict) for told in one.told)


@pytest.mark.parametrize("code", CODES)
def test_every_error_can_be_told(code: str) -> None:
    frames = talk().dialect.error(XingjiError(code, field="x"), None)
    if code == "connection_timeout":
        assert frames == (Close(1000, code),)
    for frame in frames:
        assert isinstance(frame, Close) or "text" not in json.loads(str(frame))
