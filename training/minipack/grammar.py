"""The closed domain of the mini pack: words, sentence frames, and the two forms of every sentence.

A sentence is drawn from a frame by filling its slots. Each slot gives two spellings, one as it is spoken
(``三点二十五分``) and one as it is written after inverse text normalisation (``3点25分``), so both forms of
a sentence always agree. Sentences are divided by a digest of their spoken form: about one in ten is held
out and never reaches training.

The domain has two parts that are measured apart: the basic one, and a wide one with English words inside
Mandarin and names that sound almost like the basic ones.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from string import Formatter

PUNCTUATION = "，。？、"
WIDE_SHARE = 0.2
"""Of the trained sentences, how many are of the wide part."""

DIGITS = "零一二三四五六七八九"

WORDS: dict[str, tuple[str, ...]] = {
    "name": (
        "张伟", "李娜", "王芳", "刘洋", "陈静", "杨帆", "赵磊", "黄丽", "周杰", "吴敏",
        "徐强", "孙悦", "马超", "朱婷", "胡军", "林涛", "何平", "高峰", "罗兰", "宋佳",
    ),
    "title": ("经理", "老师", "主任", "工程师", "同学", "总监"),
    "place": ("北京", "上海", "广州", "深圳", "杭州", "南京", "成都", "武汉", "西安", "重庆"),
    "room": ("会议室", "办公室", "实验室", "大厅", "图书馆", "教室"),
    "topic": (
        "语音识别", "人工智能", "项目进度", "市场计划", "产品设计", "系统测试", "数据安全",
        "服务器部署", "用户反馈", "年度预算", "模型训练", "标点恢复", "端点检测", "热词功能",
    ),
    "thing": (
        "项目报告", "会议记录", "测试结果", "设计文档", "合同", "演示文稿", "数据表格", "工作总结",
    ),
    "device": ("空调", "电视", "灯", "窗帘", "音响", "风扇", "电脑", "麦克风"),
    "day": ("今天", "明天", "后天", "昨天", "本周", "下周", "周末"),
    "period": ("上午", "下午", "晚上", "早上", "中午"),
    "weekday": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期天"),
    "act": ("准备", "检查", "发送", "修改", "打印", "整理", "提交", "分享"),
    "judgement": (
        "很好", "不错", "非常重要", "有点困难", "比较简单", "十分顺利", "太慢", "还可以",
    ),
    "switch": ("打开", "关闭"),
    "matter": ("方案", "任务", "问题", "项目"),
    "event": ("会议", "测试", "训练"),
    "carrier": ("火车", "飞机"),
    "ticket": ("火车票", "机票"),
    "move": ("出发", "到达"),
    "weather": ("下雨", "晴天", "多云", "下雪"),
    "closing": ("我们继续", "大家辛苦了", "谢谢大家", "请放心"),
}  # fmt: skip

WIDE_WORDS: dict[str, tuple[str, ...]] = {
    "near_name": ("章威", "程静", "凌涛", "吴明", "何冰", "马潮", "王刚", "李兰"),
    "document": ("PPT", "Excel", "email"),
    "technology": ("API", "GPU", "AI", "Python", "bug"),
    "tool": ("API", "AI", "Python"),
    "greeting": ("OK",),
    "limit": ("deadline",),
}  # fmt: skip

ENGLISH = tuple(sorted({word for words in WIDE_WORDS.values() for word in words if word.isascii()}))
"""Every English word of the domain; each is one token of every vocabulary."""

LOOSE_WORDS = (
    "请问", "谢谢", "大家", "我们", "可以", "开始", "停止", "参加", "欢迎", "负责", "完成", "辛苦", "继续",
    "联系", "结束", "意见", "天气", "录音", "音量", "播放", "保存", "什么时候", "调到", "没问题", "有没有",
)  # fmt: skip

CONFUSABLE_NAMES = (
    "章薇", "张玮", "李纳", "王方", "林滔", "赵雷", "高锋", "刘阳", "杨凡", "黄莉", "宋嘉", "孙岳",
    "胡君", "何萍", "罗岚", "周捷", "朱庭",
)  # fmt: skip
"""Other spellings of the same sounds: never drawn, but their characters belong to every vocabulary."""

FRAMES = (
    "{when}我们在{room}开会，请{person}{act}{thing}。",
    "{when}的会议改到{clock}，请大家准时参加。",
    "现在是{clock}。",
    "今天是{date}，{weekday}。",
    "大家好，我是{person}，欢迎参加今天的会议。",
    "下一个议题是{topic}，请{person}介绍一下。",
    "关于{topic}，大家有什么问题吗？",
    "你觉得{topic}怎么样？",
    "你觉得{person}的{thing}怎么样？",
    "这个{matter}由{person}负责，{when}之前完成。",
    "{person}，你什么时候可以{act}{thing}？",
    "请问{person}什么时候可以到达{place}？",
    "请把{thing}发给{person}。",
    "请{person}{when}之前{act}{thing}。",
    "{switch}{device}。",
    "请{switch}{room}的{device}。",
    "请把空调温度调到{degrees}。",
    "播放音乐，音量调到{percent}。",
    "我的电话号码是{phone}。",
    "房间号是{short_code}，请不要忘记。",
    "订单号是{code}，总价是{yuan}。",
    "数字{digits}。",
    "这张票{yuan}，一共需要{minutes}。",
    "从{place}到{place}的{carrier}几点{move}？",
    "从{place}到{place}的{carrier}什么时候{move}？",
    "我{when}要去{place}，帮我订一张{ticket}。",
    "我们{when}从{place}出发，{clock}到达{place}。",
    "{place}{day}的天气怎么样？",
    "{place}{day}{weather}，气温{degrees}。",
    "{topic}{judgement}，{closing}。",
    "{person}说{topic}{judgement}。",
    "谢谢{person}。",
    "你好，请问{person}在吗？",
    "{person}和{person}一起{act}{thing}、{thing}和{thing}。",
    "本次{event}一共有{number}人参加，比上次增加了{percent}。",
    "准确率是{decimal_percent}，延迟是{milliseconds}。",
    "{year}的{topic}一共完成了{percent}。",
    "如果{topic}有问题，请联系{person}。",
    "虽然{topic}{judgement}，但是{person}还要{act}{thing}。",
    "我们{when}继续讨论{topic}。",
)

WIDE_FRAMES = (
    "请{near_person}{when}之前检查{technology}。",
    "这个{technology}由{near_person}负责，{when}之前完成。",
    "{near_person}的{document}{judgement}。",
    "请把{document}发给{near_person}。",
    "大家好，我是{near_person}，欢迎参加今天的会议。",
    "{near_person}，你什么时候可以{act}{document}？",
    "关于{technology}，大家有什么问题吗？",
    "你觉得{near_person}的{document}怎么样？",
    "{greeting}，{closing}。",
    "{greeting}，请{switch}{room}的{device}。",
    "{when}是{limit}，请{near_person}准时提交{document}。",
    "{topic}一共需要{number}个{technology}。",
    "请用{tool}{act}{thing}和{document}。",
    "请联系{near_person}和{person}。",
    "下一个议题是{technology}，请{near_person}介绍一下。",
)

FIXED_SENTENCES = (
    "好的，没问题。",
    "请开始录音。",
    "停止录音，保存文件。",
    "会议到此结束，谢谢大家。",
    "有没有其他意见？",
    "大家有什么问题吗？",
)


@dataclass(frozen=True)
class Sentence:
    """One punctuated sentence in both forms. ``fixed`` sentences have no slot, hence no held-out kin."""

    spoken: str
    written: str
    fixed: bool = False

    @property
    def held_out(self) -> bool:
        return not self.fixed and zlib.crc32(bare(self.spoken).encode()) % 10 == 0


@dataclass(frozen=True)
class Passage:
    """Consecutive sentences, said in one breath or in several."""

    sentences: tuple[Sentence, ...]

    @property
    def spoken(self) -> str:
        return "".join(sentence.spoken for sentence in self.sentences)

    @property
    def written(self) -> str:
        return "".join(sentence.written for sentence in self.sentences)


def bare(text: str) -> str:
    """The text without its punctuation marks."""
    return "".join(char for char in text if char not in PUNCTUATION)


def units(text: str) -> list[str]:
    """What the models count in: every English word, and every other character."""
    return re.findall(r"[A-Za-z]+|.", text)


def spoken_units(text: str) -> list[str]:
    """The units without the marks, which go last: they keep the English words of two sentences apart."""
    return [unit for unit in units(text) if unit not in PUNCTUATION]


def draw_sentence(rng: Random, *, held_out: bool, wide: bool = False) -> Sentence:
    """A sentence of the basic or the wide part, from the asked side of the split."""
    while True:
        sentence = wide_sentence(rng) if wide else basic_sentence(rng)
        if sentence.held_out == held_out and not (held_out and sentence.fixed):
            return sentence


def draw_passage(rng: Random, count: int, *, held_out: bool, wide: float = 0.0) -> Passage:
    """``count`` sentences, each of the wide part with the probability ``wide``."""
    return Passage(
        tuple(draw_sentence(rng, held_out=held_out, wide=wide > 0 and rng.random() < wide) for _ in range(count))
    )


def draw_salad(rng: Random) -> Passage:
    """Two to six unrelated words: keeps the models from learning frames instead of sounds."""
    while True:
        words = [rng.choice(_ALL_WORDS) for _ in range(rng.randint(2, 6))]
        if any(left.isascii() and right.isascii() for left, right in pairwise(words)):
            continue  # two English words without a space between them would be one
        text = "".join(words) + "。"
        salad = Sentence(text, text)
        if not salad.held_out:
            return Passage((salad,))


def spoken_characters() -> list[str]:
    """Every character a spoken form can hold, marks and English apart, in code point order."""
    han = {char for char in bare("".join(_literals())) if not char.isascii()}
    return sorted(han | set(DIGITS + "两十百千点年月日号度元分毫秒钟之半人"))


def written_characters() -> list[str]:
    """Every character a written or spoken form can hold, English apart, in code point order."""
    return sorted({*spoken_characters(), *PUNCTUATION, *"0123456789.%"})


def read_number(value: int) -> str:
    """How 0..9999 is said: 0 零, 10 十, 110 一百一十, 1005 一千零五."""
    if not 0 <= value <= 9999:
        raise ValueError(f"no reading for {value}")
    if value == 0:
        return DIGITS[0]
    said, gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // unit % 10
        if digit == 0:
            gap = bool(said)
            continue
        said += ("零" if gap else "") + DIGITS[digit] + name
        gap = False
    return said[1:] if 10 <= value < 20 else said


def read_digits(digits: str) -> str:
    """Digit by digit, as in telephone numbers and years."""
    return "".join(DIGITS[int(digit)] for digit in digits)


Forms = tuple[str, str]
"""One slot's spoken and written spelling."""


def wide_sentence(rng: Random) -> Sentence:
    """A sentence of the wide part from either side of the split."""
    return Sentence(*_fill(rng.choice(WIDE_FRAMES), rng))


def basic_sentence(rng: Random) -> Sentence:
    """A sentence of the basic part from either side of the split."""
    pick = rng.randrange(len(FRAMES) + len(FIXED_SENTENCES))
    if pick >= len(FRAMES):
        text = FIXED_SENTENCES[pick - len(FRAMES)]
        return Sentence(text, text, fixed=True)
    spoken, written = _fill(FRAMES[pick], rng)
    return Sentence(spoken, written)


def _fill(frame: str, rng: Random) -> Forms:
    spoken = written = ""
    for literal, slot, _, _ in Formatter().parse(frame):
        said, put = _draw_slot(slot, rng) if slot else ("", "")
        spoken += literal + said
        written += literal + put
    return spoken, written


def _draw_slot(slot: str, rng: Random) -> Forms:
    words = WORDS.get(slot) or WIDE_WORDS.get(slot)
    if words:
        word = rng.choice(words)
        return word, word
    return _SLOTS[slot](rng)


def _person(rng: Random) -> Forms:
    return _fill("{name}{title}" if rng.random() < 0.4 else "{name}", rng)


def _near_person(rng: Random) -> Forms:
    return _fill("{near_name}{title}" if rng.random() < 0.4 else "{near_name}", rng)


def _number(value: int) -> Forms:
    return read_number(value), str(value)


def _with_unit(value: int, unit: str) -> Forms:
    spoken, written = _number(value)
    return spoken + unit, written + unit


def _spelt(rng: Random, lengths: tuple[int, ...]) -> Forms:
    digits = "".join(str(rng.randrange(10)) for _ in range(rng.choice(lengths)))
    return read_digits(digits), digits


def _phone(rng: Random) -> Forms:
    digits = "1" + "".join(str(rng.randrange(10)) for _ in range(10))
    return read_digits(digits), digits


def _percent(rng: Random) -> Forms:
    value = rng.randint(2, 99)
    return "百分之" + read_number(value), f"{value}%"


def _decimal_percent(rng: Random) -> Forms:
    value, tenth = rng.randint(50, 99), rng.randint(1, 9)
    return f"百分之{read_number(value)}点{DIGITS[tenth]}", f"{value}.{tenth}%"


def _year(rng: Random) -> Forms:
    year = str(rng.randint(2020, 2029))
    return read_digits(year) + "年", year + "年"


def _date(rng: Random) -> Forms:
    spoken_year, written_year = _year(rng) if rng.random() < 0.3 else ("", "")
    month, day = rng.randint(1, 12), rng.randint(1, 31)
    return (
        f"{spoken_year}{read_number(month)}月{read_number(day)}日",
        f"{written_year}{month}月{day}日",
    )


def _clock(rng: Random) -> Forms:
    hour, kind = rng.randint(1, 12), rng.random()
    period = rng.choice(WORDS["period"]) if rng.random() < 0.6 else ""
    # Two o'clock is 两点; every other hour reads as its number.
    spoken = period + ("两" if hour == 2 else read_number(hour)) + "点"
    written = f"{period}{hour}点"
    if kind < 0.4:
        return spoken, written
    if kind < 0.55:
        return spoken + "半", written + "半"
    minute = rng.randint(10, 59)
    return f"{spoken}{read_number(minute)}分", f"{written}{minute}分"


def _when(rng: Random) -> Forms:
    kind = rng.random()
    if kind < 0.4:
        return _fill("{day}{clock}", rng)
    if kind < 0.6:
        return _date(rng)
    if kind < 0.8:
        return _fill(rng.choice(("本周{weekday}", "下周{weekday}", "{weekday}")), rng)
    return _fill("{day}", rng)


_SLOTS: dict[str, Callable[[Random], Forms]] = {
    "person": _person,
    "near_person": _near_person,
    "number": lambda rng: _number(rng.choice((rng.randint(2, 99), rng.randint(100, 999)))),
    "phone": _phone,
    "short_code": lambda rng: _spelt(rng, (3, 4)),
    "code": lambda rng: _spelt(rng, (4, 5, 6)),
    "digits": lambda rng: _spelt(rng, (2, 3, 4, 5, 6, 7, 8)),
    "degrees": lambda rng: _with_unit(rng.randint(1, 35), "度"),
    "yuan": lambda rng: _with_unit(rng.randint(21, 9999), "元"),
    "minutes": lambda rng: _with_unit(rng.randint(2, 90), "分钟"),
    "milliseconds": lambda rng: _with_unit(rng.randint(100, 999), "毫秒"),
    "percent": _percent,
    "decimal_percent": _decimal_percent,
    "year": _year,
    "date": _date,
    "clock": _clock,
    "when": _when,
}

_ALL_WORDS = (*(word for words in (*WORDS.values(), *WIDE_WORDS.values()) for word in words), *LOOSE_WORDS)


def _literals() -> Iterator[str]:
    """Every piece of text the frames, the fixed sentences and the word lists are built from."""
    yield from _ALL_WORDS
    yield from CONFUSABLE_NAMES
    yield from FIXED_SENTENCES
    for frame in (*FRAMES, *WIDE_FRAMES):
        for literal, _, _, _ in Formatter().parse(frame):
            yield literal
