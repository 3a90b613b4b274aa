"""A result as text, JSON and SubRip."""

import json
from typing import Any

from asr_transcript import Sentence
from AsrClient import Result
from xingji.client.formats import FORMATS, clock


def result(*texts: str, **raw: Any) -> Result:
    sentences = tuple(
        Sentence(n, 2, "second_pass", text, 0, 1000 * n, 1000 * n + 900, "zh", True, (("paraformer", text),))
        for n, text in enumerate(texts, 1)
    )
    return Result("".join(texts), sentences, 4000, "rec_1", False, raw)


def test_text() -> None:
    assert FORMATS["text"](result("今天。", "好的。")) == "今天。好的。\n"
    assert FORMATS["text"](result()) == ""


def test_json() -> None:
    told = json.loads(FORMATS["json"](result("今天。")))
    assert (told["text"], told["duration_ms"], told["interrupted"]) == ("今天。", 4000, False)
    (sentence,) = told["sentences"]
    assert sentence["start_ms"] == 1000 and sentence["readings"] == {"paraformer": "今天。"}


def test_srt() -> None:
    assert FORMATS["srt"](result("今天。", "好的。")) == (
        "1\n00:00:01,000 --> 00:00:01,900\n今天。\n\n2\n00:00:02,000 --> 00:00:02,900\n好的。\n"
    )
    assert FORMATS["srt"](result()) == ""
    cut = [{"text": "今天。", "start_ms": 5, "end_ms": 3_600_000}]
    assert FORMATS["srt"](result("今天。好的。", timestamps=cut)) == "1\n00:00:00,005 --> 01:00:00,000\n今天。\n"
    assert clock(3_661_007) == "01:01:01,007"
