"""OpenAI's realtime transcription in both directions, without a model. Frames as OpenAI's own clients send them."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from tests.wire.conversation import Close, Conversation, SentenceDropped, completed, sentence, spoken
from xingji.core.errors import CODES, XingjiError
from xingji.core.messages import SentenceRevised, SentenceSettled, SpeechEnded, SpeechStarted
from xingji.core.types import AudioFormat, Hotword, Span, Stage
from xingji.wire import NO_END, Open, Wishes, samples
from xingji.wire.dialect import Cancel, Check, Configure, Handshake, Say, Stop
from xingji.wire.openai_realtime import SESSION_S, OpenAiRealtime
from xingji.wire.openai_realtime_read import Session, terms, updated
from xingji.wire.openai_realtime_write import refused
from xingji.wire.realtime import LARGEST, Realtime

AUDIO = b"\1\2" * 2400  # 100 ms at 24 kHz
INPUT: dict[str, Any] = {
    "format": {"type": "audio/pcm", "rate": 24000},
    "transcription": {"model": "gpt-4o-transcribe", "language": "zh", "prompt": "星声记"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
    "noise_reduction": {"type": "near_field"},
}
VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
AT = 1_800_000_000.0
BETA = {"openai-beta": "realtime=v1"}


def act(kind: str, **more: Any) -> dict[str, Any]:
    return {"event_id": "event_x", "type": kind, **more}


def update(**changes: Any) -> dict[str, Any]:
    return act("session.update", session={"type": "transcription", "audio": {"input": changes}})


def beta_update(**changes: Any) -> dict[str, Any]:
    return act("transcription_session.update", session=changes)


def append(data: bytes = AUDIO) -> dict[str, Any]:
    return act("input_audio_buffer.append", audio=base64.b64encode(data).decode())


COMMIT, CLEAR = act("input_audio_buffer.commit"), act("input_audio_buffer.clear")
MANUAL = update(turn_detection=None)


def talk(*messages: dict[str, Any], **more: Any) -> Conversation:
    handshake = Handshake("/v1/realtime", {"intent": "transcription"}, at=AT, **more)
    one = Conversation(OpenAiRealtime(handshake))
    one.say(*messages)
    return one


def kinds(told: list[Any]) -> list[str]:
    return [t["type"].rpartition(".")[2] if isinstance(t, dict) else f"close {t.code}" for t in told]


def fails(told: list[Any], code: str, param: str | None = None) -> None:
    """One error, after which the session goes on."""
    (said,) = told
    assert (said["type"], said["error"]["type"]) == ("error", "invalid_request_error")
    assert (said["error"]["code"], said["error"]["param"]) == (code, param) and said["error"]["message"]


def opened(one: Conversation) -> Open:
    return [command for command in one.done if isinstance(command, Open)][-1]


def wishes(one: Conversation) -> Wishes:
    return opened(one).wishes


# -- the session --------------------------------------------------------------------------------


def test_the_session_is_told_first_and_after_each_update() -> None:
    one = talk()
    (created,) = one.told
    assert created["type"] == "session.created" and created["session"]["id"].startswith("sess_")
    nothing = {"noise_reduction": None, "transcription": None, "turn_detection": VAD}
    assert created["session"] == {
        "type": "transcription", "object": "realtime.transcription_session", "id": created["session"]["id"],
        "expires_at": int(AT + SESSION_S), "include": None,
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, **nothing}},
    }  # fmt: skip
    (told,) = one.say(update(**INPUT))
    assert told["type"] == "session.updated" and told["event_id"] != created["event_id"]
    whole = {**INPUT, "turn_detection": VAD | {"silence_duration_ms": 400}}
    assert told["session"]["audio"]["input"] == whole
    assert {**told["session"], "audio": 0} == {**created["session"], "audio": 0}
    (again,) = one.say(update(turn_detection={"threshold": 0.3}, transcription={"language": None, "keywords": ["甲"]}))
    assert again["session"]["audio"]["input"] == {
        **whole,
        "turn_detection": VAD | {"silence_duration_ms": 400, "threshold": 0.3},
        "transcription": {"model": "gpt-4o-transcribe", "prompt": "星声记", "keywords": ["甲"]},
    }
    (off,) = one.say(update(turn_detection=None, transcription=None, noise_reduction=None))
    assert off["session"]["audio"]["input"] == {**nothing, "format": INPUT["format"], "turn_detection": None}
    (named,) = one.say(act("session.update", session={"include": ["item.input_audio_transcription.logprobs"]}))
    assert named["session"]["include"] == ["item.input_audio_transcription.logprobs"]


@pytest.mark.parametrize(
    "how",
    [{"headers": BETA}, {"offered": ("realtime", "openai-insecure-api-key.k", "openai-beta.realtime-v1")}],
    ids=["header", "sub-protocol"],
)
def test_the_beta(how: dict[str, Any]) -> None:
    one = talk(**how)
    (created,) = one.told
    assert created["type"] == "transcription_session.created"
    assert created["session"] == {
        "object": "realtime.transcription_session", "id": created["session"]["id"],
        "expires_at": int(AT + SESSION_S), "input_audio_format": "pcm16", "input_audio_transcription": None,
        "input_audio_noise_reduction": None, "turn_detection": VAD, "include": None,
    }  # fmt: skip
    asked = {
        "input_audio_format": "g711_ulaw", "input_audio_noise_reduction": {"type": "far_field"},
        "input_audio_transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": None,
    }  # fmt: skip
    (told,) = one.say(beta_update(**asked))
    assert told["type"] == "transcription_session.updated" and told["session"] == created["session"] | asked
    one.say(append(bytes(800)), COMMIT)
    assert kinds(one.told)[-2:] == ["committed", "created"]


def test_the_updates_say_which_of_the_two_it_is() -> None:
    one = talk(beta_update(input_audio_format="g711_alaw"))
    assert kinds(one.told) == ["created", "updated"] and one.told[1]["type"] == "transcription_session.updated"
    assert one.told[1]["session"]["input_audio_format"] == "g711_alaw"
    (flat,) = one.say(act("session.update", session={"input_audio_format": "pcm16"}))
    assert (flat["type"], flat["session"]["input_audio_format"]) == ("session.updated", "pcm16")
    (ga,) = one.say(update(format={"rate": 16000}))
    assert ga["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16000}
    (pcm16,) = one.say(beta_update(input_audio_format="pcm16"), append())
    assert pcm16["session"]["input_audio_format"] == "pcm16" and opened(one).format.rate == 24000
    (flat,) = one.say(act("session.update", session={"turn_detection": None}))  # as older programs write it
    assert flat["session"]["turn_detection"] is None


def test_a_session_that_a_secret_was_made_for() -> None:
    prepared = updated(Session(), {"audio": {"input": {"transcription": {"language": "zh"}}}}, beta=False)
    one = talk(session=prepared)
    assert one.told[0]["session"]["audio"]["input"]["transcription"] == {"language": "zh"}


# -- the server finds the sentences ------------------------------------------------------------


def test_sentences() -> None:
    one = talk(update(**INPUT))
    assert one.say(append(), append()) == [] and one.audio == AUDIO * 2
    asked = wishes(one)
    assert (asked.language, asked.stream, asked.llm, asked.model) == ("zh", True, False, None)
    assert (asked.pace.end_silence, asked.pace.preroll) == (samples(400), samples(300))
    assert asked.hotwords == (Hotword("星声记"),)
    last = sentence(0, Stage.SECOND_PASS, "今天天气不错。", 100, 700)
    told = one.happens(
        SpeechStarted(0, samples(100)),
        SentenceRevised(sentence(0, Stage.PARTIAL, "今", stable=0)),
        SentenceRevised(sentence(0, Stage.PARTIAL, "今天气", stable=2)),
        SentenceRevised(sentence(0, Stage.PARTIAL, "金天气", stable=1)),  # what was said stays
        SentenceRevised(sentence(0, Stage.PARTIAL, "今天天气", stable=3)),
        SpeechEnded(0, Span(samples(100), samples(700))),
        SentenceRevised(sentence(0, Stage.STREAMED, "今天天汽不错。", 100, 700, stable=7)),
        SentenceRevised(last),
        SentenceSettled(last),
    )
    assert kinds(told) == [
        "speech_started", "delta", "delta", "speech_stopped", "committed", "added", "done", "delta", "completed",
    ]  # fmt: skip
    item = told[0]["item_id"]
    assert (told[0]["audio_start_ms"], told[3]["audio_end_ms"]) == (100, 700)
    assert [t["delta"] for t in told if "delta" in t] == ["今天", "天", "气不错。"]
    assert told[4]["previous_item_id"] is None and told[5]["previous_item_id"] is None
    assert told[5]["item"] == told[6]["item"] == {
        "id": item, "type": "message", "object": "realtime.item", "status": "completed", "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }  # fmt: skip
    assert {t.get("item_id", item) for t in told} == {item}
    assert told[-1]["type"] == "conversation.item.input_audio_transcription.completed"
    assert (told[-1]["transcript"], told[-1]["content_index"]) == ("今天天气不错。", 0)
    assert told[-1]["usage"] == {"type": "duration", "seconds": 0.6}
    assert len({t["event_id"] for t in one.told}) == len(one.told)
    second = one.happens(*spoken(1, "好。", 900, 999))
    assert second[2]["previous_item_id"] == item and second[-1]["usage"]["seconds"] == 0.099


def test_what_the_second_pass_changes_is_only_in_the_transcript() -> None:
    one = talk(append())
    last = sentence(0, Stage.SECOND_PASS, "订单号是18847。", 0, 900)
    told = one.happens(
        SpeechStarted(0, 0),
        SentenceRevised(sentence(0, Stage.PARTIAL, "订单号是一八八", stable=6)),
        SpeechEnded(0, Span(0, samples(900))),
        SentenceSettled(last),
    )
    assert "".join(t["delta"] for t in told if "delta" in t) == "订单号是一八"
    assert told[-1]["transcript"] == "订单号是18847。"


def test_sentences_do_not_wait_for_one_another() -> None:
    one = talk(append())
    first, second = (sentence(n, Stage.SECOND_PASS, text, n * 900, n * 900 + 600) for n, text in enumerate("甲乙"))
    told = one.happens(
        SpeechStarted(0, 0),
        SpeechEnded(0, Span(0, samples(600))),
        SpeechStarted(1, samples(900)),
        SpeechEnded(1, Span(samples(900), samples(1500))),
        SentenceRevised(second),
        SentenceRevised(first),
    )
    assert [t["transcript"] for t in told if "transcript" in t] == ["乙", "甲"]
    committed = [t for t in told if t["type"].endswith("committed")]
    assert [t["previous_item_id"] for t in committed] == [None, committed[0]["item_id"]]


def test_correction_is_waited_for_where_it_was_asked_for() -> None:
    one = talk(update(transcription={"llm": True}), append())
    assert wishes(one).llm is True
    one.writers[0] = one.dialect.recording("rec", opened(one), "qwen3", lambda: None)
    told = one.happens(*spoken(0, "好。", 0, 100)[:-1])
    assert "completed" not in kinds(told)
    assert one.happens(SentenceSettled(sentence(0, Stage.CORRECTED, "号。", 0, 100)))[-1]["transcript"] == "号。"


def test_noise_is_an_empty_item_and_a_lost_sentence_a_failed_one() -> None:
    one = talk(append())
    span = Span(0, 1600)
    told = one.happens(SpeechStarted(0, 0), SpeechEnded(0, span), SentenceDropped(0, span))
    assert kinds(told)[-1] == "completed" and (told[-1]["transcript"], told[-1]["usage"]["seconds"]) == ("", 0.1)
    lost = sentence(1, Stage.STREAMED, "", 100, 200)
    told = one.happens(SpeechStarted(1, 1600), SpeechEnded(1, Span(1600, 3200)), SentenceSettled(lost))
    assert kinds(told)[-1] == "failed"
    error = told[-1]["error"]
    assert (error["type"], error["code"]) == ("transcription_error", "audio_unintelligible") and "param" in error


def test_a_commit_closes_the_sentence_at_once() -> None:
    one = talk(append(), append())
    one.happens(SpeechStarted(0, 0))
    assert one.say(COMMIT) == [] and one.kinds[-1] is Stop
    told = one.happens(*spoken(0, "好。", 0, 200)[1:], completed(200, "好。"))
    assert kinds(told) == ["speech_stopped", "committed", "added", "done", "delta", "completed"]
    one.say(append())
    assert one.kinds.count(Open) == 2
    (started,) = one.happens(SpeechStarted(0, samples(40)))
    assert started["audio_start_ms"] == 240, "counted from the session's first sample"


def test_a_commit_after_the_last_sentence_is_answered_with_silence() -> None:
    one = talk(append(), append(), append())
    one.happens(*spoken(0, "好。", 0, 100))
    one.say(COMMIT)
    told = one.happens(completed(300, "好。"))
    assert kinds(told) == ["committed", "added", "done", "completed"]
    assert (told[-1]["transcript"], told[-1]["usage"]["seconds"]) == ("", 0.2)
    one.say(append())
    one.happens(*spoken(0, "好。", 0, 100))
    one.say(COMMIT)
    fails(one.happens(completed(100, "好。")), "input_audio_buffer_commit_empty")


def test_clearing_drops_what_is_being_said() -> None:
    one = talk(append())
    one.happens(*spoken(0, "好。", 0, 50)[:-2], SpeechStarted(1, 900))
    assert one.say(CLEAR) == [] and one.kinds[-1] is Stop
    assert one.happens(SpeechEnded(1, Span(900, 1600)), SpeechStarted(2, 1600)) == []
    told = one.happens(*spoken(0, "好。", 0, 50)[-2:], SentenceSettled(sentence(1, Stage.SECOND_PASS, "不。", 60, 100)))
    assert kinds(told) == ["delta", "completed"], "what was committed before is told"
    assert kinds(one.happens(completed(100, "好。"))) == ["cleared"]
    assert kinds(one.say(CLEAR)) == ["cleared"]


def test_clearing_after_a_commit_marks_the_end() -> None:
    one = talk(append())
    one.happens(SpeechStarted(0, 0))
    assert one.say(COMMIT, CLEAR) == []
    told = one.happens(*spoken(0, "好。", 0, 100)[1:], completed(100, "好。"))
    assert kinds(told)[-2:] == ["completed", "cleared"]


def test_their_own_types_take_all_of_it() -> None:
    one = talk(update(**INPUT), append(), append())
    one.happens(
        *spoken(0, "好。", 0, 100),
        SpeechStarted(1, 1600),
        SpeechEnded(1, Span(1600, 3200)),
        SentenceSettled(sentence(1, Stage.STREAMED, "", 100, 200)),
    )
    one.say(COMMIT, CLEAR, COMMIT, "{")
    one.happens(completed(400, "好。"))
    assert len(set(kinds(one.told))) == 12
    types: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    for told in one.told:
        event = types.validate_python(told)
        assert event.type == told["type"] and not event.model_extra


# -- the client commits ----------------------------------------------------------------------------


def test_the_client_commits() -> None:
    one = talk(MANUAL, append(), append())
    asked = wishes(one)
    assert (asked.stream, asked.waits, asked.pace.end_silence) == (False, True, NO_END)
    first = one.say(COMMIT)
    assert kinds(first) == ["committed", "added", "done"] and first[0]["previous_item_id"] is None
    second = one.say(append(), COMMIT)
    assert second[0]["previous_item_id"] == first[0]["item_id"]
    assert [kind for kind in one.kinds if kind not in (Say, Check)] == [Open, Stop, Open, Stop]
    assert [t.get("transcript", t.get("delta")) for t in one.happens(completed(100, "好。"), of=1)] == ["好。"] * 2
    told = one.happens(completed(200, "今天。", "天气。"), of=0)
    assert (told[-1]["item_id"], told[-1]["transcript"]) == (first[0]["item_id"], "今天。天气。")
    assert told[-1]["usage"] == {"type": "duration", "seconds": 0.2}


@pytest.mark.parametrize("manual", [True, False])
def test_less_than_100_ms_cannot_be_committed(manual: bool) -> None:
    one = talk(*([MANUAL] if manual else []))
    fails(one.say(COMMIT), "input_audio_buffer_commit_empty")
    one.say(append(AUDIO[:-2]))
    fails(one.say(COMMIT), "input_audio_buffer_commit_empty")
    assert Stop not in one.kinds
    one.say(append(AUDIO[-2:]), COMMIT)
    assert Stop in one.kinds, "it has stayed in the buffer"


def test_clearing_what_is_not_committed() -> None:
    one = talk(MANUAL, append())
    assert kinds(one.say(CLEAR)) == ["cleared"] and one.kinds[-1] is Cancel
    fails(one.say(COMMIT), "input_audio_buffer_commit_empty")


def test_a_limit_ends_what_the_client_does_not() -> None:
    one = talk(MANUAL, append())
    assert kinds(one.stops("idle")) == ["committed", "added", "done"]
    assert kinds(one.happens(completed(100, "好。"))) == ["delta", "completed"]
    one.say(append())
    assert one.kinds.count(Open) == 2
    one = talk(append())
    assert one.stops("idle") == [] and one.happens(completed(100)) == []
    one.say(append())
    assert one.happens(SpeechStarted(0, 0))[0]["audio_start_ms"] == 100


# -- options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({"type": "audio/pcm"}, AudioFormat("s16le", 24000)),
        ({"type": "audio/pcm", "rate": 16000}, AudioFormat("s16le", 16000)),
        ({"rate": 8000}, AudioFormat("s16le", 8000)),
        ({"type": "audio/pcmu"}, AudioFormat("mulaw", 8000)),
        ({"type": "audio/pcma", "rate": 8000}, AudioFormat("alaw", 8000)),
    ],
)
def test_formats(asked: dict[str, Any], expected: AudioFormat) -> None:
    one = talk(update(format=asked), append())
    assert opened(one).format == expected
    bytes_of_100_ms = expected.rate // 10 * (2 if expected.codec == "s16le" else 1)
    one = talk(update(format=asked, turn_detection=None), append(bytes(bytes_of_100_ms - 1)))
    fails(one.say(COMMIT), "input_audio_buffer_commit_empty")
    assert kinds(one.say(append(b"\0"), COMMIT))[0] == "committed"


@pytest.mark.parametrize("eagerness, silence", [("low", 1200), ("medium", 800), ("high", 500), ("auto", 800)])
def test_semantic_vad_is_a_length_of_silence(eagerness: str, silence: int) -> None:
    one = talk(update(turn_detection={"type": "semantic_vad", "eagerness": eagerness}), append())
    assert wishes(one).pace.end_silence == samples(silence)
    shown = one.told[-1]["session"]["audio"]["input"]["turn_detection"]
    assert shown == {"type": "semantic_vad", "eagerness": eagerness}
    (back,) = one.say(update(turn_detection={"type": "server_vad"}))
    assert back["session"]["audio"]["input"]["turn_detection"] == VAD


@pytest.mark.parametrize(
    "asked, language",
    [
        ({}, "auto"),
        ({"language": "zh-CN"}, "zh"),
        ({"language": "English"}, "en"),
        ({"language": ""}, "auto"),
        ({"languages": ["yue"]}, "yue"),
        ({"languages": ["zh", "en"]}, "auto"),
        ({"languages": ["fr"]}, "auto"),
        ({"language": "ja", "languages": ["zh"]}, "ja"),
    ],
)
def test_languages(asked: dict[str, Any], language: str) -> None:
    assert wishes(talk(update(transcription=asked), append())).language == language


@pytest.mark.parametrize(
    "model, id, second_pass",
    [
        ("whisper-1", None, True),
        ("gpt-realtime-whisper", None, True),
        ("paraformer-sensevoice", None, True),
        ("paraformer-streaming", None, False),
        ("sensevoice-small", "sensevoice", True),
        ("qwen3-asr-1.7b", "qwen3-asr-1.7b", True),
    ],
)
def test_models(model: str, id: str | None, second_pass: bool) -> None:
    asked = wishes(talk(update(transcription={"model": model}), append()))
    assert (asked.model, asked.second_pass) == (id, second_pass)


def test_a_model_that_is_not_here_changes_nothing() -> None:
    one = talk()
    one.refuses = XingjiError("unknown_model")
    fails(one.say(update(transcription={"model": "x"})), "model_not_found", "session.audio.input.transcription.model")
    (told,) = one.say(update())
    assert told["session"]["audio"]["input"]["transcription"] is None


def test_nor_does_it_while_audio_is_under_way() -> None:
    one = talk(append())
    one.refuses = XingjiError("unknown_model")
    fails(one.say(update(transcription={"model": "x"})), "model_not_found", "session.audio.input.transcription.model")
    assert Configure not in one.kinds and Stop not in one.kinds


def test_keywords_and_what_a_prompt_names_are_hotwords() -> None:
    asked = {"keywords": ["林滔", "备份演练", " "], "prompt": "词汇：星声记、林滔 章薇。请写得流畅自然一些，谢谢。API"}
    words = [word.text for word in wishes(talk(update(transcription=asked), append())).hotwords]
    assert words == ["林滔", "备份演练", "词汇", "星声记", "章薇", "谢谢", "API"]
    assert terms("expect words related to technology") == []
    assert terms("Glossary: Kubernetes, gRPC; Qwen3 ASR. The end of it all.") == [
        "Glossary",
        "Kubernetes",
        "gRPC",
        "Qwen3 ASR",
    ]
    assert terms("\x00\x01，好") == []


def test_what_changes_while_audio_is_under_way() -> None:
    one = talk(append(), update(transcription={"language": "en"}))
    assert [command.wishes.language for command in one.done if isinstance(command, Configure)] == ["en"]
    one.happens(SpeechStarted(0, 0))
    one.say(MANUAL)
    assert one.kinds[-2:] == [Stop, Say], "the sentence is closed"
    assert kinds(one.happens(*spoken(0, "好。", 0, 100)[1:], completed(100, "好。")))[-1] == "completed"
    one.say(append())
    fails(one.say(update(format={"type": "audio/pcmu"})), "invalid_value", "session")
    assert kinds(one.say(COMMIT, update(format={"type": "audio/pcmu"})))[-1] == "updated"


# -- what should not be sent --------------------------------------------------------------------------


AT_INPUT = "session.audio.input."
TURN = AT_INPUT + "turn_detection"


@pytest.mark.parametrize(
    "message, code, param",
    [
        (act("dance"), "unknown_event", "type"),
        ({"event_id": "event_x"}, "unknown_event", "type"),
        (act("response.create"), "session_type_unsupported", "type"),
        (act("response.cancel"), "unsupported_event", "type"),
        (act("conversation.item.delete"), "unsupported_event", "type"),
        (act("conversation.item.retrieve"), "unsupported_event", "type"),
        (act("session.update"), "invalid_value", "session"),
        (act("session.update", session={"type": "realtime"}), "session_type_unsupported", "session.type"),
        (act("session.update", session={"audio": 3}), "invalid_value", "session.audio"),
        (act("session.update", session={"audio": []}), "invalid_value", "session.audio"),
        (act("session.update", session={"audio": {"input": 3}}), "invalid_value", "session.audio.input"),
        (act("session.update", session={"include": [3], "type": "transcription"}), "invalid_value", "session.include"),
        (act("input_audio_buffer.append"), "invalid_audio", "audio"),
        (act("input_audio_buffer.append", audio="?"), "invalid_audio", "audio"),
        (act("input_audio_buffer.append", audio="好"), "invalid_audio", "audio"),
        (act("input_audio_buffer.append", audio="A" * (LARGEST + 4)), "invalid_audio", "audio"),
        (update(format="pcm16"), "invalid_value", AT_INPUT + "format"),
        (update(format={"type": "audio/opus"}), "invalid_value", AT_INPUT + "format.type"),
        (update(format={"rate": 48000}), "invalid_value", AT_INPUT + "format.rate"),
        (update(format={"rate": True}), "invalid_value", AT_INPUT + "format.rate"),
        (update(format={"rate": [24000]}), "invalid_value", AT_INPUT + "format.rate"),
        (update(transcription=3), "invalid_value", AT_INPUT + "transcription"),
        (update(transcription={"language": "tlh"}), "invalid_value", AT_INPUT + "transcription.language"),
        (update(transcription={"language": 3}), "invalid_value", AT_INPUT + "transcription.language"),
        (update(transcription={"model": {}}), "invalid_value", AT_INPUT + "transcription.model"),
        (update(transcription={"llm": "yes"}), "invalid_value", AT_INPUT + "transcription.llm"),
        (update(transcription={"keywords": "甲"}), "invalid_value", AT_INPUT + "transcription.keywords"),
        (update(transcription={"keywords": ["甲" * 65]}), "invalid_value", AT_INPUT + "transcription.keywords"),
        (update(turn_detection="server_vad"), "invalid_value", TURN),
        (update(turn_detection={"type": "none"}), "invalid_value", TURN + ".type"),
        (update(turn_detection={"type": []}), "invalid_value", TURN + ".type"),
        (update(turn_detection={"threshold": 2}), "invalid_value", TURN + ".threshold"),
        (update(turn_detection={"silence_duration_ms": 1}), "invalid_value", TURN + ".silence_duration_ms"),
        (update(turn_detection={"prefix_padding_ms": "1"}), "invalid_value", TURN + ".prefix_padding_ms"),
        (update(turn_detection={"type": "semantic_vad", "eagerness": 1}), "invalid_value", TURN + ".eagerness"),
        (update(noise_reduction={"type": "loud"}), "invalid_value", AT_INPUT + "noise_reduction.type"),
        (beta_update(input_audio_format="pcm24"), "invalid_value", "session.input_audio_format"),
        (beta_update(input_audio_format=None), "invalid_value", "session.input_audio_format"),
        (beta_update(turn_detection={"threshold": -1}), "invalid_value", "session.turn_detection.threshold"),
    ],
)  # fmt: skip
def test_mistakes_end_nothing(message: dict[str, Any], code: str, param: str) -> None:
    one = talk()
    told = one.say(message)
    fails(told, code, param)
    assert told[0]["error"]["event_id"] == ("event_x" if "event_id" in message else None)
    (now,) = one.say(update())
    assert now["session"] == one.told[0]["session"], "nothing has changed"
    one.say(append())
    assert one.audio == AUDIO


def test_what_is_no_event() -> None:
    one = talk()
    for text in ("{", "[]", "3", '{"type": "session.update"', "\ud800"):
        fails(one.say(text), "invalid_json")
    fails(one.say(AUDIO), "invalid_message")
    fails(one.say(b""), "invalid_message")


def test_a_full_server() -> None:
    one = talk()
    one.refuses = XingjiError("busy")
    (told,) = one.say(append())
    assert (told["error"]["type"], told["error"]["code"]) == ("server_error", "rate_limit_exceeded")
    assert one.say(append()) == [] and one.audio == AUDIO, "what is said later finds room"
    one = talk(MANUAL)
    one.refuses = XingjiError("busy")
    one.say(append(), append())
    assert one.audio == b"", "half of what the client means to commit is worth nothing"
    fails(one.say(COMMIT), "input_audio_buffer_commit_empty")
    one.say(append())
    assert one.audio == AUDIO
    assert Realtime.patience_s > 0, "the runtime tries for a while before that"


def test_defects() -> None:
    one = talk(append())
    error, close = one.fails()
    assert (error["error"]["type"], error["error"]["code"]) == ("server_error", "server_error")
    assert close == Close(1011, "server_error")
    one = talk(MANUAL, append(), COMMIT)
    assert kinds(one.happens(completed(9, "", lost=((Stage.SECOND_PASS, "crashed"),)))) == ["failed"]


# -- the hour is over ---------------------------------------------------------------------------------------


def test_a_session_lasts_an_hour() -> None:
    one = talk()
    assert one.tick(7.0) == [] and one.tick(7.0 + SESSION_S - 1) == []
    told = one.tick(7.0 + SESSION_S)
    assert kinds(told) == ["error", "close 1000"] and told[0]["error"]["code"] == "session_expired"
    assert one.tick(8.0 + SESSION_S) == [] and one.say(append()) == []


def test_what_was_said_before_the_end_is_told_before_it() -> None:
    one = talk(append())
    one.tick(0)
    one.happens(SpeechStarted(0, 0))
    assert one.tick(SESSION_S) == [] and one.kinds[-1] is Stop
    assert one.say(append(), COMMIT) == []
    told = one.happens(*spoken(0, "好。", 0, 100)[1:], completed(100, "好。"))
    assert kinds(told)[-3:] == ["completed", "error", "close 1000"]


# -- errors of ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", list(CODES))
def test_every_error_of_ours_has_words(code: str) -> None:
    said = talk(append()).dialect.error(XingjiError(code), None)
    for frame in said:
        assert isinstance(frame, Close) or json.loads(str(frame))["type"] == "error"
    assert isinstance(said[-1], Close) if code in ("internal", "connection_timeout") else True
    status, body = refused(XingjiError(code, field="f"))
    assert 400 <= status < 600 and set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    if CODES[code].fault == "client":
        assert status < 500, "their clients try again what seems to be our fault"


def test_a_wrong_key_is_told_as_they_know_it() -> None:
    status, body = refused(XingjiError("unauthorized"))
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")


NAMES = [
    "type", "audio", "input", "format", "rate", "transcription", "turn_detection", "language", "keywords", "model",
    "eagerness", "threshold", "silence_duration_ms", "input_audio_format", "include", "noise_reduction", "prompt",
]  # fmt: skip
VALUES = ["session.update", "transcription_session.update", "input_audio_buffer.append", "input_audio_buffer.commit",
          "input_audio_buffer.clear", "server_vad", "semantic_vad", "audio/pcm", "AAAA", "zh"]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*VALUES, ["zh"], [0]]),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(["type", "session", "audio", "event_id"]), JSON), max_size=3))
def test_nothing_breaks_it(bodies: list[dict[str, Any]]) -> None:
    one = talk()
    one.say(*bodies)
    assert kinds(one.say(CLEAR, update()))[-1] == "updated"


@given(JSON, st.booleans())
def test_no_update_breaks_it(session: Any, beta: bool) -> None:
    one = talk()
    (told,) = one.say(act("transcription_session.update" if beta else "session.update", session=session))
    assert kinds([told])[0] in ("updated", "error")
