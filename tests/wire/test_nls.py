"""Alibaba's NLS in both directions, without a model. Frames as its own Python client sends them."""

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
from xingji.core.types import AudioFormat, Hotword, Span, Stage
from xingji.wire import Frame, Open, samples
from xingji.wire.dialect import Cancel, Configure, Handshake, Say, Stop
from xingji.wire.nls import LATE, Nls
from xingji.wire.nls_write import refused

ID, NEXT = "e71c51d442344ec0998cf73e61c57db3", "00000000000000000000000000000002"
AUDIO = bytes(640)
TRANSCRIBER, RECOGNIZER = "SpeechTranscriber", "SpeechRecognizer"
FIRST = spoken(0, "今天天气不错。", 100, 1200, "今天", "今天天气，")
SECOND = spoken(1, "去公园吧。", 1500, 2100)
DONE = completed(2200, "今天天气不错。", "去公园吧。")
ALL = {
    "enable_intermediate_result": True,
    "enable_punctuation_prediction": True,
    "enable_inverse_text_normalization": True,
}


def direct(name: str, payload: Any = None, id: Any = ID, namespace: str = TRANSCRIBER) -> dict[str, Any]:
    """As the client of 2023 sends it; without a payload where there is none."""
    header = {
        "message_id": "19585709d1924920a2a3b7fd7c086f6f", "task_id": id, "namespace": namespace, "name": name,
        "appkey": "any-app",
    }  # fmt: skip
    sdk = {"name": "nls-python-sdk", "version": "0.0.1", "language": "python"}
    return {"header": header, **({} if payload is None else {"payload": payload}), "context": {"sdk": sdk}}


def start(id: str = ID, **parameters: Any) -> dict[str, Any]:
    return direct("StartTranscription", {"format": "pcm", "sample_rate": 16000, **parameters}, id)


def recognize(**parameters: Any) -> dict[str, Any]:
    return direct("StartRecognition", {"format": "pcm", "sample_rate": 16000, **parameters}, namespace=RECOGNIZER)


STOP = direct("StopTranscription")
STOP_RECOGNIZER = direct("StopRecognition", namespace=RECOGNIZER)


def said(name: str, payload: Any, id: str = ID, namespace: str = TRANSCRIBER) -> dict[str, Any]:
    text = "Gateway:SUCCESS:Success."
    header = {
        "namespace": namespace, "name": name, "status": 20000000, "task_id": id, "status_text": text,
        "status_message": text,
    }  # fmt: skip
    return {"header": header, "payload": payload}


def bare(told: list[Any]) -> list[Any]:
    """Without the ids of messages, all of which are new."""
    ids = [message["header"].pop("message_id") for message in told if isinstance(message, dict)]
    assert all(len(id) == 32 for id in ids) and len(set(ids)) == len(ids)
    return told


def talk(*messages: str | bytes | dict[str, Any]) -> Conversation:
    one = Conversation(Nls(Handshake("/ws/v1")))
    one.say(*messages)
    return one


def fails(told: list[Any], status: int, name: str, id: str = ID, namespace: str = TRANSCRIBER) -> str:
    """One TaskFailed and the close, nothing else; its text."""
    failed, end = told
    header = failed["header"]
    assert (header["name"], header["status"], header["task_id"], header["namespace"]) == (
        "TaskFailed", status, id, namespace,
    )  # fmt: skip
    assert header["status_text"] == header["status_message"] and failed["payload"] == {}
    gateway, code, text = header["status_text"].split(":", 2)
    assert (gateway, code) == ("Gateway", name) and text
    assert isinstance(end, Close)
    return str(text)


def opened(one: Conversation) -> Open:
    return [command for command in one.done if isinstance(command, Open)][-1]


def names(told: list[Any]) -> list[str]:
    return [message["header"]["name"] for message in told if isinstance(message, dict)]


# -- the transcriber -------------------------------------------------------------------------------


def test_a_task_from_start_to_stop() -> None:
    one = talk()
    assert bare(one.say(start(**ALL))) == [said("TranscriptionStarted", {"session_id": ID})]
    assert opened(one).format == AudioFormat("pcm", 16_000)
    assert one.say(AUDIO, b"", AUDIO[:1]) == [] and one.audio == AUDIO + AUDIO[:1]
    unsure: dict[str, Any] = {"confidence": None, "words": []}
    assert bare(one.happens(*FIRST)) == [
        said("SentenceBegin", {"index": 1, "time": 100}),
        said("TranscriptionResultChanged", {"index": 1, "time": 100, "result": "今天", **unsure}),
        said("TranscriptionResultChanged", {"index": 1, "time": 100, "result": "今天天气，", **unsure}),
        said("SentenceEnd", {"index": 1, "time": 1200, "begin_time": 100, "result": "今天天气不错。", **unsure}),
    ]
    assert one.say(STOP) == [] and one.kinds == [Open, Stop]
    assert bare(one.happens(*SECOND, DONE)) == [
        said("SentenceBegin", {"index": 2, "time": 1500}),
        said("SentenceEnd", {"index": 2, "time": 2100, "begin_time": 1500, "result": "去公园吧。", **unsure}),
        said("TranscriptionCompleted", {}),
    ]


def test_without_wishes_there_is_only_what_the_vendor_would_tell() -> None:
    one = talk(start())
    wishes = opened(one).wishes
    assert (wishes.punctuation, wishes.itn, wishes.remove_fillers, wishes.llm) == (False, False, False, False)
    assert (wishes.pace.end_silence, wishes.idle_s) == (samples(800), 10.0)
    assert names(one.happens(*FIRST)) == ["SentenceBegin", "SentenceEnd"]


def test_a_start_without_payload_has_the_defaults() -> None:
    one = talk(direct("StartTranscription"))
    assert opened(one).format == AudioFormat("pcm", 16_000)


def test_words_and_how_sure_they_are() -> None:
    one = talk(start(enable_words=True, enable_punctuation_prediction=True))
    last = sentence(0, Stage.SECOND_PASS, "走吧。", 0, 900, words=(word("走", 100, 300), word("吧", 300, 500)),
                    confidence=0.98765)  # fmt: skip
    end = one.happens(SpeechStarted(0, 0), SentenceRevised(last))[-1]["payload"]
    assert end["confidence"] == 0.988
    assert end["words"] == [
        {"text": "走", "startTime": 100, "endTime": 300},
        {"text": "吧", "startTime": 300, "endTime": 500},
    ]


def test_what_was_shown_and_was_no_speech_ends_empty() -> None:
    one = talk(start(enable_intermediate_result=True))
    assert one.happens(SpeechStarted(0, 0), SentenceDropped(0, Span(0, 9))) == []
    one.happens(SpeechStarted(1, 1600), SentenceRevised(sentence(1, Stage.PARTIAL, "啊", 100)))
    (gone,) = one.happens(SentenceDropped(1, Span(1600, 3200)))
    assert (gone["header"]["name"], gone["payload"]["index"], gone["payload"]["result"]) == ("SentenceEnd", 1, "")
    begin, _ = one.happens(*spoken(2, "好", 500, 900))
    assert begin["payload"] == {"index": 2, "time": 500}


def test_meaning_ends_sentences() -> None:
    one = talk(start(enable_semantic_sentence_detection=True))
    assert opened(one).wishes.punctuation and opened(one).wishes.pace.end_silence == samples(3000)
    told = one.happens(*spoken(0, "好的。走吧？", 0, 1000, "好的", words=(word("好", 0, 100), word("走", 400, 500))))
    assert names(told) == ["SentenceBegin", "SentenceEnd", "SentenceBegin", "SentenceEnd"]
    ends = [message["payload"] for message in told if message["header"]["name"] == "SentenceEnd"]
    assert [(e["index"], e["result"], e["begin_time"], e["time"]) for e in ends] == [
        (1, "好的", 0, 400),
        (2, "走吧", 400, 1000),
    ]


@given(
    st.lists(st.tuples(st.sampled_from(["", "好", "好。走。"]), st.booleans(), st.booleans()), max_size=5),
    st.booleans(),
)
def test_each_begin_has_its_end(scenes: list[tuple[str, bool, bool]], meaning: bool) -> None:
    one = talk(start(**ALL, enable_semantic_sentence_detection=meaning))
    told: list[Any] = []
    for number, (text, shown, dropped) in enumerate(scenes):
        events = spoken(number, text, number * 1000, number * 1000 + 900, *(["嗯"] if shown else []))
        if dropped:
            events = [*events[: 1 + shown], SentenceDropped(number, Span(0, 1))]
        told += one.happens(*events)
    kinds = [name for name in names(told) if name.startswith("Sentence")]
    assert kinds == ["SentenceBegin", "SentenceEnd"] * (len(kinds) // 2)
    indexes = [m["payload"]["index"] for m in told if m["header"]["name"] == "SentenceEnd"]
    assert indexes == list(range(1, len(indexes) + 1))


# -- the recogniser --------------------------------------------------------------------------------


def test_one_text_for_all_that_is_said() -> None:
    one = talk()
    assert bare(one.say(recognize(**ALL))) == [said("RecognitionStarted", {"session_id": ID}, namespace=RECOGNIZER)]
    assert opened(one).wishes.pace.end_silence == samples(1500)
    changed = [message["payload"] for message in one.happens(*FIRST)]
    assert changed == [{"result": "今天"}, {"result": "今天天气，"}]
    assert [m["payload"] for m in one.happens(*spoken(1, "去公园吧。", 1500, 2100, "去"))] == [
        {"result": "今天天气不错。去"}
    ]
    one.say(STOP_RECOGNIZER)
    assert bare(one.happens(DONE)) == [
        said("RecognitionCompleted", {"result": "今天天气不错。去公园吧。", "duration": 2200}, namespace=RECOGNIZER)
    ]


def test_nothing_said_is_an_empty_text() -> None:
    one = talk(recognize(), STOP_RECOGNIZER)
    assert one.happens(completed(0))[0]["payload"] == {"result": "", "duration": 0}


def test_voice_detection_ends_with_the_first_sentence() -> None:
    one = talk(recognize(enable_voice_detection=True, max_end_silence=500))
    assert opened(one).wishes.pace.end_silence == samples(500)
    one.happens(SpeechStarted(0, 0), SentenceDropped(0, Span(0, 9)))  # a door
    one.say(AUDIO)
    assert one.kinds == [Open]
    one.happens(*spoken(1, "开灯。", 100, 700))
    one.say(AUDIO)
    assert one.kinds == [Open, Stop] and one.audio == AUDIO
    assert one.happens(*spoken(2, "关灯。", 800, 900, "关"), completed(900, "开灯。", "关灯。"))[-1]["payload"] == {
        "result": "开灯。",
        "duration": 900,
    }
    assert one.say(STOP_RECOGNIZER, AUDIO) == []  # under way


def test_voice_detection_needs_no_more_audio() -> None:
    one = talk(recognize(enable_voice_detection=True))
    one.happens(*FIRST)
    one.tick(0.0)
    assert one.kinds == [Open, Stop]


def test_silence_at_first_may_be_limited() -> None:
    one = talk(recognize(enable_voice_detection=True, max_start_silence=2500))
    one.tick(10.0)
    one.tick(12.4)
    assert one.kinds == [Open]
    one.tick(12.5)
    assert one.kinds == [Open, Stop]
    fails(one.happens(completed(2500)), 41_010_105, "SILENT_SPEECH", namespace=RECOGNIZER)
    one = talk(recognize(enable_voice_detection=True, max_start_silence=2500))
    one.tick(10.0)
    one.happens(SpeechStarted(0, 0))
    one.tick(20.0)
    assert one.kinds == [Open]


# -- one task after another ------------------------------------------------------------------------


def test_the_connection_is_used_again_from_one() -> None:
    one = talk(start(), AUDIO, STOP)
    one.happens(*FIRST, DONE)
    assert one.say(AUDIO, STOP) == []  # late
    assert names(one.say(start(NEXT))) == ["TranscriptionStarted"]
    begin, end = one.happens(*spoken(0, "好", 0, 500))
    assert begin["header"]["task_id"] == NEXT and (begin["payload"]["index"], end["payload"]["index"]) == (1, 1)
    one.say(direct("StopTranscription", id=NEXT))
    assert names(one.happens(completed(500, "好"))) == ["TranscriptionCompleted"]
    assert one.say(direct("StartRecognition", {}, namespace=RECOGNIZER))[0]["header"]["name"] == "RecognitionStarted"
    assert one.audio == AUDIO


def test_endless_late_audio_is_a_mistake() -> None:
    one = talk(start(), STOP)
    one.happens(completed(0))
    assert one.say(bytes(LATE)) == []
    fails(one.say(AUDIO), 40_000_002, "MESSAGE_INVALID", "", "Default")


def test_audio_while_the_task_ends_is_for_nobody() -> None:
    one = talk(start(), STOP)
    assert one.say(AUDIO, STOP, direct("ControlTranscriber", {"enable_words": True})) == []
    assert one.kinds == [Open, Stop] and one.audio == b""


# -- parameters ------------------------------------------------------------------------------------


def test_parameters_become_wishes() -> None:
    one = talk(
        start(
            format="opu", sample_rate=8000, max_sentence_silence=400, vocabulary_id="names", disfluency="true",
            enable_inverse_text_normalization=1, customization_id="x", speech_noise_threshold=-0.5, anything=[1],
            enable_words=None,
        )
    )  # fmt: skip
    wishes = opened(one).wishes
    assert opened(one).format == AudioFormat("opus", 8000)
    assert (wishes.hotword_table, wishes.pace.end_silence, wishes.itn) == ("names", samples(400), True)
    assert wishes.remove_fillers and not wishes.punctuation


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("PCM", "pcm"),
        ("wav", "pcm"),
        ("opu", "opus"),
        *((name, name) for name in ("opus", "speex", "amr", "mp3", "aac")),
    ],
)
def test_formats(name: str, codec: str) -> None:
    assert opened(talk(start(format=name))).format.codec == codec


def test_hotwords_in_the_request() -> None:
    wishes = opened(talk(start(vocabulary_id="林滔 20 语音 200"))).wishes
    assert wishes.hotword_table is None and wishes.hotwords == (Hotword("林滔", 20), Hotword("语音", 100))


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "midi"},
        {"format": 3},
        {"max_sentence_silence": 199},
        {"max_sentence_silence": 6001},
        {"max_sentence_silence": "800"},
        {"max_sentence_silence": True},
        {"max_end_silence": 100},
        {"enable_words": "maybe"},
        {"enable_words": [True]},
        {"disfluency": 2},
        {"speech_noise_threshold": 1.5},
        {"speech_noise_threshold": "0"},
        {"vocabulary_id": "../x"},
        {"vocabulary_id": 7},
    ],
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    one = talk()
    assert next(iter(wrong)) in fails(one.say(start(**wrong)), 40_000_003, "PARAMETER_INVALID", namespace="Default")
    assert Open not in one.kinds
    assert one.say(start(NEXT), AUDIO) == []  # nothing can follow


@pytest.mark.parametrize("rate", [7999, 48001, "16000", None, 1e4])
def test_sample_rates_have_a_status_of_their_own(rate: Any) -> None:
    told = talk().say(start(sample_rate=rate))
    if rate is None:
        assert names(told) == ["TranscriptionStarted"]
    else:
        fails(told, 41_010_101, "UNSUPPORTED_SAMPLE_RATE", namespace="Default")


def test_control_changes_what_follows() -> None:
    one = talk(start(max_sentence_silence=500))
    one.happens(*FIRST)
    control = direct("ControlTranscriber", ALL | {"enable_words": True, "sample_rate": 8000, "vocabulary_id": "names"})
    assert one.say(control) == []
    configure = one.done[-1]
    assert isinstance(configure, Configure)
    wishes = configure.wishes
    assert (wishes.punctuation, wishes.itn, wishes.hotword_table) == (True, True, "names")
    assert wishes.pace.end_silence == samples(500)
    told = one.happens(*spoken(1, "好。", 1500, 1900, "好", words=(word("好", 1500, 1800),)))
    assert names(told) == ["SentenceBegin", "TranscriptionResultChanged", "SentenceEnd"]
    assert told[-1]["payload"]["words"]


def test_a_wrong_control_fails_the_task() -> None:
    one = talk(start())
    fails(one.say(direct("ControlTranscriber", {"max_sentence_silence": 1})), 40_000_003, "PARAMETER_INVALID")
    assert one.kinds == [Open, Say, Cancel]


# -- wrong order, broken messages ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "id"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"header": 3}', ""),
        (AUDIO, ""),
        (STOP, ID),
        (direct("ControlTranscriber", {}), ID),
        (direct("StartTranscription", namespace=RECOGNIZER), ID),
        (direct("StartSynthesis", namespace="SpeechSynthesizer"), ID),
        (direct("Dance"), ID),
        (start("x" * 65), ""),
        (direct("StartTranscription", id=None), ""),
        (direct("StartTranscription", id=["a"]), ""),
        (direct("StartTranscription", payload=[1]), ID),
        ({"header": direct("Dance")["header"] | {"name": ["a"], "namespace": {}}}, ID),
    ],
)
def test_messages_that_make_no_sense(message: str | bytes | dict[str, Any], id: str) -> None:
    fails(talk().say(message), 40_000_002, "MESSAGE_INVALID", id, "Default")


@pytest.mark.parametrize(
    "message",
    ["{", start(NEXT), start(), direct("StopTranscription", id=NEXT), STOP_RECOGNIZER, direct("Dance", id=NEXT)],
)
def test_a_mistake_ends_the_task_that_runs(message: str | dict[str, Any]) -> None:
    one = talk(start(), AUDIO)
    fails(one.say(message), 40_000_002, "MESSAGE_INVALID")
    assert one.kinds == [Open, Say, Cancel]
    assert one.happens(*FIRST, DONE) == [] and one.say(AUDIO, STOP) == []


def test_a_second_start_while_the_first_task_ends() -> None:
    one = talk(start(), STOP)
    fails(one.say(start(NEXT)), 40_000_002, "MESSAGE_INVALID")
    assert one.happens(DONE) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([ID, TRANSCRIBER, "StartTranscription"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(start()["header"])), inner),
)


@given(st.text() | st.binary(max_size=9) | st.fixed_dictionaries({"header": values, "payload": values}).map(json.dumps))
def test_no_message_breaks_it(message: str | bytes) -> None:
    one = talk(start())
    one.say(message)
    assert all(isinstance(told, dict | Close) for told in one.told)


# -- limits and failures ---------------------------------------------------------------------------


def test_without_audio_the_task_ends_with_what_was_said() -> None:
    one = talk(start())
    assert one.stops("idle") == []
    told = one.happens(*FIRST, completed(1300, "今天天气不错。"))
    assert names(told[:2]) == ["SentenceBegin", "SentenceEnd"]
    text = fails(told[2:], 40_000_004, "IDLE_TIMEOUT")
    assert text == "Websocket session is idle for too long time" and told[-1] == Close(1000)


@pytest.mark.parametrize(
    ("reason", "status", "name", "close"),
    [("max_duration", 40_000_000, "CLIENT_ERROR", 1000), ("server_shutdown", 50_300_018, "SERVICE_UNAVAILABLE", 1001)],
)
def test_other_limits(reason: str, status: int, name: str, close: int) -> None:
    one = talk(start())
    one.stops(reason)
    told = one.happens(DONE)
    fails(told, status, name)
    assert told[-1] == Close(close)
    assert one.say(start(NEXT)) == []


def test_an_idle_connection_is_closed() -> None:
    one = talk()
    assert one.dialect.timeout_s == 10.0
    timeout = XingjiError("connection_timeout")
    frames = one.dialect.error(timeout, None)
    fails([json.loads(str(frames[0])), frames[1]], 40_000_004, "IDLE_TIMEOUT", "", "Default")
    assert one.dialect.error(timeout, None) == (Close(1000, "connection_timeout"),)
    one = talk(start(), STOP)
    one.happens(completed(0))
    assert one.dialect.error(timeout, None) == (Close(1000, "connection_timeout"),)


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (XingjiError("busy"), 40_000_005, "TOO_MANY_REQUESTS"),
        (XingjiError("not_ready"), 50_300_018, "SERVICE_UNAVAILABLE"),
        (XingjiError("internal"), 50_000_000, "SERVER_ERROR"),
        (XingjiError("bad_config", field="hotword_table"), 40_000_003, "PARAMETER_INVALID"),
    ],
)
def test_what_the_server_refuses(error: XingjiError, status: int, name: str) -> None:
    one = talk()
    one.refuses = error
    text = fails(one.say(start()), status, name)
    assert error.field is None or "vocabulary_id" in text
    one = talk(start(), STOP)
    one.happens(completed(0))
    one.refuses = error  # of a second task
    fails(one.say(start(NEXT)), status, name, NEXT)


def test_audio_that_cannot_be_decoded_fails_after_what_was_understood() -> None:
    one = talk(start(format="mp3"))
    assert one.dialect.error(XingjiError("decode_failed"), "rec_0") == ()
    one.stops("undecodable")
    told = one.happens(*FIRST, completed(900, "今天天气不错。"))
    assert names(told[:2]) == ["SentenceBegin", "SentenceEnd"]
    fails(told[2:], 40_000_002, "MESSAGE_INVALID")


def test_a_recording_without_any_reading_fails() -> None:
    one = talk(start(), STOP)
    fails(one.happens(completed(900, "", lost=((Stage.SECOND_PASS, "crashed"),))), 50_000_000, "SERVER_ERROR")
    one = talk(start())
    fails(one.fails(), 50_000_000, "SERVER_ERROR")


def test_a_client_that_waits_is_not_kept_for_ten_seconds() -> None:
    one = talk(start(**ALL), AUDIO)
    one.happens(*FIRST, SpeechStarted(1, 0), SentenceRevised(sentence(1, Stage.PARTIAL, "去公", 1500)))
    one.tick(0.0)
    one.say(STOP)
    for second in range(1, 8):
        assert one.tick(second) == []
    told = one.tick(8.0)
    assert (told[0]["header"]["name"], told[0]["payload"]["result"]) == ("SentenceEnd", "去公")
    fails(told[1:], 50_000_001, "BACKEND_ERROR")
    assert one.happens(*SECOND[2:], DONE) == []


@pytest.mark.parametrize("code", sorted(CODES))
def test_no_error_breaks_it(code: str) -> None:
    for messages in ((), (start(),), (start(), STOP)):
        frames = talk(*messages).dialect.error(XingjiError(code), None)
        assert all(isinstance(frame, Close) or json.loads(str(frame))["header"]["status"] for frame in frames)


def test_a_refused_handshake_looks_like_the_rest() -> None:
    status, body = refused(XingjiError("unauthorized"))
    told = json.loads(body)
    assert (status, told["status"], told["result"]) == (403, 40_000_001, "")
    assert told["message"].startswith("Gateway:ACCESS_DENIED:")


def test_frames_go_through_unchanged() -> None:
    one = talk(start(), b"\1\2\3")
    assert [command for command in one.done if isinstance(command, Frame)] == [Frame(b"\1\2\3")]
