"""No words from silence, and no real speech taken for it: the thresholds, and what a session makes of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.recording import PLAIN, Recording, record
from tests.core.world import say, written
from xingji.core.messages import Decode, Detect, Edge, Job, Lost, Result, SentenceDropped, SentenceRevised, Transcribe
from xingji.core.plausibility import (
    DOUBTFUL,
    FEW_UNSURE,
    UNSURE,
    hollow,
    implausible,
    inaudible,
    looping,
    syllables,
    too_fast,
)
from xingji.core.types import SAMPLE_RATE, Hypothesis, Stage

SECOND = SAMPLE_RATE


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("你好，世界。", 4),
        ("hello world", 2.5),
        ("2028年", 3),
        ("98.5%", 1.5),
        ("こんにちは", 5),
        ("안녕", 0.5),
    ],
)
def test_syllables(text: str, count: float) -> None:
    assert syllables(text) == count


@pytest.mark.parametrize(
    ("text", "seconds", "expected"),
    [
        ("好", 0.1, False),
        ("好的好的", 0.1, False),
        ("八百标兵奔北坡炮兵并排北边跑", 1.4, False),  # ten a second
        ("八百标兵奔北坡炮兵并排北边跑", 0.5, True),
        ("我的电话号码是13800135679。", 3.0, False),
        ("internationalisation of communication", 1.5, False),
        ("会议到此结束谢谢大家欢迎参加今天的会议", 1.0, True),
    ],
)
def test_text_may_be_too_much_for_its_time(text: str, seconds: float, expected: bool) -> None:
    assert too_fast(text, round(seconds * SECOND)) is expected
    assert implausible(text, round(seconds * SECOND)) is expected


@pytest.mark.parametrize(
    "text",
    ["谢谢" * 11, "谢" * 21, "字幕由志愿者提供。" * 6, "thank you. " * 11, "嗯" + "好的" * 11, "我们去北京" * 6 + "吧"],
)
def test_a_phrase_over_and_over_is_a_loop(text: str) -> None:
    assert looping(text) and implausible(text, 60 * SECOND)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "好",
        "对对对对对对对对",
        "哈" * 18,
        "谢谢谢谢谢谢，谢谢大家",
        "好的好的好的好的",
        "一一零一一零一一零一一零一一零一一零",
        "零" * 40,
        "00000000000000000000000000000000000",
        "13800000000000000000000000000000",
        "不是这样的不是这样的不是这样的",
        "加油" * 12 + "我们今天的会议讨论三件事情第一件是下个月的计划第二件是预算第三件是人员",
        "very very very very good",
    ],
)
def test_honest_repetitions_are_none(text: str) -> None:
    assert not looping(text)


@given(st.text("好的是1一 a", max_size=20))
def test_short_text_is_never_a_loop(text: str) -> None:
    assert not looping(text)


def test_only_what_no_microphone_hears_is_inaudible() -> None:
    silent = np.zeros(1600, np.int16)
    assert inaudible(silent) and inaudible(silent[:0])
    silent[::2], silent[1::2] = 2, -2
    assert inaudible(silent)
    silent[7] = -3
    assert not inaudible(silent)
    assert not inaudible(np.array([-32768], np.int16))


@pytest.mark.parametrize(
    ("text", "certainty", "by_another", "expected"),
    [
        ("嗯。", UNSURE - 0.01, False, True),
        ("The.", UNSURE - 0.01, False, True),
        ("好。", UNSURE, False, False),
        ("好。", 0.0, True, False),  # two heard it
        ("好。", DOUBTFUL, None, False),
        ("嗯。", DOUBTFUL - 0.01, None, True),
        ("好的。", 0.0, False, False),  # two words are no accident
    ],
)
def test_a_single_word_needs_a_witness(text: str, certainty: float, by_another: bool | None, expected: bool) -> None:
    assert hollow(text, SECOND, certainty, by_another) is expected


def test_so_do_few_words_in_a_long_time() -> None:
    assert hollow("开天都到到分到分。", 16 * SECOND, FEW_UNSURE - 0.01, False)
    assert not hollow("开天都到到分到分。", 16 * SECOND, FEW_UNSURE, False)
    assert not hollow("开天都到到分到分。", 16 * SECOND, DOUBTFUL, None)
    assert not hollow("开天都到到分到分。", 16 * SECOND, 0.0, True)
    assert not hollow("开天都到到分到分。", 8 * SECOND, 0.0, False)


# -- in a session -------------------------------------------------------------------------

Answer = Callable[[Job], Result | None]
LOOP = "谢谢" * 20


def answering(streamed: str | None = None, second: str | None = None, certainty: float = 1.0) -> Answer:
    """One second of speech from the start on; what is None is answered by the world."""

    def answer(job: Job) -> Result | None:
        match job:
            case Detect():
                edges = [Edge("onset", 0, 3_200), Edge("endpoint", SECOND, SECOND, certainty)]
                end = job.offset + len(job.samples)
                return tuple(edge for edge in edges if job.offset < edge.decided <= end)
            case Decode() if streamed is not None:
                return Hypothesis(streamed, streamed, len(streamed))
            case Transcribe() if second is not None:
                return Lost("timeout") if second == "lost" else Hypothesis(second)
            case _:
                return None

    return answer


def heard(answer: Answer, said: str = "abcd", **profile: bool) -> Recording:
    audio = say(said + " " * 16)
    return record(audio, replace(PLAIN, **profile), range(0, len(audio), 1_600), faults=answer)


def test_a_second_pass_that_cannot_be_leaves_the_streamed_text() -> None:
    [sentence] = heard(answering("是义", LOOP)).completed.sentences
    assert (sentence.text, sentence.stage, sentence.missing) == ("是义。", Stage.STREAMED, (Stage.SECOND_PASS,))


def test_a_streamed_text_that_cannot_be_waits_for_the_second_pass() -> None:
    recording = heard(answering(LOOP))
    [sentence] = recording.completed.sentences
    assert (sentence.text, sentence.missing) == (written("abcd", 2) + "。", (Stage.STREAMED,))
    assert not any(LOOP in e.sentence.text for e in recording.events if isinstance(e, SentenceRevised))


@pytest.mark.parametrize("profile", [{}, {"second_pass": False}, {"stream": False}], ids=["both", "streaming", "file"])
def test_what_nobody_can_have_said_is_no_speech(profile: dict[str, bool]) -> None:
    recording = heard(answering(LOOP, LOOP), **profile)
    assert recording.completed.sentences == ()
    assert [type(e) for e in recording.events if isinstance(e, SentenceDropped)] == [SentenceDropped]


def test_what_was_shown_before_a_loop_is_withdrawn() -> None:
    texts = iter(["是", LOOP])

    def answer(job: Job) -> Result | None:
        return Hypothesis(next(texts)) if isinstance(job, Decode) else answering(second="")(job)

    recording = heard(answer)
    assert [e.sentence.text for e in recording.events if isinstance(e, SentenceRevised)] == ["是"]
    assert recording.completed.sentences == ()


def test_a_loop_beside_a_lost_second_pass_keeps_what_was_shown() -> None:
    texts = iter(["是", LOOP])

    def answer(job: Job) -> Result | None:
        return Hypothesis(next(texts)) if isinstance(job, Decode) else answering(second="lost")(job)

    [sentence] = heard(answer).completed.sentences
    assert (sentence.text, sentence.missing) == ("是", (Stage.STREAMED, Stage.SECOND_PASS))


@pytest.mark.parametrize(
    ("streamed", "second", "certainty", "profile", "text"),
    [
        ("", "嗯。", 0.94, {}, ""),
        ("", "嗯。", 0.96, {}, "嗯。"),
        ("嗯", "嗯。", 0.5, {}, "嗯。"),
        ("嗯", "", 0.94, {}, ""),
        ("嗯", "lost", 0.5, {}, "嗯。"),  # it might have heard it
        ("", "好的。", 0.5, {}, "好的。"),
        ("", "好。", 0.86, {"stream": False}, "好。"),
        ("", "好。", 0.84, {"stream": False}, ""),
        ("好", "", 0.86, {"second_pass": False}, "好。"),
        ("好", "", 0.84, {"second_pass": False}, ""),
    ],
)
def test_a_word_with_little_behind_it_is_dropped(
    streamed: str, second: str, certainty: float, profile: dict[str, bool], text: str
) -> None:
    recording = heard(answering(streamed, second, certainty), **profile)
    assert "".join(s.text for s in recording.completed.sentences) == text
    assert any(isinstance(e, SentenceDropped) for e in recording.events) is not bool(text)


def test_digital_silence_is_no_speech_whatever_is_written() -> None:
    assert heard(answering("", "好的。"), said="    ").completed.sentences == ()
