"""OpenAI's REST interface in both directions, without a server: forms as its clients send them, bodies as they expect
them."""

import json
from typing import Any

import pytest

from tests.wire.conversation import SentenceDropped, SpeechStarted, completed, sentence, spoken, word
from xingji.core.errors import CODES, XingjiError
from xingji.core.messages import SentenceSettled
from xingji.core.types import Hotword, Span, Stage
from xingji.wire import Pace, Wishes, samples
from xingji.wire.openai_read import Asked, Failure, model_id, read_form
from xingji.wire.openai_write import CREATED, NAMES, Stream, answer, failed, model, refused

PACE = Pace(samples(800))


def read(**fields: Any) -> Asked:
    sent = {"model": "whisper-1"} | fields
    return read_form({name: [value] if isinstance(value, str) else value for name, value in sent.items()}, PACE)


def words(asked: Asked) -> dict[str, int]:
    return {hotword.text: hotword.weight for hotword in asked.wishes.hotwords}


# -- forms ----------------------------------------------------------------------------------------


def test_a_form_with_nothing_but_a_model() -> None:
    assert read() == Asked(Wishes(stream=False, llm=False, pace=PACE), "json", stream=False, words=False, segments=True)


def test_a_form_as_the_python_client_sends_it() -> None:
    asked = read(
        model="sensevoice",
        language="zh",
        prompt="星声记",
        temperature="0",
        hotwords="通义 20",
        response_format="verbose_json",
        **{"timestamp_granularities[]": ["word", "segment"], "keywords[]": ["林滔", "章薇"], "include[]": ["logprobs"]},
        chunking_strategy="auto",
        unknown="field",
    )
    assert (asked.format, asked.stream, asked.words, asked.segments) == ("verbose_json", False, True, True)
    assert (asked.wishes.model, asked.wishes.language) == ("sensevoice", "zh")
    assert words(asked) == {"林滔": 50, "章薇": 50, "通义": 20, "星声记": 50}


@pytest.mark.parametrize("name", ["keywords", "keywords[]"])
@pytest.mark.parametrize("sent", [["林滔", "章薇"], ["林滔,章薇"], ["林滔， 章薇"]])
def test_lists_in_all_their_ways(name: str, sent: list[str]) -> None:
    assert words(read(**{name: sent})) == {"林滔": 50, "章薇": 50}


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("林滔,章薇", {"林滔": 50, "章薇": 50}),
        ("林滔 80 章薇 20", {"林滔": 80, "章薇": 20}),
        ("林滔 80\n机器 学习", {"林滔": 80, "机器 学习": 50}),
        ('["林滔", {"text": "章薇", "weight": 3}]', {"林滔": 50, "章薇": 3}),
        ('{"林滔": 80, "章薇": 20}', {"林滔": 80, "章薇": 20}),
        ('{"hotwords": ["林滔"]}', {"林滔": 50}),
        (" ", {}),
    ],
)
def test_hotwords_in_all_their_ways(sent: str, meant: dict[str, int]) -> None:
    assert words(read(hotwords=sent)) == meant


def test_what_is_named_twice_is_one_hotword() -> None:
    asked = read(keywords=["林滔"], hotwords="林滔 90", prompt="林滔，林滔")
    assert asked.wishes.hotwords == (Hotword("林滔", 90),)


def test_terms_of_a_prompt_are_hotwords() -> None:
    prompt = "术语：DashScope、星声记；Qwen3-ASR。这是一句没有停顿的很长的话不是词。" + "x" * 70
    assert list(words(read(prompt=prompt))) == ["术语", "DashScope", "星声记", "Qwen3-ASR"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("zh", "zh"), ("zh-CN", "zh"), ("zh_Hans", "zh"), ("Chinese", "zh"), ("mandarin", "zh"), ("cmn", "zh"),
        ("EN-us", "en"), ("english", "en"), ("yue", "yue"), ("Cantonese", "yue"), ("ja", "ja"), ("korean", "ko"),
        ("auto", "auto"), ("", "auto"),
    ],
)  # fmt: skip
def test_languages(sent: str, code: str) -> None:
    assert read(language=sent).wishes.language == code


def test_of_several_languages_none_is_sure() -> None:
    assert read(**{"languages[]": ["zh"]}).wishes.language == "zh"
    assert read(**{"languages[]": ["zh", "zh-CN"]}).wishes.language == "zh"
    assert read(**{"languages[]": ["zh", "en"]}).wishes.language == "auto"
    assert read(language="en", languages=["zh"]).wishes.language == "en"


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("whisper-1", None), ("gpt-4o-transcribe", None), ("gpt-4o-mini-transcribe", None), ("gpt-transcribe", None),
        ("gpt-4o-mini-transcribe-2025-12-15", None), ("gpt-4o-transcribe-diarize", None),
        ("paraformer-sensevoice", None), ("sensevoice-small", "sensevoice"), ("sensevoice", "sensevoice"),
        ("Qwen/Qwen2-Audio-7B-Instruct", "Qwen/Qwen2-Audio-7B-Instruct"), ("gpt-4", "gpt-4"),
        ("gpt-4o-transcribe-x", "gpt-4o-transcribe-x"),
    ],
)  # fmt: skip
def test_names_of_models(name: str, id: str | None) -> None:
    assert model_id(name) == id == read(model=name).wishes.model


def test_the_streaming_recogniser_alone() -> None:
    wishes = read(model="paraformer-streaming").wishes
    assert wishes.stream and not wishes.second_pass


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_streams(value: str) -> None:
    assert read(stream=value).stream and not read(stream="false").stream
    assert read(stream=value, response_format="diarized_json").format == "diarized_json"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": []}, "model"),
        ({"response_format": "xml"}, "response_format"),
        ({"response_format": "srt", "stream": "true"}, "response_format"),
        ({"response_format": "verbose_json", "stream": "true"}, "response_format"),
        ({"stream": "maybe"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "1.1"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"language": "fr"}, "language"),
        ({"language": "klingon"}, "language"),
        ({"languages[]": ["zh", "xx"]}, "languages"),
        ({"timestamp_granularities[]": ["word"]}, "timestamp_granularities"),
        ({"timestamp_granularities": ["char"], "response_format": "verbose_json"}, "timestamp_granularities"),
        ({"keywords[]": ["字" * 65]}, "keywords"),
        ({"hotwords": "[1]"}, "hotwords"),
        ({"hotwords": "{"}, "hotwords"),
        ({"hotwords": "[" * 100_000}, "hotwords"),
        ({"hotwords": '{"林滔": "x"}'}, "hotwords"),
        ({"hotwords": '{"hotwords": 3}'}, "hotwords"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Failure) as wrong:
        read(**fields)
    status, body = refused(wrong.value)
    assert (status, body["error"]["type"], body["error"]["param"]) == (400, "invalid_request_error", param)
    assert body["error"]["code"] == ("missing_required_parameter" if param == "model" else "invalid_value")
    assert body["error"]["message"]


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "param"),
    [
        ("unauthorized", 401, "invalid_request_error", "invalid_api_key", None),
        ("unknown_model", 404, "invalid_request_error", "model_not_found", "model"),
        ("empty_file", 400, "invalid_request_error", "invalid_audio", "file"),
        ("unsupported_format", 400, "invalid_request_error", "invalid_audio", "file"),
        ("decode_failed", 400, "invalid_request_error", "invalid_audio", "file"),
        ("too_large", 413, "invalid_request_error", "file_too_large", "file"),
        ("not_supported", 400, "invalid_request_error", "unsupported_operation", None),
        ("busy", 429, "requests", "rate_limit_exceeded", None),
        ("internal", 500, "server_error", "server_error", None),
    ],
)
def test_our_errors_in_their_words(error: str, status: int, kind: str, code: str, param: str | None) -> None:
    told, body = refused(XingjiError(error))
    said = body["error"]
    assert (told, said["type"], said["code"], said["param"]) == (status, kind, code, param) and said["message"]


@pytest.mark.parametrize("code", CODES)
def test_no_fault_of_a_client_looks_like_ours(code: str) -> None:
    status, _ = refused(XingjiError(code))
    assert status < 500 or CODES[code].fault != "client"


# -- transcripts ----------------------------------------------------------------------------------

TODAY = sentence(
    0, Stage.SECOND_PASS, "今天天气不错。去吗？", 100, 2100, language="zh", confidence=0.5,
    words=(
        word("今天", 100, 300), word("天气", 300, 500), word("不错", 500, 700),
        word("去", 900, 1000), word("吗", 1000, 1400),
    ),
)  # fmt: skip
ENGLISH = [
    sentence(n, Stage.SECOND_PASS, t, 2200 + n, 3000, language="en") for n, t in ((1, "It's a test."), (2, "OK"))
]
NOTHING = sentence(3, Stage.SECOND_PASS, "", 4000, 4100)


def told(format: str = "json", granularities: tuple[str, ...] = (), *sentences: Any) -> Any:
    asked = read(response_format=format, timestamp_granularities=list(granularities))
    done = completed(3000)
    return answer(type(done)(sentences, (), (), samples(4200)), asked)


def test_json_and_text() -> None:
    text = "今天天气不错。去吗？It's a test. OK"
    assert told("json", (), TODAY, *ENGLISH, NOTHING) == {"text": text, "usage": {"type": "duration", "seconds": 5}}
    assert told("text", (), TODAY, *ENGLISH) == text + "\n"
    assert told("text") == "\n" and told("json")["text"] == ""


def test_subtitles() -> None:
    assert told("srt", (), TODAY).startswith("1\n00:00:00,100 --> 00:00:")
    assert told("vtt", (), TODAY).startswith("WEBVTT\n\n00:00:00.100 --> 00:00:")


def test_verbose_json() -> None:
    body = told("verbose_json", ("segment", "word"), TODAY, *ENGLISH, NOTHING)
    assert list(body) == ["task", "language", "duration", "text", "segments", "words", "usage"]
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 4.2)
    segments = body["segments"]
    assert [s["id"] for s in segments] == [0, 1, 2, 3]
    assert "".join(s["text"] for s in segments) == body["text"]
    assert [(s["start"], s["end"]) for s in segments[:2]] == [(0.1, 0.7), (0.9, 2.1)]
    keys = "id seek start end text tokens temperature avg_logprob compression_ratio no_speech_prob"
    assert all(" ".join(segment) == keys for segment in segments)
    assert (segments[0]["avg_logprob"], segments[2]["avg_logprob"], segments[2]["seek"]) == (-0.693, 0.0, 220)
    assert body["words"][0] == {"word": "今天", "start": 0.1, "end": 0.3} and len(body["words"]) == 5


def test_what_was_not_asked_for_is_left_out() -> None:
    assert "words" not in told("verbose_json", (), TODAY) and "segments" in told("verbose_json", (), TODAY)
    assert "segments" not in told("verbose_json", ("word",), TODAY)


def test_the_language_of_silence_is_what_was_asked_for() -> None:
    assert told("verbose_json")["language"] == "unknown"
    done = completed(1000)
    assert answer(done, read(response_format="verbose_json", language="ja"))["language"] == NAMES["ja"]  # type: ignore[index]


def test_diarized_json() -> None:
    body = told("diarized_json", (), TODAY, *ENGLISH)
    assert list(body) == ["task", "duration", "text", "segments", "usage"]
    assert body["segments"][1] == {
        "type": "transcript.text.segment", "id": "seg_1", "start": 0.9, "end": 2.1, "speaker": "A", "text": "去吗？",
    }  # fmt: skip
    assert "".join(segment["text"] for segment in body["segments"]) == body["text"]


def test_models() -> None:
    assert model("a/b") == {"id": "a/b", "object": "model", "created": CREATED, "owned_by": "local"}


# -- streams --------------------------------------------------------------------------------------


def events(stream: Stream, *happened: Any) -> list[Any]:
    """What is sent, without its framing."""
    sent = "".join(str(frame) for event in happened for frames in stream.encode(event, 0, 0.0) for frame in frames)
    assert sent == "" or sent.endswith("\n\n")
    parts = sent.split("\n\n")[:-1]
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [part[6:] if part == "data: [DONE]" else json.loads(part[6:]) for part in parts]


def test_deltas_in_order_and_together_the_text() -> None:
    stream = Stream(diarized=False)
    began = [SpeechStarted(id, samples(id * 1000)) for id in range(4)]
    assert events(stream, *began, SentenceSettled(ENGLISH[0]), SentenceSettled(ENGLISH[1])) == []
    got = events(stream, SentenceSettled(TODAY))
    assert [event["delta"] for event in got] == ["今天天气不错。去吗？", "It's a test.", " OK"]
    assert {event["type"] for event in got} == {"transcript.text.delta"}
    assert events(stream, SentenceDropped(3, Span(0, 1))) == []
    text = "".join(event["delta"] for event in got)
    assert events(stream, completed(3000)) == [{"type": "transcript.text.done", "text": text}, "[DONE]"]


def test_a_stream_without_speech() -> None:
    assert events(Stream(False), completed(3000)) == [{"type": "transcript.text.done", "text": ""}, "[DONE]"]


def test_a_diarized_stream() -> None:
    stream = Stream(diarized=True)
    got = events(
        stream, *spoken(0, "今天天气不错。", 100, 700), *spoken(1, "OK", 900, 1000), *spoken(2, "go", 1000, 1100)
    )
    deltas, segments = got[::2], got[1::2]
    assert [event["segment_id"] for event in deltas] == [s["id"] for s in segments] == ["seg_0", "seg_1", "seg_2"]
    assert [event["delta"] for event in deltas] == [s["text"] for s in segments] == ["今天天气不错。", "OK", " go"]
    assert (segments[0]["start"], segments[0]["end"], segments[0]["speaker"]) == (0.1, 0.7, "A")
    assert events(stream, completed(3000))[0]["text"] == "今天天气不错。OK go"


def test_a_stream_that_fails_says_so() -> None:
    said = failed(XingjiError("decode_failed"))
    name, data = said.removesuffix("\n\n").split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: ")) == refused(XingjiError("decode_failed"))[1]
