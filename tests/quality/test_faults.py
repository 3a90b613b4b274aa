"""What is made of a recording's events, and which faults are seen in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tools.quality.faults import faults
from tools.quality.heard import Event, Heard, Sentence, heard
from tools.quality.manifest import Clip, Timed
from tools.quality.measure import measure, unrelated

STAGES = ("streamed", "second_pass")


def sentence(id: int = 1, text: str = "好。", begin: int = 500, end: int | None = 1500, **more: Any) -> dict[str, Any]:
    readings = {"paraformer": text, "sensevoice": text}
    body = {"id": id, "text": text, "start_ms": begin, "end_ms": end, "readings": readings, "missing": []}
    return body | more


def final(*sentences: Mapping[str, Any], model: str | None = None, error: str | None = None) -> Event:
    merged = "".join(one["text"] for one in sentences)
    body = {
        "sentences": sentences,
        "llm": {"model": model, "rejected_edits": 2},
        "llm_merged": merged,
        "error_code": error,
    }
    return "final_result", body


def settled(one: Mapping[str, Any]) -> Event:
    return "segment_result", {"sentence": {**one, "settled": True}}


def shown(id: int, text: str) -> Event:
    return "transcription", {"sentence": {"id": id, "text": text}}


def test_each_stage_has_the_text_that_stood_then() -> None:
    whole = sentence(1, "天气好。", readings={"paraformer": "天汽好。", "sensevoice": "天七好。", "llm": "天气好。"})
    lost = sentence(2, "走吧。", 2000, 3000, readings={"paraformer": "走吧。"}, missing=["second_pass"])
    late = sentence(3, "好。", 3500, None, readings={"sensevoice": "好。"})
    seen = heard([settled(whole), final(whole, lost, late, model="qwen3")], 4.0)
    assert seen.corrects and seen.error is None
    assert [seen.text(stage) for stage in ("streamed", "second_pass", "corrected")] == [
        "天汽好。走吧。",
        "天七好。走吧。好。",
        "天气好。走吧。好。",
    ]
    assert (seen.sentences[2].start, seen.sentences[2].end) == (3.5, 3.5)
    other = sentence(1, "好。", readings={"paraformer": "号。", "qwen3_asr": "好。"})
    assert heard([final(other)], 2.0).text("second_pass") == "好。", "whatever engine the second pass is"
    assert seen.rejected == 2 and seen.settled == {1: "天气好。"} and seen.sentences[1].missing == ("second_pass",)


def test_words_are_taken_where_they_are_given() -> None:
    words = [{"text": "好", "start_ms": 600, "end_ms": 900}, {"text": "吧", "start_ms": None, "end_ms": None}]
    assert heard([final(sentence(words=words))], 2.0).sentences[0].words == (Timed("好", 0.6, 0.9),)
    assert heard([final(sentence())], 2.0).sentences[0].words == ()


def test_what_was_shown_and_taken_back_is_kept_at_its_longest() -> None:
    events = [shown(1, "好"), shown(2, "嗯"), shown(2, "嗯啊"), shown(2, ""), final(sentence(1))]
    assert heard(events, 2.0).shown == ("嗯啊",)


def test_a_recording_without_its_result_has_failed() -> None:
    assert heard([], 1.0).error == "no final result"
    assert heard([("error", {"code": "busy"})], 1.0).error == "busy"
    assert heard([final(error="backend_failed")], 1.0).error == "backend_failed"


CLIP = Clip("c", Path("c.wav"), "今天天气好。走吧。", (Timed("今天天气好。", 0.5, 1.5), Timed("走吧。", 2.0, 3.0)))


def one(text: str, begin: float = 0.5, end: float = 1.5, id: int = 1, **more: Any) -> Sentence:
    return Sentence(id, begin, end, dict.fromkeys(("streamed", "second_pass", "corrected"), text), **more)


def kinds(*sentences: Sentence, clip: Clip = CLIP, hotwords: tuple[str, ...] = (), **more: Any) -> set[str]:
    told = {one.id: one.readings["corrected"] for one in sentences}
    merged = "".join(told.values())
    seen = Heard(4.0, sentences, settled=told, merged=merged)
    for name, value in more.items():
        object.__setattr__(seen, name, value)
    return {fault.kind for fault in faults(clip, seen, hotwords, STAGES)}


RIGHT = one("今天天气好。"), one("走吧。", 2.0, 3.0, 2)


def test_what_is_right_has_no_fault() -> None:
    assert kinds(*RIGHT) == set()
    assert kinds(clip=Clip("n", Path("n.wav"), "")) == set()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("今天天气好。，", "marks in a row"),
        ("，今天天气好。", "begins with a mark"),
        ("天天气好。", "first character lost"),
        ("今今天天气好。", "a first character too many"),
        ("今天天气天气好。", "said once, written twice"),
        ("今天的的的天气好。", "said once, written twice"),
    ],
)
def test_faults_of_a_text_are_named(text: str, kind: str) -> None:
    assert kind in kinds(one(text), RIGHT[1])


def test_a_lost_end_and_nothing_at_all() -> None:
    assert kinds(RIGHT[0], one("走。", 2.0, 3.0, 2)) == {"last character lost"}
    assert kinds(RIGHT[0], one("走吧吧。", 2.0, 3.0, 2)) == {"a last character too many"}
    assert kinds() == {"nothing heard"}


def test_words_where_nobody_speaks_are_named() -> None:
    noise = Clip("n", Path("n.wav"), "")
    assert kinds(one("好。"), clip=noise) == {"words where nobody speaks"}
    assert "words where nobody speaks" in kinds(*RIGHT, one("嗯。", 3.2, 3.6, 3))


def test_hotwords_lost_and_invented_are_named() -> None:
    assert kinds(*RIGHT, hotwords=("天气", "王方")) == set()
    assert kinds(one("今天天七好。"), RIGHT[1], hotwords=("天气", "天七")) == {
        "hotword not written",
        "hotword where it was not said",
    }


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ([("今天", 0.5, 0.9), ("天气好", 0.8, 1.5)], "words out of order or over one another"),
        ([("今天", 0.2, 0.9), ("天气好", 0.9, 1.5)], "words outside their sentence"),
        ([("今天", 0.5, 0.9), ("天七好", 0.9, 1.5)], "words are not the text"),
    ],
)
def test_faults_of_word_times_are_named(words: list[tuple[str, float, float]], kind: str) -> None:
    timed = tuple(Timed(*word) for word in words)
    assert kinds(one("今天天气好。", words=timed), RIGHT[1]) == {kind}


def test_faults_of_times_and_answers_are_named() -> None:
    assert kinds(RIGHT[0], one("走吧。", 2.0, 4.2, 2)) == {"time outside the recording"}
    assert kinds(RIGHT[0], one("走吧。", 1.2, 3.0, 2)) == {"sentences over one another"}
    assert kinds(*RIGHT, settled={1: "今天天气好。"}) == {"segment_result and final_result differ"}
    assert kinds(*RIGHT, merged="今天") == {"llm_merged is not its sentences"}
    assert kinds(RIGHT[0], one("走吧。", 2.0, 3.0, 2, missing=("correction",))) == {"correction is missing"}
    assert kinds(error="busy") == {"the recording failed"}


def test_a_failed_recording_counts_in_no_rate() -> None:
    good = Heard(4.0, RIGHT, settled={1: "今天天气好。", 2: "走吧。"}, merged="今天天气好。走吧。")
    figures = measure("run", [CLIP, CLIP], [good, Heard(4.0, error="busy")], [(), ()])
    assert (figures.errors, figures.clips, figures.lengths, figures.cer("second_pass")) == (1, 2, [7], 0)
    assert unrelated(figures, figures, "second_pass") is None, "nothing is compared with what failed"


def test_insertions_are_counted_by_the_minute_and_what_was_taken_back_apart() -> None:
    noise = Clip("n", Path("n.wav"), "")
    seen = [Heard(30.0, (one("好的。"),), shown=("嗯",)), Heard(30.0)]
    figures = measure("run", [noise, noise], seen, [(), ()])
    assert not figures.speech and figures.inserted_per_minute("streamed") == 2 and figures.shown == 1
    assert figures.cer("streamed") is None
