"""DashScope's realtime recognition in both directions, without a model. Frames as its own clients send them."""

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
    word,
)
from xingji.core.errors import CODES, XingjiError
from xingji.core.types import AudioFormat, Span, Stage, Word
from xingji.wire import Open, samples
from xingji.wire.dashscope import Inference
from xingji.wire.dashscope_write import refused
from xingji.wire.dialect import Cancel, Handshake, Stop

ID, NEXT = "3aa33cfaad3243fbb6cbf4d0b70759de", "2d1f4a9e-0000-4a5b-8c6d-1234567890ab"
AUDIO = bytes(3200)
FIRST = spoken(0, "今天天气不错。", 100, 700, "今天", "今天天气，")
SECOND = spoken(1, "去公园吧。", 900, 2100)
DONE = completed(2200, "今天天气不错。", "去公园吧。")


def run(id: str = ID, model: str = "paraformer-realtime-v2", **parameters: Any) -> dict[str, Any]:
    """As SDK 2.0.2 sends it."""
    payload = {
        "model": model,
        "parameters": {"sample_rate": 16000, "format": "pcm", **parameters},
        "input": {},
        "task": "asr",
        "task_group": "audio",
        "function": "recognition",
    }
    return {"header": {"streaming": "duplex", "task_id": id, "action": "run-task"}, "payload": payload}


def act(action: str, id: str = ID) -> dict[str, Any]:
    return {"header": {"streaming": "duplex", "task_id": id, "action": action}, "payload": {"input": {}}}


def event(event: str, payload: Any, id: str = ID) -> dict[str, Any]:
    return {"header": {"task_id": id, "event": event, "attributes": {}}, "payload": payload}


STARTED = event("task-started", {})


def result(duration: int | None = None, **sentence: Any) -> dict[str, Any]:
    ends = duration is not None
    body = {"sentence_end": ends, "heartbeat": False, "words": [], "sentence_begin": False} | sentence
    return event("result-generated", {"output": {"sentence": body}, "usage": {"duration": duration} if ends else None})


def talk(*messages: str | bytes | dict[str, Any]) -> Conversation:
    one = Conversation(Inference(Handshake("/api-ws/v1/inference")))
    one.say(*messages)
    return one


def fails(told: list[Any], code: str, id: str = ID, close: int = 1000) -> str:
    """One task-failed and the close, nothing else; its message."""
    failed, end = told
    assert failed["header"].pop("error_code") == code
    message = failed["header"].pop("error_message")
    assert failed == event("task-failed", {}, id)
    assert end == Close(close, code)
    return str(message)


def opened(one: Conversation) -> Open:
    return next(command for command in one.done if isinstance(command, Open))


def texts(told: list[Any]) -> list[str]:
    return [t["payload"]["output"]["sentence"]["text"] for t in told if t["header"]["event"] == "result-generated"]


# -- one task ----------------------------------------------------------------------------------


def test_a_task_from_run_to_finish() -> None:
    one = talk()
    assert one.say(run()) == [STARTED]
    assert opened(one).format == AudioFormat("s16le", 16_000)
    assert one.say(AUDIO, b"", AUDIO[:1]) == [] and one.audio == AUDIO + AUDIO[:1]
    assert one.happens(*FIRST) == [
        result(sentence_id=1, begin_time=100, end_time=None, text="今天", sentence_begin=True),
        result(sentence_id=1, begin_time=100, end_time=None, text="今天天气，"),
        result(0, sentence_id=1, begin_time=100, end_time=700, text="今天天气不错。"),
    ]
    assert one.say(act("finish-task")) == [] and one.kinds == [Open, Stop]
    assert one.happens(*SECOND, DONE) == [
        result(0, sentence_id=2, begin_time=900, end_time=2100, text="去公园吧。", sentence_begin=True),
        event("task-finished", {"output": {}, "usage": {"duration": 3}}),
    ]


def test_without_audio_or_speech_the_task_still_finishes() -> None:
    one = talk(run(), act("finish-task"))
    assert one.happens(completed(0)) == [event("task-finished", {"output": {}, "usage": {"duration": 0}})]


def test_the_connection_is_used_again_from_zero() -> None:
    one = talk(run(), AUDIO, act("finish-task"))
    one.happens(*FIRST, DONE)
    assert one.say(AUDIO) == []  # late
    assert one.say(run(NEXT, "fun-asr-realtime")) == [event("task-started", {}, NEXT)]
    (only,) = one.happens(*spoken(0, "好。", 0, 500))
    assert only["header"]["task_id"] == NEXT and only["payload"]["output"]["sentence"]["sentence_id"] == 1
    one.say(act("finish-task", NEXT))
    assert one.happens(completed(500, "好。"))[-1] == event(
        "task-finished", {"output": {}, "usage": {"duration": 1}}, NEXT
    )
    assert one.audio == AUDIO


def test_what_was_shown_and_was_no_speech_is_taken_back() -> None:
    one = talk(run())
    shown = SpeechStarted(0, 0), SentenceRevised(sentence(0, Stage.PARTIAL, "啊"))
    one.happens(*shown)
    (gone,) = one.happens(SentenceDropped(0, Span(0, 1600)))
    assert (
        gone["payload"]["output"]["sentence"] | {"end_time": 0}
        == result(0, sentence_id=1, begin_time=0, end_time=0, text="")["payload"]["output"]["sentence"]
    )
    assert one.happens(SpeechStarted(1, 0), SentenceDropped(1, Span(0, 9))) == []
    (next_one,) = one.happens(*spoken(2, "好。", 0, 500))
    assert next_one["payload"]["output"]["sentence"]["sentence_id"] == 2


def test_a_recording_without_any_reading_fails() -> None:
    one = talk(run(), act("finish-task"))
    fails(one.happens(completed(900, "", lost=((Stage.SECOND_PASS, "crashed"),))), "InternalError")
    one = talk(run())
    fails(one.fails(), "InternalError")


# -- parameters ----------------------------------------------------------------------------------


def test_parameters_become_wishes() -> None:
    one = talk(
        run(
            model="paraformer-realtime-8k-v2", format="wav", sample_rate=8000, language_hints=["zh"],
            vocabulary_id="vocab-a-1", max_sentence_silence=400, multi_threshold_mode_enabled=True,
            inverse_text_normalization_enabled=False, punctuation_prediction_enabled=False, phrase_id="x",
            anything=[1], heartbeat=None,
        )
    )  # fmt: skip
    wishes = opened(one).wishes
    assert opened(one).format == AudioFormat("pcm", 8000)
    assert (wishes.language, wishes.hotword_table, wishes.pace.end_silence) == ("zh", "vocab-a-1", samples(400))
    assert (wishes.itn, wishes.punctuation, wishes.llm, wishes.pace.longest) == (False, False, False, samples(15_000))
    assert wishes.stream and wishes.second_pass and wishes.idle_s == 23.0


@pytest.mark.parametrize(
    "model, silence",
    [("paraformer-realtime-v1", 800), ("fun-asr-realtime", 1300), ("fun-asr-realtime-2025-11-07", 1300)],
)
def test_models_have_their_own_silence(model: str, silence: int) -> None:
    wishes = opened(talk(run(model=model))).wishes
    assert wishes.pace.end_silence == samples(silence) and wishes.model == model  # the registry knows who that is


@pytest.mark.parametrize("hints", [["zh", "en"], ["de"], ["de", "zh"], [], None])
def test_of_several_languages_the_recogniser_chooses(hints: list[str] | None) -> None:
    assert opened(talk(run(language_hints=hints))).wishes.language == "auto"


@pytest.mark.parametrize(
    ("name", "codec"),
    [*((name, name) for name in ("mp3", "opus", "speex", "aac", "amr")), ("WAV", "pcm")],
)
def test_formats(name: str, codec: str) -> None:
    assert opened(talk(run(format=name, sample_rate=48000))).format == AudioFormat(codec, 48000)


@pytest.mark.parametrize(
    "wrong, code, named",
    [
        ({"format": "flac9"}, "UNSUPPORTED_FORMAT", "flac9"),
        ({"format": None}, "InvalidParameter", "format"),
        ({"sample_rate": "16000"}, "InvalidParameter", "sample_rate"),
        ({"sample_rate": True}, "InvalidParameter", "sample_rate"),
        ({"sample_rate": 7999}, "InvalidParameter", "sample_rate"),
        ({"sample_rate": 48001}, "InvalidParameter", "sample_rate"),
        ({"max_sentence_silence": 199}, "InvalidParameter", "max_sentence_silence"),
        ({"max_sentence_silence": 6001}, "InvalidParameter", "max_sentence_silence"),
        ({"language_hints": "zh"}, "InvalidParameter", "language_hints"),
        ({"language_hints": [1]}, "InvalidParameter", "language_hints"),
        ({"heartbeat": "true"}, "InvalidParameter", "heartbeat"),
        ({"disfluency_removal_enabled": 1}, "InvalidParameter", "disfluency_removal_enabled"),
        ({"semantic_punctuation_enabled": 0}, "InvalidParameter", "semantic_punctuation_enabled"),
        ({"vocabulary_id": 3}, "InvalidParameter", "vocabulary_id"),
        ({"model": ""}, "InvalidParameter", "model"),
    ],
)
def test_wrong_parameters(wrong: dict[str, Any], code: str, named: str) -> None:
    one = talk()
    assert named in fails(one.say(run(**wrong)), code)
    assert Open not in one.kinds
    assert one.say(run(NEXT), AUDIO) == []  # nothing can follow


@pytest.mark.parametrize(
    "error, code, names",
    [
        (XingjiError("bad_config", field="hotword_table"), "InvalidParameter", "vocabulary_id"),
        (XingjiError("bad_config", field="format"), "UNSUPPORTED_FORMAT", "Unsupported"),
        (XingjiError("internal"), "InternalError", "Internal"),
        (XingjiError("unknown_model", field="model"), "ModelNotFound", "paraformer-realtime-v2"),
    ],
)
def test_what_the_server_refuses(error: XingjiError, code: str, names: str) -> None:
    one = talk()
    one.refuses = error
    assert names in fails(one.say(run()), code)


# -- how texts are written ----------------------------------------------------------------------


def final(text: str, words: tuple[Word, ...] = (), **parameters: Any) -> list[dict[str, Any]]:
    one = talk(run(**parameters))
    return [t["payload"]["output"]["sentence"] for t in one.happens(*spoken(0, text, 0, 1000, words=words))]


def test_words_spell_the_text() -> None:
    (only,) = final("明天3点，good morning。", (word("明", 0, 90), word("天", 90, 150), word("三", 200, 300),
                    word("点", 300, 400), word("good", 500, 600), word("morning", 700, 900)))  # fmt: skip
    assert [(w["text"], w["punctuation"], w["begin_time"], w["end_time"]) for w in only["words"]] == [
        ("明", "", 0, 90),
        ("天3", "", 90, 300),  # a number that replaced a word belongs to the one before it
        ("点", "，", 300, 400),
        ("good ", "", 500, 600),
        ("morning", "。", 700, 900),
    ]
    assert all(w["fixed"] for w in only["words"])


@given(st.text("今天气好a ，。5", max_size=12), st.lists(st.tuples(st.sampled_from("今天气a5"), st.integers(0, 1000))),
       st.booleans(), st.booleans(), st.booleans())  # fmt: skip
def test_words_always_spell_the_text(
    text: str, said: list[tuple[str, int]], marks: bool, fillers: bool, meaning: bool
) -> None:
    words = tuple(word(letter, at, at + 50) for letter, at in sorted(said, key=lambda item: item[1]))
    told = final(text, words, punctuation_prediction_enabled=marks, disfluency_removal_enabled=fillers,
                 semantic_punctuation_enabled=meaning)  # fmt: skip
    before = 0
    for one in told:
        assert before <= one["begin_time"] <= one["end_time"] <= 1000
        before = one["end_time"]
        if one["words"]:
            assert "".join(w["text"] + w["punctuation"] for w in one["words"]) == one["text"]
        at = one["begin_time"]
        for w in one["words"]:
            assert at <= w["begin_time"] <= w["end_time"] <= one["end_time"]
            at = w["end_time"]


def test_meaning_ends_sentences() -> None:
    said = tuple(word(char, 100 * n, 100 * n + 100) for n, char in enumerate("好的走吧"))
    told = final("好的。走吧？", said, semantic_punctuation_enabled=True)
    assert [(t["sentence_id"], t["text"], t["begin_time"], t["end_time"]) for t in told] == [
        (1, "好的。", 0, 200),
        (2, "走吧？", 200, 1000),
    ]
    assert [t["sentence_begin"] for t in told] == [True, True]
    assert [t["text"] for t in final("It is 3.5. 好！", semantic_punctuation_enabled=True)] == ["It is 3.5.", "好！"]
    assert opened(talk(run(semantic_punctuation_enabled=True))).wishes.pace.end_silence == samples(3000)


def test_without_punctuation() -> None:
    one = talk(run(punctuation_prediction_enabled=False))
    assert texts(one.happens(*spoken(0, "今天，hello，all 3.5 度。", 0, 900, "今天，"))) == [
        "今天",
        "今天hello all 3.5度",
    ]
    assert not opened(one).wishes.punctuation
    both = {"punctuation_prediction_enabled": False, "semantic_punctuation_enabled": True}
    assert opened(talk(run(**both))).wishes.punctuation  # else nobody knows where sentences end
    assert [t["text"] for t in final("It's 9:30, OK? Fine.", **both)] == ["It's 9:30 OK", "Fine"]


@pytest.mark.parametrize("removed", [True, False])
def test_fillers(removed: bool) -> None:
    assert opened(talk(run(disfluency_removal_enabled=removed))).wishes.remove_fillers is removed


# -- wrong order, broken messages ----------------------------------------------------------------


@pytest.mark.parametrize(
    "message, id",
    [
        ("{", ""),
        ("[]", ""),
        ('{"header": 3}', ""),
        (act("dance"), ID),
        (act("finish-task"), ID),
        (act("continue-task"), ID),
        (act("run-task", "太长"), ""),
        (act("run-task", "x" * 65), ""),
        ({"header": act("run-task")["header"]}, ID),
        (run(ID) | {"payload": {"model": "paraformer-realtime-v2"}}, ID),
        (run(ID) | {"payload": {"task": "tts"}}, ID),
    ],
)
def test_messages_that_make_no_sense(message: str | dict[str, Any], id: str) -> None:
    fails(talk().say(message), "InvalidParameter", id)


def test_the_same_in_a_task_throws_it_away() -> None:
    one = talk(run(), AUDIO)
    fails(one.say("{"), "InvalidParameter")
    assert one.kinds[:3] == [Open, *one.kinds[1:2], Cancel]
    assert one.happens(*FIRST) == [] and one.say(act("finish-task")) == []


@pytest.mark.parametrize("draining", [False, True])
def test_two_tasks_at_once(draining: bool) -> None:
    one = talk(run(), *([act("finish-task")] if draining else []))
    fails(one.say(run(NEXT)), "InvalidParameter", NEXT)
    assert one.happens(*FIRST, DONE) == []


def test_ids_are_used_once() -> None:
    one = talk(run(), act("finish-task"))
    one.happens(DONE)
    fails(one.say(run()), "InvalidParameter")


def test_ends_of_other_tasks_and_repeated_ends() -> None:
    fails(talk(run()).say(act("finish-task", NEXT)), "InvalidParameter")
    one = talk(run(), act("finish-task"))
    assert one.say(act("finish-task"), AUDIO, act("continue-task")) == []
    one.happens(DONE)
    assert one.say(act("finish-task"), act("continue-task")) == []  # the task has just ended


def test_context_goes_by() -> None:
    one = talk(run())
    assert one.say(act("continue-task") | {"payload": {"input": {"context": "x"}}}, act("continue-task")) == []
    assert one.kinds == [Open]


# -- time ----------------------------------------------------------------------------------------


def test_a_full_server_is_waited_for() -> None:
    one = talk()
    one.refuses = XingjiError("busy")
    assert one.say(run(), AUDIO, act("finish-task")) == []
    one.refuses = XingjiError("busy")
    assert one.tick(100.0) == []
    assert one.tick(101.0) == [STARTED]
    assert one.audio == AUDIO and one.kinds == [Open, Stop]  # nothing that came early is lost


@pytest.mark.parametrize("error, code", [("busy", "Throttling.RateQuota"), ("not_ready", "ServiceUnavailable")])
def test_a_full_server_is_not_waited_for_for_ever(error: str, code: str) -> None:
    one = talk()
    told = []
    for at in range(6):
        one.refuses = XingjiError(error)
        told += one.tick(float(at)) if at else one.say(run())
    assert fails(told, code)


def test_what_comes_early_has_a_limit() -> None:
    one = talk()
    one.refuses = XingjiError("busy")
    one.say(run(), bytes(1 << 18))
    fails(one.say(b"1"), "Throttling.RateQuota")


def test_silence_ends_a_task() -> None:
    one = talk(run())
    assert [one.tick(at) for at in (0.0, 30.0, 59.0)] == [[]] * 3
    one.happens(*FIRST)
    assert one.tick(60.0) == one.tick(119.0) == []
    assert one.tick(120.0) == [] and one.kinds == [Open, Stop]
    assert "60 seconds" in fails(one.happens(DONE), "CLIENT_ERROR")


def test_heartbeats_in_silence() -> None:
    one = talk(run(heartbeat=True))
    assert one.tick(0.0) == one.tick(7.0) == []
    (beat,) = one.tick(8.0)
    assert beat["payload"]["usage"] is None
    said = beat["payload"]["output"]["sentence"]
    assert (said["heartbeat"], said["sentence_id"], said["text"], said["end_time"]) == (True, 0, "", None)
    assert one.tick(15.0) == [] and len(one.tick(16.0)) == 1
    one.happens(*FIRST)
    assert one.tick(23.0) == one.tick(30.0) == [] and len(one.tick(31.5)) == 1
    assert len(one.tick(999.0)) == 1 and one.kinds.count(Stop) == 0


@pytest.mark.parametrize(
    "reason, code, close",
    [("idle", "CLIENT_ERROR", 1000), ("max_duration", "CLIENT_ERROR", 1000),
     ("server_shutdown", "ServiceUnavailable", 1001)],
)  # fmt: skip
def test_limits_end_a_task_after_its_last_sentence(reason: str, code: str, close: int) -> None:
    one = talk(run(), AUDIO)
    assert one.stops(reason) == []
    told = one.happens(*FIRST, DONE)
    assert texts(told[:-2])[-1] == "今天天气不错。"
    message = fails(told[-2:], code, close=close)
    assert reason != "idle" or message == "request timeout after 23 seconds."


def test_a_header_without_audio() -> None:
    one = talk(run(format="wav"), bytes(44))
    one.writers[-1].stopped("client", 0, 44)
    fails(one.happens(completed(0)), "NO_VALID_AUDIO_ERROR")


def test_damaged_audio_ends_a_task_after_what_was_understood() -> None:
    one = talk(run(format="mp3"), AUDIO)
    assert one.dialect.error(XingjiError("decode_failed"), "rec_0") == ()
    one.stops("undecodable")
    told = one.happens(*FIRST, DONE)
    assert texts(told[:-2])[-1] == "今天天气不错。"
    fails(told[-2:], "DECODE_ERROR")


def test_idle_connections() -> None:
    assert Inference.timeout_s == 60.0
    assert talk().dialect.error(XingjiError("connection_timeout"), None) == (Close(1000, "connection_timeout"),)
    assert talk().dialect.goodbye() == (Close(1001, "server_shutdown"),)
    for code in ("overloaded", "bad_audio", "no_session"):
        assert talk(run()).dialect.error(XingjiError(code), "rec_0") == ()


# -- everything ------------------------------------------------------------------------------------


def test_refusals() -> None:
    status, body = refused(XingjiError("unauthorized"))
    assert (status, json.loads(body)["code"], set(json.loads(body))) == (
        401, "InvalidApiKey", {"code", "message", "request_id"},
    )  # fmt: skip


@pytest.mark.parametrize("code", list(CODES))
def test_every_error_of_ours_has_words(code: str) -> None:
    said = talk(run()).dialect.error(XingjiError(code), None)
    assert all(isinstance(frame, Close) or "event" in json.loads(str(frame))["header"] for frame in said)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner:
       st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["header", "payload", "action", "task_id",
       "parameters", "model", "format"]), inner, max_size=4)))  # fmt: skip
def test_nothing_breaks_it(body: Any) -> None:
    for one in (talk(), talk(run())):
        told = one.say(json.dumps(body))
        assert told and told[-1] == Close(1000, "InvalidParameter")
