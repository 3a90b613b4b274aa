"""Written form: marks, spaces and fillers, and what of a growing text is already sure."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.types import Hypothesis, Span, Word
from xingji.core.written import MARKS, Style, rewrite, sentences, write

PLAIN = Style()
OFF = Style(punctuation=False)
CLEAN = Style(remove_fillers=True)
PAUSES = set(MARKS) - {"…"}


def told(text: str, style: Style = PLAIN, complete: bool = True) -> str:
    return write(text, style, complete).text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("", ""),
        ("。", ""),
        (" ，…” ", ""),
        ("你好", "你好。"),
        ("。你好，", "你好。"),
        ("，，你好。。", "你好。"),
        ("你好，。再见！？", "你好。再见？"),
        ("你好 。 ， 再见", "你好。再见。"),
        ("你好!再见.", "你好！再见。"),
        ("我……不知道……", "我…不知道。"),
        ("他说：“好。”", "他说：“好。”"),
        ("他说：“好”", "他说：“好”。"),
        ("你 好 世 界", "你好世界。"),
        ("打开 PPT 文件", "打开PPT文件。"),
        ("下午 3 点 25 分", "下午3点25分。"),
        ("请用API整理，Python也行", "请用API整理，Python也行。"),
        ("hello   world", "hello world."),
        ("hello，world。", "hello, world."),
        ("Hello,world.It's 3.5 or 1,000 at 10:30 on node.js", "Hello, world.It's 3.5 or 1,000 at 10:30 on node.js."),
        ("增长98.5%，现在是10:30", "增长98.5%，现在是10:30。"),
        ("OK,我们开始.", "OK，我们开始。"),
        ("我认识Mr. Smith", "我认识Mr. Smith。"),
        ('He said: "Yes." Then "No"', 'He said: "Yes." Then "No".'),
        ("well…yes", "well… yes."),
        ("안녕하세요 여러분", "안녕하세요 여러분."),
        ("こんにちは、世界", "こんにちは、世界。"),
        ("13800135679", "13800135679。"),
    ],
)
def test_marks_and_spaces(raw: str, text: str) -> None:
    assert told(raw) == text
    assert told(text) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("你好吗", "你好吗？"),
        ("这是什么，", "这是什么？"),
        ("我知道你说什么。", "我知道你说什么。"),  # what the recogniser wrote stands
        ("这个多少钱一斤", "这个多少钱一斤。"),  # where it is not plain that it asks, it does not
        ("一共多少", "一共多少？"),
        ("what is it", "what is it?"),
        ("Is it", "Is it?"),
        ("island", "island."),
        ("is", "is."),
    ],
)
def test_the_last_mark_that_is_missing(raw: str, text: str) -> None:
    assert told(raw) == text


def test_what_has_no_letters_is_marked_as_its_language_wants() -> None:
    assert told("42", Style(language="en")) == "42."
    assert rewrite(Hypothesis("42", language="en"), Style(), True).text == "42."
    assert rewrite(Hypothesis("42", language="zh"), Style(language="en"), True).text == "42。"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("你好，世界。", "你好世界"),
        ("Hello, world.", "Hello world"),
        ("Hello,world.", "Hello world"),
        ("增长98.5%，约1,000人：10:30", "增长98.5%约1,000人10:30"),
        ("他说：“好。”", "他说好"),
        ("卡尔·马克思", "卡尔·马克思"),
        ("It's e-mail", "It's e-mail"),
    ],
)
def test_no_marks_where_they_are_off(raw: str, text: str) -> None:
    assert told(raw, OFF) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("嗯，我们开始", "我们开始。"),
        ("嗯我们开始", "我们开始。"),
        ("呃呃我们，呃，开始。呃。", "我们，开始。"),
        ("我想，那个，明天开会", "我想，明天开会。"),
        ("我想，嗯，那个，明天，啊，开会", "我想，明天，开会。"),
        ("好。嗯，那个，再见", "好。再见。"),
        ("我想想，嗯。", "我想想。"),
        ("Uh, we um should go. Um, hmm, now", "We um should go. Now."),
        ("uh we should go", "we should go."),
        ("呃，OK", "OK."),
        # No fillers:
        ("嗯。", "嗯。"),
        ("嗯嗯，啊", "嗯嗯，啊。"),
        ("呃", "呃。"),
        ("你去吗？嗯。我去", "你去吗？嗯。我去。"),
        ("啊呀，下雨了", "啊呀，下雨了。"),
        ("是啊，好啊", "是啊，好啊。"),
        ("嗯哼，知道", "嗯哼，知道。"),
        ("呃逆怎么治", "呃逆怎么治。"),
        ("那个人，这个人", "那个人，这个人。"),
        ("你要哪个？那个。", "你要哪个？那个。"),
        ("我要，那个。", "我要，那个。"),
        ("额度，额头", "额度，额头。"),
        ("打嗝和打呃，umbrella", "打嗝和打呃，umbrella。"),
        ("ER, now", "ER, now."),
        ("I, um", "I."),
    ],
)
def test_fillers(raw: str, text: str) -> None:
    assert told(raw, CLEAN) == text
    assert told(text, CLEAN) == text


def test_fillers_stay_where_nobody_minds_them() -> None:
    assert told("嗯，呃，我们开始") == "嗯，呃，我们开始。"


def test_fillers_without_marks_between_them() -> None:
    bare = Style(punctuation=False, remove_fillers=True)
    assert told("呃我们，那个，开始", bare) == "我们那个开始"  # nothing says that it stands alone
    assert told("那个嗯", bare) == "那个嗯"


def test_a_growing_text_keeps_its_end_open() -> None:
    assert told("，我们，", complete=False) == "我们，"
    assert told("我们", complete=False) == "我们"
    assert write("嗯，我们", CLEAN, False, 2).stable == 0  # it may turn out to be all there is
    assert write("嗯，我们", CLEAN, False, 3) == replace(write("嗯，我们", CLEAN, False), stable=1)
    assert write("我们，那", CLEAN, False, 4).stable == 2
    assert write("我们，那", Style(), False, 4).stable == 4


def test_every_character_tells_where_it_comes_from() -> None:
    written = write(" 嗯，打开 PPT,好", CLEAN)
    assert written.text == "打开PPT，好。"
    assert written.origin == (3, 4, 6, 7, 8, 9, 10, 10)
    assert written.stable == len(written.text)


def test_words_go_with_their_characters() -> None:
    words = tuple(Word(text, Span(i, i + 1)) for i, text in enumerate(["嗯", "我们", "Python", "?!", "写"]))
    new = rewrite(Hypothesis("嗯，我们用 Python 写", words=words), CLEAN, True)
    assert [word.text for word in new.words] == ["我们", "Python", "?!", "写"]
    assert rewrite(Hypothesis("嗯，好", words=words[:1]), Style(), True).words == words[:1]


def test_what_else_a_reading_says_stays() -> None:
    reading = Hypothesis("你好", bare="你好", stable=2, language="zh")
    assert rewrite(reading, Style(), True) == replace(reading, text="你好。", stable=3)
    assert rewrite(reading, Style(), False) == reading
    assert rewrite(replace(reading, stable=0), Style(), True).stable == 0


styles = st.builds(Style, st.booleans(), st.booleans(), st.sampled_from(["auto", "zh", "en"]))
texts = st.lists(
    st.sampled_from([*"嗯呃啊那个我们逆哼1.,，。？：… ", "um", "u", "Uh", "hello", "Ok", "“", "”", '"', "あ"]),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("好的，走吧", ["好的，走吧"]),
        ("好的。走吧？", ["好的。", "走吧？"]),
        ("真的？！好。", ["真的？！", "好。"]),
        ("It is 3.5. Use node.js! 好。", ["It is 3.5.", "Use node.js!", "好。"]),
    ],
)
def test_sentences_end_at_their_marks(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@given(texts, styles)
def test_the_promises_about_complete_text(raw: str, style: Style) -> None:
    written = write(raw, style)
    text = written.text
    assert text[:1] not in {*PAUSES, "…", " "} and "  " not in text
    assert not any(a in PAUSES and b in PAUSES for a, b in pairwise(text))
    if text and style.punctuation:
        assert text.rstrip('”"')[-1] in "。？！.?!"
    assert not any(" " in pair and max(pair) > "\u2e80" for pair in pairwise(text))
    assert len(written.origin) == len(text) and list(written.origin) == sorted(written.origin)
    assert all(c.lower() == raw[i].lower() for c, i in zip(text, written.origin, strict=True) if c.isalnum())
    assert bool(text) == any(c.isalnum() for c in raw)
    if not style.remove_fillers:
        assert [c for c in text if c.isalnum()] == [c for c in raw if c.isalnum()]


@given(texts, texts, texts, styles, st.booleans())
def test_what_is_stable_stays_however_the_text_goes_on(
    firm: str, now: str, later: str, style: Style, complete: bool
) -> None:
    shown = write(firm + now, style, False, len(firm))
    after = write(firm + later, style, complete, len(firm))
    assert after.text.startswith(shown.text[: shown.stable])
    assert shown.stable <= len(shown.text)


@given(texts, texts, styles)
def test_what_is_stable_only_grows(firm: str, more: str, style: Style) -> None:
    before, after = write(firm, style, False, len(firm)), write(firm + more, style, False, len(firm + more))
    assert before.stable <= after.stable
