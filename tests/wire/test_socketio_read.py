"""What clients may send on Socket.IO, and what they are told when it is wrong."""

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.audio import CONTAINERS, FORMATS
from xingji.core.errors import CODES, XingjiError
from xingji.core.types import AudioFormat, Hotword
from xingji.wire import Frame, Open, Pace, Wishes
from xingji.wire.socketio import SocketIoWire, write_error
from xingji.wire.socketio_read import MAX_LIST, read_audio, read_hotwords, read_start

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
OPTIONS = (
    "sample_rate", "format", "language", "hotwords", "hotword_table", "punctuation", "itn", "remove_fillers",
    "second_pass", "llm", "preset", "max_sentence_silence_ms",
    "max_sentence_ms", "preroll_ms", "partials", "client_recording_id",
)  # fmt: skip
FLAGS = ("punctuation", "itn", "remove_fillers", "second_pass", "llm", "partials")


def brief(value: object) -> str:
    return repr(value)[:40]


# -- start_recording --------------------------------------------------------------


@pytest.mark.parametrize("payload", [None, {}, {name: None for name in OPTIONS}], ids=["none", "empty", "nulls"])
def test_start_without_options(payload: object) -> None:
    assert read_start(payload) == Open(
        Wishes(
            language="auto", hotwords=(), stream=True, punctuation=True, itn=True, remove_fillers=False,
            second_pass=True, llm=None, partials=True, pace=Pace(12_800, 480_000, 0), client_recording_id=None,
        ),
        AudioFormat("s16le", 16_000),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "wishes"),
    [
        *[({"language": name}, {"language": name}) for name in ("auto", "zh", "en", "yue", "ja", "ko")],
        *[({name: False}, {name: False}) for name in FLAGS],
        *[({name: True}, {name: True}) for name in FLAGS],
        ({"max_sentence_silence_ms": 200}, {"pace": Pace(3_200)}),
        ({"max_sentence_silence_ms": 6000}, {"pace": Pace(96_000)}),
        ({"max_sentence_ms": 5000, "preroll_ms": 1000}, {"pace": Pace(longest=80_000, preroll=16_000)}),
        ({"preset": "service"}, {"pace": Pace(8_000, 240_000)}),
        ({"preset": "dictation", "max_sentence_silence_ms": 2000}, {"pace": Pace(32_000, 480_000)}),
        ({"client_recording_id": ""}, {"client_recording_id": ""}),
        ({"client_recording_id": "会" * 64}, {"client_recording_id": "会" * 64}),
        ({"hotwords": []}, {}),
        ({"hotwords": ["星纪", "DAC"]}, {"hotwords": (Hotword("星纪"), Hotword("DAC"))}),
        ({"hotwords": "星纪, DAC"}, {"hotwords": (Hotword("星纪"), Hotword("DAC"))}),
        ({"unheard_of": b"", "stream": False}, {}),
        ({"hotword_table": "vocab-1"}, {"hotword_table": "vocab-1"}),
        ({"hotword_table": "_" * 80}, {"hotword_table": "_" * 80}),
    ],
    ids=brief,
)
def test_start_options(options: dict[str, Any], wishes: dict[str, Any]) -> None:
    assert read_start(options).wishes == Wishes(**wishes)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        *[({"format": codec}, AudioFormat(codec, 16_000)) for codec in (*FORMATS, *CONTAINERS)],
        ({"sample_rate": 8_000}, AudioFormat("s16le", 8_000)),
        ({"sample_rate": 48_000, "format": "f32le"}, AudioFormat("f32le", 48_000)),
    ],
    ids=brief,
)
def test_start_format(options: dict[str, Any], expected: AudioFormat) -> None:
    assert read_start(options).format == expected


BAD_OPTIONS: list[tuple[str, list[Any]]] = [
    ("sample_rate", [7_999, 48_001, 0, -16_000, 16_000.0, "16000", True, [], {}, b"", float("nan"), 10**30]),
    ("format", ["S16LE", "wma", "", 16, True, ["s16le"], {}, b"s16le"]),
    ("language", ["zh-CN", "", "ZH", 1, False, ["zh"], {}]),
    ("preset", ["", "Meeting", "fast", 1, True, []]),
    ("max_sentence_silence_ms", [199, 6_001, -1, 800.0, "800", True, []]),
    ("max_sentence_ms", [4_999, 30_001, 30_000.0, "30000", True, []]),
    ("preroll_ms", [-1, 1_001, 100.0, "100", True, []]),
    ("hotword_table", ["", "x" * 81, "a/b", "../a", "表", "a\n", 1, True, ["a"], {}, b"a"]),
    ("client_recording_id", ["x" * 65, 7, True, [], {}, b"id"]),
    *[(name, [0, 1, "true", "", [], {}, 1.0]) for name in FLAGS],
]


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BAD_OPTIONS for value in values], ids=brief
)
def test_start_names_the_option_that_is_wrong(field: str, value: object) -> None:
    with pytest.raises(XingjiError) as caught:
        read_start({field: value})
    assert (caught.value.code, caught.value.field) == ("bad_config", field)


@pytest.mark.parametrize(
    ("options", "silence"),
    [({}, 16_000), ({"max_sentence_silence_ms": 300}, 4_800), ({"preset": "meeting"}, 12_800)],
    ids=brief,
)
def test_the_server_says_what_silence_ends_a_sentence_unless_the_client_does(
    options: dict[str, Any], silence: int
) -> None:
    assert read_start(options, silence_ms=1000).wishes.pace.end_silence == silence


@pytest.mark.parametrize("payload", ["start", b"\0", 1, 1.5, True, [], [{}]], ids=brief)
def test_start_takes_only_an_object(payload: object) -> None:
    with pytest.raises(XingjiError) as caught:
        read_start(payload)
    assert (caught.value.code, caught.value.field) == ("bad_config", "options")


@given(JSON | st.dictionaries(st.sampled_from(OPTIONS), JSON))
def test_whatever_is_sent_is_read_or_refused(payload: object) -> None:
    for read in (read_start, read_audio, read_hotwords):
        try:
            read(payload)
        except XingjiError as error:
            assert error.code in ("bad_config", "bad_audio")


# -- hotwords --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", ()),
        ("  ", ()),
        ("星纪", (Hotword("星纪"),)),
        ("星纪，DAC,,  备份演练 \n星纪", (Hotword("星纪"), Hotword("DAC"), Hotword("备份演练"))),
        ("New York, 星纪", (Hotword("New York"), Hotword("星纪"))),
        ([], ()),
        ([{"text": "张伟", "weight": 90, "lang": "zh", "aliases": ["章伟"]}], (Hotword("张伟", 90, ("章伟",), "zh"),)),
        ({"hotwords": ["星纪"]}, (Hotword("星纪"),)),
    ],
    ids=brief,
)
def test_hotwords(value: object, words: tuple[Hotword, ...]) -> None:
    assert read_hotwords(value) == words


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (7, "hotwords"),
        (True, "hotwords"),
        (b"DAC", "hotwords"),
        ({}, "hotwords"),
        (["ok", 7], "hotwords[1]"),
        (["ok", "x" * 65], "hotwords[1]"),
        ([{"text": "x", "weight": 101}], "hotwords[0].weight"),
        ([{"weight": 10}], "hotwords[0].text"),
        ("星\0纪", "hotwords[0]"),
        (["词"] * 50_001, "hotwords"),
    ],
    ids=brief,
)
def test_hotwords_that_are_refused(value: object, field: str) -> None:
    for read in (read_hotwords, lambda words: read_start({"hotwords": words})):
        with pytest.raises(XingjiError) as caught:
            read(value)
        assert (caught.value.code, caught.value.field) == ("bad_config", field)


# -- audio_data -------------------------------------------------------------------

PCM = b"\x01\x00\xff\x7f\x00\x80"
NUMBERS = [1, 32_767, -32_768]


@pytest.mark.parametrize(
    ("payload", "frame"),
    [
        (b"", Frame(b"")),
        (PCM, Frame(PCM)),
        (PCM[:5], Frame(PCM[:5])),
        (bytearray(PCM), Frame(PCM)),
        (NUMBERS, Frame(PCM)),
        ([], Frame(b"")),
        ({"audio": PCM}, Frame(PCM)),
        ({"audio": PCM, "seq": None}, Frame(PCM)),
        ({"audio": PCM, "seq": 0}, Frame(PCM, 0)),
        ({"audio": bytearray(PCM), "seq": 10**12, "more": {}}, Frame(PCM, 10**12)),
        ({"audio": base64.b64encode(PCM).decode(), "seq": 3}, Frame(PCM, 3)),
        ({"audio": ""}, Frame(b"")),
        ({"audio": NUMBERS, "seq": 4}, Frame(PCM, 4)),
    ],
    ids=brief,
)
def test_audio(payload: object, frame: Frame) -> None:
    got = read_audio(payload)
    assert got == frame
    assert type(got.data) is bytes


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (None, None),
        ("AQD/fwCA", None),
        (7, None),
        (1.5, None),
        (True, None),
        pytest.param(memoryview(PCM), None, id="memoryview"),
        ([0.5], None),
        ([1.0], None),
        ([32_768], None),
        ([-32_769], None),
        ([10**30], None),
        (["1"], None),
        ([None], None),
        ([[1, 2]], None),
        ([PCM], None),
        ({}, "audio"),
        ({"seq": 1}, "audio"),
        ({"audio": None}, "audio"),
        ({"audio": 7}, "audio"),
        ({"audio": {"audio": PCM}}, "audio"),
        ({"audio": [0.5]}, "audio"),
        ({"audio": "not base64!"}, "audio"),
        ({"audio": "AQD"}, "audio"),
        ({"audio": "音频"}, "audio"),
        ({"audio": PCM, "seq": -1}, "seq"),
        ({"audio": PCM, "seq": True}, "seq"),
        ({"audio": PCM, "seq": 1.0}, "seq"),
        ({"audio": PCM, "seq": "1"}, "seq"),
        ({"audio": PCM, "seq": [1]}, "seq"),
    ],
    ids=brief,
)
def test_audio_that_is_refused(payload: object, field: str | None) -> None:
    with pytest.raises(XingjiError) as caught:
        read_audio(payload)
    assert (caught.value.code, caught.value.field) == ("bad_audio", field)


def test_a_list_may_have_a_million_numbers_and_no_more() -> None:
    assert len(read_audio([0] * MAX_LIST).data) == 2 * MAX_LIST
    for payload in ([0] * (MAX_LIST + 1), {"audio": [0] * (MAX_LIST + 1)}):
        with pytest.raises(XingjiError, match="bad_audio"):
            read_audio(payload)


# -- errors ------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_every_error_says_what_it_is_in_both_languages(code: str) -> None:
    event, body = SocketIoWire().error(XingjiError(code), None)
    assert event == "error"
    assert set(body) == {"message", "message_en", "code", "retryable", "fatal"}
    assert body["code"] == code
    assert (body["retryable"], body["fatal"]) == (CODES[code].retryable, code == "connection_timeout")
    assert re.search("[\u4e00-\u9fff]", body["message"])
    assert body["message_en"].isascii() or "“" in body["message_en"]


def test_an_error_carries_its_field_its_facts_and_its_recording() -> None:
    error = XingjiError("audio_gap", field="seq", detail={"expected": 3, "got": 5})
    _, body = write_error(error, "rec_1")
    assert body.items() >= {"field": "seq", "expected": 3, "got": 5, "recording_id": "rec_1"}.items()
