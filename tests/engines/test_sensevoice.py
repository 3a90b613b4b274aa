"""The second pass: exact text on real speech, tags that never leak, silence that stays silent."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from xingji.core.errors import EngineError
from xingji.core.messages import Align, NoSpeech, Transcribe
from xingji.core.timing import ranges
from xingji.core.types import Hotword, HotwordTable, Hypothesis, Samples, Stage
from xingji.engines import spelling
from xingji.engines.sensevoice import Rich, SenseVoice, parse
from xingji.engines.spelling import Tables

from .conftest import SENTENCE
from .scores import assert_same, segment_scores


def read(engine: SenseVoice, samples: Samples, *, language: str = "auto", itn: bool = True) -> Hypothesis | NoSpeech:
    return engine.transcribe([Transcribe(1, samples, language, itn)])[0]


def told(answer: Hypothesis | NoSpeech) -> tuple[str, str | None] | NoSpeech:
    return (answer.text, answer.language) if isinstance(answer, Hypothesis) else answer


def test_reads_the_sentence(sensevoice: SenseVoice, speech: Samples) -> None:
    quiet = np.zeros(8_000, np.int16)
    for samples in (speech, np.concatenate([quiet, speech, quiet])):
        assert told(read(sensevoice, samples)) == (SENTENCE, "zh")


def test_without_itn_there_are_no_marks(sensevoice: SenseVoice, speech: Samples) -> None:
    bare = "".join(c for c in SENTENCE if c.isalnum())
    assert told(read(sensevoice, speech, itn=False)) == (bare, "zh")


def test_language_may_be_forced(sensevoice: SenseVoice, speech: Samples) -> None:
    assert told(read(sensevoice, speech, language="zh")) == (SENTENCE, "zh")
    for language in sensevoice.capabilities.languages:
        assert isinstance(read(sensevoice, speech, language=language), Hypothesis | NoSpeech)
    for language in ("de", "ZH", "", "nospeech"):
        with pytest.raises(EngineError):
            read(sensevoice, speech, language=language)


def test_options_of_one_item_do_not_reach_the_next(sensevoice: SenseVoice, speech: Samples) -> None:
    items = [Transcribe(1, speech, language, itn) for itn in (True, False) for language in ("auto", "zh")]
    together = sensevoice.transcribe(items)
    assert together == [sensevoice.transcribe([item])[0] for item in items]
    assert together[0] != together[2]


def test_a_batch_of_any_lengths_is_the_stock_class(
    sensevoice: SenseVoice, stock: Callable[[str], Any], speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row's scores are those of the stock class alone, and padding changes none."""
    auto = stock("sensevoice")
    model, frontend, tokenizer = auto.model, auto.kwargs["frontend"], auto.kwargs["tokenizer"]
    sounds = [speech, speech[:20_000], speech[30_000:70_000], speech[5_000:9_000]]
    texts = sensevoice.transcribe([Transcribe(1, sound, "auto", True) for sound in sounds])
    scores = segment_scores(sensevoice, sounds, monkeypatch)
    for row, sound in enumerate(sounds):
        theirs, scored = [], model.ctc.log_softmax
        with monkeypatch.context() as patch, torch.inference_mode():
            patch.setattr(model.ctc, "log_softmax", lambda x, f=scored, kept=theirs: kept.append(f(x)) or kept[-1])
            feats, lengths = frontend(torch.from_numpy(sound / np.float32(32_768))[None], [len(sound)])
            (answer,), _ = model.inference(
                feats, lengths, tokenizer=tokenizer, data_type="fbank", use_itn=True,
                device="cpu",
            )  # fmt: skip
        alone = theirs[0][0].numpy()
        assert_same(scores[row, : len(alone)], alone)
        assert told(parse(answer["text"]).reading("auto")) == told(texts[row])


@pytest.mark.parametrize("itn", [True, False])
@pytest.mark.parametrize("seconds", [0.025, 0.1, 1, 10, 30])
def test_silence_is_no_speech(sensevoice: SenseVoice, seconds: float, itn: bool) -> None:
    assert read(sensevoice, np.zeros(round(seconds * 16_000), np.int16), itn=itn) == NoSpeech()


def test_noise_is_no_speech(sensevoice: SenseVoice) -> None:
    noise = np.random.default_rng(2).normal(0, 500, 32_000).astype(np.int16)
    assert read(sensevoice, noise) == NoSpeech()


@pytest.mark.parametrize(
    ("raw", "rich"),
    [
        ("<|zh|><|NEUTRAL|><|Speech|><|withitn|>你好。", Rich("你好。", "zh", "NEUTRAL", "Speech")),
        ("<|en|><|HAPPY|><|BGM|><|woitn|>hello world", Rich("hello world", "en", "HAPPY", "BGM")),
        (
            "<|yue|><|EMO_UNKNOWN|><|Speech|><|withitn|> 早晨  呀 ",
            Rich("早晨 呀", "yue", "EMO_UNKNOWN", "Speech"),
        ),
        (
            "<|zh|><|SAD|><|Speech|><|withitn|>打开 PPT 文件<|Cry|>",
            Rich("打开 PPT 文件", "zh", "SAD", "Speech"),
        ),
        (
            "<|nospeech|><|EMO_UNKNOWN|><|Event_UNK|><|woitn|>",
            Rich("", "nospeech", "EMO_UNKNOWN", "Event_UNK"),
        ),
        ("<|zh|><|NEUTRAL|><|Speech|><|withitn|>。", Rich("", "zh", "NEUTRAL", "Speech")),
        ("你好", Rich("你好", None, None, None)),
        ("", Rich("", None, None, None)),
    ],
)
def test_tags(raw: str, rich: Rich) -> None:
    assert parse(raw) == rich


@pytest.mark.parametrize(
    ("rich", "asked", "answer"),
    [
        (Rich("你好。", "zh", None, "Speech"), "auto", Hypothesis("你好。", language="zh", event="speech")),
        (Rich("你好。", None, None, "Speech"), "zh", Hypothesis("你好。", language="zh", event="speech")),
        (Rich("你好。", None, None, None), "auto", Hypothesis("你好。", language=None)),
        (Rich("你好。", "zh", None, "BGM"), "auto", Hypothesis("你好。", language="zh", event="music")),
        (
            Rich("", "zh", None, "Speech"),
            "auto",
            Hypothesis("", language="zh", event="speech"),
        ),  # lost speech, not silence
        (
            Rich("嗯", "zh", "HAPPY", "Laughter"),
            "auto",
            Hypothesis("嗯", language="zh", emotion="happy", event="laughter"),
        ),
        (Rich("嗯", "zh", "EMO_UNKNOWN", "Event_UNK"), "auto", Hypothesis("嗯", language="zh")),
        (Rich("", "zh", None, "BGM"), "auto", NoSpeech()),
        (Rich("", "zh", None, "Laughter"), "auto", NoSpeech()),
        (Rich("", None, None, None), "zh", NoSpeech()),
        (Rich("", "nospeech", None, "Speech"), "auto", NoSpeech()),
        (Rich("嗯", "nospeech", None, "Event_UNK"), "auto", NoSpeech()),
    ],
)
def test_what_counts_as_speech(rich: Rich, asked: str, answer: Hypothesis | NoSpeech) -> None:
    assert rich.reading(asked) == answer


def test_words_are_where_they_were_said(sensevoice: SenseVoice, speech: Samples) -> None:
    """Every character has its place in the sound, the silence around has none, and the recording's own time counts."""
    quiet, begin = 8_000, 1_000_000
    heard = sensevoice.transcribe([Transcribe(1, np.pad(speech, quiet), "auto", True, begin=begin)])[0]
    assert isinstance(heard, Hypothesis)
    assert "".join(word.text for word in heard.words) == "".join(c for c in SENTENCE if c.isalnum())
    sounding = np.flatnonzero(np.abs(speech) > 200)
    first, last = begin + quiet + sounding[0], begin + quiet + sounding[-1]
    assert abs(heard.words[0].span.start - first) < 1_600
    assert abs(heard.words[-1].span.end - last) < 2_400  # the voice trails an echo
    pairs = list(pairwise(heard.words))
    assert all(left.span.end <= right.span.start for left, right in pairs)
    assert all(1_600 < word.span.end - word.span.start < 9_600 for word in heard.words)  # 100 to 600 ms
    # A comma is spoken as a pause, and only there is one (the first one is short).
    pauses = [left.text + right.text for left, right in pairs if right.span.start - left.span.end > 1_280]
    assert "理欢" in pauses and set(pauses) <= {"好我", "理欢"}
    assert heard.timestamp_source == "ctc" and heard.emotion == "neutral" and heard.event == "speech"
    assert heard.confidence is not None and 0.9 < heard.confidence <= 1
    assert all(word.confidence is not None and 0 < word.confidence <= 1 for word in heard.words)


def test_numbers_and_english_words_are_in_one_piece(sensevoice: SenseVoice, say: Callable[[str], Samples]) -> None:
    heard = read(sensevoice, say("请把 P P T 发给王芳，明天下午三点二十五分开会"))
    assert isinstance(heard, Hypothesis)
    assert [word.text for word in heard.words] == [heard.text[a:b] for a, b in ranges(heard.text)]
    lengths = {word.text: word.span.end - word.span.start for word in heard.words}
    assert lengths["PPT"] > 4_800 and lengths["25"] > 8_000


def test_a_text_that_another_has_read_is_laid_over_the_sound(sensevoice: SenseVoice, speech: Samples) -> None:
    """Each word is where the model's own reading has it, homophones and a strange character too."""
    own = sensevoice.transcribe([Transcribe(1, speech, "auto", True, begin=70)])[0]
    assert isinstance(own, Hypothesis)
    text = SENTENCE.replace("会", "惠").replace("迎", "龘")
    for language in ("auto", "zh", "de"):
        (laid,) = sensevoice.align([Align(1, speech, text, language, begin=70)])
        assert (laid.text, laid.timestamp_source, laid.confidence) == (text, "ctc_alignment", None)
        assert [word.text for word in laid.words] == [c for c in text if c.isalnum()]
        for word, same in zip(laid.words, own.words, strict=True):
            assert abs(word.span.start - same.span.start) <= 2_400 and abs(word.span.end - same.span.end) <= 2_400
            assert word.confidence is None


def test_digits_are_looked_for_as_digits(sensevoice: SenseVoice, say: Callable[[str], Samples]) -> None:
    samples = say("请把 P P T 发给王芳，明天下午三点二十五分开会")
    (laid,) = sensevoice.align([Align(1, samples, "请把PPT发给王芳，明天下午3点25分开会。", "zh")])
    lengths = {word.text: word.span.end - word.span.start for word in laid.words}
    assert lengths["PPT"] > 4_800 and lengths["25"] > 8_000


@pytest.mark.parametrize(("text", "seconds"), [("", 5), ("，。", 5), ("龘龘龘", 5), ("好" * 99, 1), ("你好", 0.01)])
def test_a_text_of_which_nobody_can_say_where_it_is(
    sensevoice: SenseVoice, speech: Samples, text: str, seconds: float
) -> None:
    samples = speech[: round(seconds * 16_000)]
    assert sensevoice.align([Align(1, samples, text, "zh")]) == [Hypothesis(text)]


def test_a_text_of_other_speech_has_no_words(sensevoice: SenseVoice) -> None:
    noise = np.random.default_rng(2).normal(0, 500, 80_000).astype(np.int16)
    assert sensevoice.align([Align(1, noise, SENTENCE, "zh")]) == [Hypothesis(SENTENCE)]


def test_texts_are_laid_each_by_itself(sensevoice: SenseVoice, speech: Samples) -> None:
    items = [Align(1, speech, SENTENCE, "zh"), Align(2, speech[:40_000], "大家好", "auto"), Align(3, speech, "3", "zh")]
    assert sensevoice.align(items) == [sensevoice.align([item])[0] for item in items]


def test_text_that_is_spelt_otherwise_has_no_words(sensevoice: SenseVoice, speech: Samples) -> None:
    """A character that pieces spell in bytes: nobody says where it stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensevoice, "_pieces", Spelt(sensevoice._pieces))
        heard = read(sensevoice, speech)
    assert isinstance(heard, Hypothesis) and heard.text == SENTENCE
    assert (heard.words, heard.confidence, heard.timestamp_source) == ((), None, None)


class Spelt:
    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def decode(self, ids: list[int]) -> str:
        return str(self._pieces.decode(ids))

    def id_to_piece(self, id: int) -> str:
        return "<0xE4>"


def test_hotwords_act_by_their_sound(sensevoice: SenseVoice, speech: Samples) -> None:
    """A table must be known; what it does not change stays as it was, times too."""
    words = HotwordTable("test", (Hotword("欢饮参加", 100), Hotword("系统测试", 100), Hotword("😀", 100)))
    job = Transcribe(1, speech, "auto", True, hotwords=(words,))
    with pytest.raises(EngineError, match="not given"):
        sensevoice.transcribe([job])
    assert words not in sensevoice.tables
    sensevoice.tables.learn(words)
    assert words in sensevoice.tables
    heard, plain = sensevoice.transcribe([job, Transcribe(1, speech, "auto", True)])
    assert isinstance(heard, Hypothesis) and isinstance(plain, Hypothesis)
    assert plain.text == SENTENCE and plain.hotword_hits == ()
    [hit] = heard.hotword_hits or [None]
    assert heard.text == (SENTENCE.replace("欢迎参加", "欢饮参加") if hit else SENTENCE)
    assert [w.text for w in heard.words] == [heard.text[a:b] for a, b in ranges(heard.text)]
    # What was not touched is where it was.
    assert [w for w in heard.words if w.text in "大家好"] == [w for w in plain.words if w.text in "大家好"]


def test_a_name_that_the_model_prefers_to_write_otherwise(
    sensevoice: SenseVoice, say: Callable[[str], Samples]
) -> None:
    sound = say("这个任务由马潮负责，周末之前完成")
    table = HotwordTable("names", (Hotword("马潮", 80),))
    sensevoice.tables.learn(table)
    plain = read(sensevoice, sound)
    heard = sensevoice.transcribe([Transcribe(1, sound, "auto", True, hotwords=(table,))])[0]
    assert isinstance(heard, Hypothesis) and isinstance(plain, Hypothesis)
    assert "马潮" in heard.text
    if "马超" in plain.text:
        [hit] = heard.hotword_hits
        assert (hit.word, hit.replaced, hit.stage) == ("马潮", "马超", Stage.SECOND_PASS) and 0 < hit.score <= 1
        assert [w.text for w in heard.words][5:7] == ["马", "潮"]


def test_tables_that_were_not_used_for_long_give_way(sensevoice: SenseVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spelling, "MOST_WORDS", 4)
    tables = Tables(sensevoice._pieces)
    a, b, c = (HotwordTable(name, (Hotword("张伟"), Hotword("李娜"))) for name in "abc")
    for table in (a, b):
        tables.learn(table)
    tables.spotter(a)
    tables.learn(c)
    assert (a in tables, b in tables, c in tables) == (True, False, True)
    large = HotwordTable("large", (Hotword("张伟"),) * 9)
    tables.learn(large)
    assert large in tables and a not in tables


def test_how_a_hotword_is_spelt(sensevoice: SenseVoice) -> None:
    tables = Tables(sensevoice._pieces)
    assert [unit.text for unit in tables._units("张玮用 API")] == ["张", "玮", "用", "API"], "also what has no token"
    assert tables._units("张玮")[0].keys == ("zhang1",)
    assert tables._units("😀张伟") == (), "nothing writes that"
