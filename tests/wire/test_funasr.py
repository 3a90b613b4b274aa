"""FunASR's runtime protocol in both directions, without a model: each generation of clients, each mode."""

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
from xingji.core.messages import SentenceSettled
from xingji.core.types import AudioFormat, Hotword, Span, Stage
from xingji.wire import Open
from xingji.wire.dialect import Configure, Handshake, Say, Stop
from xingji.wire.funasr import FunAsr
from xingji.wire.funasr_read import read_hotwords

AUDIO = bytes(1920)
START: dict[str, Any] = {
    "mode": "2pass", "chunk_size": [5, 10, 5], "chunk_interval": 10, "encoder_chunk_look_back": 4,
    "decoder_chunk_look_back": 0, "audio_fs": 16000, "wav_name": "a/b", "wav_format": "pcm", "is_speaking": True,
    "hotwords": "", "itn": True,
}  # fmt: skip
END = {"is_speaking": False}
NEW_END = {"is_speaking": False, "is_end": True}
HTML_END = {"chunk_size": [5, 10, 5], "wav_name": "a/b", "is_speaking": False, "chunk_interval": 10, "mode": "2pass"}
FIRST = spoken(0, "今天天气不错。", 100, 700, "今", "今天，天气")
SECOND = spoken(1, "好。", 900, 1100, "好")
DONE = completed(1200, "今天天气不错。", "好。")


def talk(**options: Any) -> Conversation:
    one = Conversation(FunAsr(Handshake("/")))
    one.say(START | options)
    return one


def wishes(one: Conversation) -> Any:
    return next(command.wishes for command in one.done if isinstance(command, Open))


# -- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [END, HTML_END, {"is_finished": True}], ids=["old", "html5", "c++"])
def test_2pass(end: dict[str, Any]) -> None:
    one = talk()
    assert one.say(AUDIO, AUDIO) == [] and one.audio == AUDIO * 2
    assert wishes(one).stream and wishes(one).second_pass and wishes(one).llm is False
    told = one.happens(*FIRST)
    assert told[:2] == [
        {"mode": "2pass-online", "text": "今", "is_final": False, "wav_name": "a/b"},
        {"mode": "2pass-online", "text": "天天气", "is_final": False, "wav_name": "a/b"},
    ]
    assert told[2:] == [
        {
            "mode": "2pass-offline", "text": "今天天气不错。", "is_final": False, "wav_name": "a/b", "index": 0,
            "start_time": 100, "end_time": 700, "stamp_sents": [
                {"text_seg": "今天天气不错", "punc": "。", "start": 100, "end": 700, "ts_list": []}
            ],
        }
    ]  # fmt: skip
    assert one.say(end) == []
    (partial,) = one.happens(*SECOND)  # the last text waits until it is known to be the last
    assert (partial["mode"], partial["text"]) == ("2pass-online", "好")
    (last,) = one.happens(DONE)
    assert (last["mode"], last["text"], last["is_final"], last["index"]) == ("2pass-offline", "好。", True, 1)


def test_what_was_closed_before_the_end_leaves_an_empty_last_result() -> None:
    one = talk()
    one.say(AUDIO)
    one.happens(*FIRST)
    one.say(NEW_END)
    assert one.happens(completed(700, "今天天气不错。")) == [
        {"mode": "2pass-offline", "text": "", "is_final": True, "wav_name": "a/b"},
        {"mode": "2pass", "is_final": True, "is_end": True, "wav_name": "a/b"},
    ]


def test_only_the_last_is_final_when_several_come_after_the_end() -> None:
    one = talk()
    one.say(AUDIO, NEW_END)
    told = one.happens(*FIRST, *SECOND, DONE)
    offline = [t for t in told if t["mode"] == "2pass-offline"]
    assert [(t["text"], t["is_final"]) for t in offline] == [("今天天气不错。", False), ("好。", True)]
    assert told[-1]["is_end"] is True and sum(t["is_final"] for t in told if "text" in t) == 1


def test_increments_of_the_next_sentence_wait_for_the_second_pass_of_this() -> None:
    one = talk()
    one.say(AUDIO)
    told = one.happens(*FIRST[:-2], *SECOND[:2])
    assert [t["text"] for t in told] == ["今", "天天气"]
    assert [t["text"] for t in one.happens(*FIRST[-2:])] == ["今天天气不错。", "好"]


def test_increments_of_what_was_no_speech_are_wiped() -> None:
    one = talk()
    one.say(AUDIO)
    shown = SpeechStarted(0, 0), SentenceRevised(sentence(0, Stage.PARTIAL, "啊"))
    told = one.happens(*shown, SentenceDropped(0, Span(0, 9)), SpeechStarted(1, 0), SentenceDropped(1, Span(0, 9)))
    assert [(t["mode"], t["text"]) for t in told] == [("2pass-online", "啊"), ("2pass-offline", "")]


def test_online_tells_increments_and_nothing_twice() -> None:
    one = talk(mode="online")
    one.say(AUDIO)
    assert wishes(one).second_pass is False
    last = sentence(0, Stage.STREAMED, "good morning。", 0, 500)
    one.happens(*FIRST[:1], SentenceRevised(sentence(0, Stage.PARTIAL, "good")))
    one.happens(SentenceRevised(last), SentenceSettled(last), SpeechStarted(1, 0))
    then = sentence(1, Stage.STREAMED, "dear，all", 600, 900)
    one.happens(SentenceRevised(sentence(1, Stage.PARTIAL, "dear")), SentenceRevised(then), SentenceSettled(then))
    one.say(END)
    one.happens(DONE)
    texts = [t for t in one.told if t["mode"] == "online"]
    assert "".join(t["text"] for t in texts) == "good morning dearall"
    assert [t["is_final"] for t in texts] == [False] * (len(texts) - 1) + [True]


def test_offline_is_one_result() -> None:
    one = talk(mode="offline")
    one.say(AUDIO, NEW_END)
    assert wishes(one).stream is False
    told = one.happens(*FIRST, *SECOND, DONE)
    assert [(t["mode"], t.get("text"), t["is_final"]) for t in told] == [
        ("offline", "今天天气不错。好。", True),
        ("offline", None, True),
    ]
    assert [s["start"] for s in told[0]["stamp_sents"]] == [100, 900]


def test_times_of_words_only_where_each_has_one() -> None:
    words = tuple(word(char, 100 * n, 100 * n + 100) for n, char in enumerate(["用", "DAC", "吧"]))
    one = talk()
    one.say(AUDIO)
    (exact,) = one.happens(*spoken(0, "用DAC吧。", 0, 300, words=words))
    assert json.loads(exact["timestamp"]) == [[0, 100], [100, 200], [200, 300]]
    assert exact["stamp_sents"][0]["ts_list"] == [[0, 100], [100, 200], [200, 300]]
    (written,) = one.happens(*spoken(1, "用3DAC吧。", 0, 300, words=words))
    assert "timestamp" not in written


# -- inputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "said"), [("2pass", "2pass-offline"), ("online", "online"), ("offline", "offline")])
def test_an_end_without_audio_is_answered(mode: str, said: str) -> None:
    one = talk(mode=mode)
    assert one.say(NEW_END) == [
        {"mode": said, "text": "", "is_final": True, "wav_name": "a/b"},
        {"mode": mode, "is_final": True, "is_end": True, "wav_name": "a/b"},
    ]
    assert one.say(END) == [] and one.kinds == [Say, Say]


def test_audio_before_any_options() -> None:
    one = Conversation(FunAsr(Handshake("/")))
    one.say(AUDIO, b"", AUDIO, END)
    opened = one.done[0]
    assert isinstance(opened, Open) and opened.format == AudioFormat("pcm", 16_000) and wishes(one).stream
    assert one.happens(DONE)[-1]["wav_name"] == "demo"


def test_inputs_one_after_another_begin_anew() -> None:
    one = talk(hotwords="甲乙", mode="offline")
    one.say(AUDIO, NEW_END, {"is_speaking": True, "wav_name": "二"}, AUDIO, NEW_END)
    assert one.kinds == [Open, Stop, Open, Stop]
    second = [command for command in one.done if isinstance(command, Open)][1]
    assert second.wishes.stream and second.wishes.hotwords == ()
    assert [t["wav_name"] for t in one.happens(DONE, of=0)] == ["a/b", "a/b"]
    assert [t["wav_name"] for t in one.happens(DONE, of=1)] == ["二", "二"]


def test_options_may_come_again() -> None:
    one = talk()
    one.say({"mode": "offline"}, {"hotwords": "甲乙"}, AUDIO, {"chunk_size": "5,10,5"}, {"mode": "online"}, {"itn": 0})
    assert one.kinds == [Open, Configure]
    last = one.done[-1]
    assert isinstance(last, Configure) and not last.wishes.itn and not last.wishes.stream
    assert last.wishes.hotwords == (Hotword("甲乙"),)


@pytest.mark.parametrize("size", [[5, 10, 5], "5,10,5", [0, 0, 0], [8, 8, 4], "x", None, {}], ids=str)
def test_chunk_size_never_fails(size: Any) -> None:
    one = talk(chunk_size=size)
    one.say(AUDIO)
    assert one.kinds == [Open] and one.told == []


@pytest.mark.parametrize(
    ("itn", "expected"),
    [(True, True), (False, False), (0, False), (1, True), ("true", True), ("0", False), (None, True)],
)
def test_itn(itn: Any, expected: bool) -> None:
    one = talk(itn=itn)
    one.say(AUDIO)
    assert wishes(one).itn is expected


def test_language_and_rate() -> None:
    one = talk(svs_lang="yue", audio_fs=8000, wav_format="PCM")
    one.say(AUDIO)
    opened = one.done[0]
    assert isinstance(opened, Open) and opened.format.rate == 8000 and opened.wishes.language == "yue"
    unknown = talk(svs_lang="tlh")
    unknown.say(AUDIO)
    assert wishes(unknown).language == "auto"


WORDS = {
    '{"林滔":20,"章薇":30}': [("林滔", 20), ("章薇", 30)],
    '{"备份 演练": 1000, "x": "a", "": 5}': [("备份 演练", 100), ("x", 50)],
    "林滔,章薇": [("林滔", 50), ("章薇", 50)],
    "林滔，new york 30,": [("林滔", 50), ("new york", 30)],
    "林滔 20 章薇 DAC": [("林滔", 20), ("章薇", 50), ("DAC", 50)],
    "林滔 20\n章薇 30\n": [("林滔", 20), ("章薇", 30)],
    "": [],
    "{": [],
    "{}": [],
    "[1]": [("[1]", 50)],
    "好" * 100 + ",林滔": [("林滔", 50)],
}


@pytest.mark.parametrize("said", WORDS, ids=lambda said: said[:12])
def test_hotwords_in_each_encoding(said: str) -> None:
    assert [(hotword.text, hotword.weight) for hotword in read_hotwords(said)] == WORDS[said]


@given(st.text() | st.none() | st.integers() | st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_hotwords_never_fail(said: Any) -> None:
    assert all(1 <= hotword.weight <= 100 for hotword in read_hotwords(said))
    assert all(1 <= hotword.weight <= 100 for hotword in read_hotwords("{" + str(said)))


# -- errors and ends ---------------------------------------------------------------------------------


def test_three_messages_in_a_row_that_are_no_json() -> None:
    one = Conversation(FunAsr(Handshake("/")))
    for told in (one.say("{")[0], one.say("[]")[0]):
        assert told["error"].startswith("bad_json: ") and told["is_final"] is False and told["text"] == ""
    one.say(START)
    assert not any(isinstance(t, Close) for t in one.say("{", "{"))
    assert one.say("{")[-1] == Close(1003, "bad_json")


BAD = [("mode", "3pass", "bad_config"), ("mode", 7, "bad_config"), ("audio_fs", 100, "bad_config"),
       ("audio_fs", "x", "bad_config"), ("wav_format", 3, "unsupported_format")]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "code"), BAD)
def test_bad_options_refuse_the_input_and_no_other(name: str, value: Any, code: str) -> None:
    one = talk(**{name: value})
    (told,) = one.told
    assert told["error"].startswith(code + ": ") and name in told["error"] and told["is_final"] is True
    (acknowledged,) = one.say(AUDIO, NEW_END)
    assert acknowledged["is_end"] is True and acknowledged["is_final"] is False and acknowledged["error"]
    one.say(START, AUDIO, END)
    assert one.kinds == [Say, Open, Stop]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("pcm", "pcm"),
        ("PCM", "pcm"),
        ("wav", "pcm"),
        ("others", "auto"),
        ("mp3", "auto"),
        ("webm", "auto"),
        ("Opus", "opus"),
    ],
)
def test_files_are_known_by_their_first_bytes(name: str, codec: str) -> None:
    one = talk(wav_format=name)
    one.say(AUDIO)
    opened = one.done[0]
    assert isinstance(opened, Open) and opened.format == AudioFormat(codec, 16_000)


@pytest.mark.parametrize("mode", ["2pass", "offline"])
def test_what_cannot_be_decoded_ends_the_input_with_what_was_understood(mode: str) -> None:
    one = talk(wav_format="mp3", mode=mode)
    one.say(AUDIO)
    assert one.dialect.error(XingjiError("decode_failed", field="format"), "rec_0") == ()
    one.stops("undecodable")
    told = one.happens(*FIRST, completed(900, "今天天气不错。"))
    assert [t["is_final"] for t in told[-2:]] == ([False, True] if mode == "2pass" else [True])
    assert told[-1]["error"].startswith("decode_failed: ")
    assert told[-1]["text"] == ("" if mode == "2pass" else "今天天气不错。")
    assert one.say(AUDIO) == []  # of the same input
    (acknowledged,) = one.say(NEW_END)
    assert acknowledged["is_end"] is True and acknowledged["is_final"] is False
    one.say(START, AUDIO)
    assert one.kinds == [Open, Say, Open]


def test_a_damaged_input_is_acknowledged_after_its_result() -> None:
    one = talk(wav_format="mp3")
    one.say(AUDIO)
    one.dialect.error(XingjiError("decode_failed", field="format"), "rec_0")
    one.stops("undecodable")
    assert one.say(NEW_END) == []
    told, acknowledged = one.happens(completed(0))
    assert told["is_final"] is True and acknowledged["is_end"] is True and acknowledged["is_final"] is False
    # the next one is refused, which has nothing to do with that
    assert [t["is_final"] for t in one.say({"mode": "x"}, NEW_END)] == [True, False]


def test_what_turns_out_to_be_damaged_at_its_end() -> None:
    one = talk(wav_format="others")
    one.say(AUDIO)
    one.dialect.error(XingjiError("unsupported_format", field="format"), "rec_0")  # while it is stopped
    one.say(NEW_END)
    told, acknowledged = one.happens(completed(0))
    assert told["error"].startswith("unsupported_format: ") and told["is_final"] is True
    assert acknowledged["is_final"] is False and acknowledged["error"] == "unsupported_format"


def test_a_full_server_says_so_and_closes() -> None:
    one = talk()
    one.refuses = XingjiError("busy")
    told, over = one.say(AUDIO)
    assert told["error"].startswith("busy: ") and told["is_final"] is True and over == Close(1013, "busy")


def test_a_defect() -> None:
    one = talk()
    one.say(AUDIO, NEW_END)
    one.happens(*FIRST)
    told = one.fails()
    assert [t["is_final"] for t in told] == [False, True, False]
    assert told[1]["error"].startswith("internal: ") and told[2]["error"] == "internal"


def test_lost_recognition_is_an_error_and_not_silence() -> None:
    one = talk(mode="offline")
    one.say(AUDIO, END)
    (told,) = one.happens(completed(1000, "", lost=((Stage.SECOND_PASS, "timeout"),)))
    assert told["error"].startswith("internal: ") and told["is_final"]


def test_an_idle_input_is_finished_and_the_connection_closed() -> None:
    one = talk()
    one.say(AUDIO)
    one.stops("idle")
    told = one.happens(*FIRST, completed(700, "今天天气不错。"))
    assert told[-2]["is_final"] and told[-2]["text"] == "今天天气不错。" and told[-1] == Close(1000, "idle")
    one.say(AUDIO)
    assert one.kinds == [Open, Open]


@pytest.mark.parametrize("code", CODES)
def test_every_error_can_be_told(code: str) -> None:
    for frame in talk().dialect.error(XingjiError(code, field="x"), None):
        assert isinstance(frame, Close) or json.loads(str(frame))["text"] == ""


MESSAGES = [START, AUDIO, END, NEW_END, "{", {"mode": "x"}, {"hotwords": "甲 乙"}, b"RIFF", {"mode": "online"}]


@given(st.lists(st.sampled_from(MESSAGES), max_size=30))
def test_any_order_of_messages(messages: list[Any]) -> None:
    """Inputs open and end by turns, and each end that asks for it is acknowledged, now or with its result."""
    one = Conversation(FunAsr(Handshake("/")))
    one.say(*messages)
    running = False
    for command in one.done:
        if not isinstance(command, Say):
            assert running != isinstance(command, Open)
            running = not isinstance(command, Stop)
    for writer in range(len(one.writers)):
        one.happens(completed(1000), of=writer)
    until = next((n for n, t in enumerate(one.told) if isinstance(t, Close)), None)
    if until is None:
        asked = sum(message == NEW_END for message in messages)
        assert sum(t.get("is_end", False) for t in one.told) == asked
