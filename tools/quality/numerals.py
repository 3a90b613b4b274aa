"""Numbers as they are said become numbers as they are written, so that both ways of writing count as right.

From said to written is nearly a function, back it is not (2015年 is said digit by digit, 2015人 is not), so digits
are what both texts are brought to: 二零一五 and 两千零一十五 are 2015, 三百五 is 350, 三万五 and 3.5万 are 35000,
百分之三 and 3% are 百分之3, and the sign between digits is always 点, as it is said: 98.5 and 九十八点五 are 98点5,
3:25 is 3点25, -5 is 负5, 25℃ and 二十五摄氏度 are 25度.

Not decided, hence not touched: 几十, 数百, 百 and 千 by themselves, 2020-01-02 against 二零二零年一月二日.
What is no number (十分, 一起, 星期一) is changed alike in both texts, which only weighs a 十 as two characters.
"""

import re
import unicodedata

_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "幺": 1}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_BIG = {"万": 10**4, "亿": 10**8}
_UNITS = _SMALL | _BIG

_DIGIT = "".join(_DIGITS).replace("幺", "")
_RUN = re.compile(rf"(?:[{_DIGIT}十]|幺(?=[幺{_DIGIT}]))[幺{_DIGIT}十百千万亿]*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SIGN = re.compile(r"(?<=\d)[.:点](?=\d)")
_DECIMAL = re.compile(rf"([{_DIGIT}十百千]+)点([{_DIGIT}]+)(?=[万亿])")
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_SCALED = re.compile(r"(\d+)点(\d+)([万亿])")
_HUNDREDS = re.compile(r"(\d)([千百])")
_MIXED = re.compile(r"(?<!点)(?<!\d)(?=\d+[万亿])(?:(\d+)亿)?(?:(\d{1,4})万|(\d+)万)?(\d{1,4}(?!\d))?")
_PER = re.compile(r"(\d+(?:点\d+)?)([%‰])")
_PER_NAMES = {"%": "百分之", "‰": "千分之"}


def written(text: str) -> str:
    """``text`` with its numbers so, and all of it after NFKC and in lower case.

    >>> written("三点二十五分，百分之九十八点五，幺三八零零")
    '3点25分，百分之98点5，13800'
    """
    # A full-width comma is a mark between two numbers, a plain one sets thousands apart.
    text = unicodedata.normalize("NFKC", _THOUSANDS.sub("", text)).lower()
    text = text.replace("摄氏度", "度").replace("°c", "度").replace("百分之百", "百分之100")
    text = _MINUS.sub("负", text)
    # Here the digits before a unit are a fraction, not a number that the unit counts.
    text = _DECIMAL.sub(lambda found: f"{_value(found[1])}点{_value(found[2])}", text)
    text = _RUN.sub(lambda run: _value(run[0]), text)
    text = _SIGN.sub("点", text)
    text = _SCALED.sub(_scaled, text)
    text = _HUNDREDS.sub(lambda found: found[1] + {"千": "000", "百": "00"}[found[2]], text)
    text = _MIXED.sub(_mixed, text)
    return _PER.sub(lambda found: _PER_NAMES[found[2]] + found[1], text)


def _scaled(found: re.Match[str]) -> str:
    """1点25万 is 12500; with more places than the unit has zeros it stays."""
    whole, part, unit = found[1], found[2], found[3]
    zeros = len(str(_BIG[unit])) - 1
    return found[0] if len(part) > zeros else str(int(whole + part) * 10 ** (zeros - len(part)))


def _mixed(found: re.Match[str]) -> str:
    """1亿2300万5 in digits and units is one number."""
    parts = ((found[1], 10**8), (found[2] or found[3], 10**4), (found[4], 1))
    return str(sum(int(part) * unit for part, unit in parts if part))


def _value(run: str) -> str:
    """The numbers of a run of numerals, one after another."""
    if not any(character in _UNITS for character in run):
        return "".join(str(_DIGITS[digit]) for digit in run)
    numbers, at = "", 0
    while at < len(run):
        number, at = _number(run, at)
        numbers += number
    return numbers


def _number(run: str, at: int) -> tuple[str, int]:
    """The number that begins at ``at``, whose units fall, and where the next one begins."""
    total = section = 0
    digit: int | None = None
    unit, big, begin, gap = 10**4, 10**12, at, False
    while at < len(run):
        character = run[at]
        if character in _DIGITS:
            if digit is not None:
                break
            if _DIGITS[character] == 0 and (total or section):
                gap = True
            else:
                digit = _DIGITS[character]
        elif character in _SMALL:
            if _SMALL[character] >= unit or (digit is None and character != "十"):
                break
            unit = _SMALL[character]
            section, digit, gap = section + unit * (1 if digit is None else digit), None, False
        else:
            if not section + (digit or 0) or _BIG[character] >= big:
                break
            big, unit = _BIG[character], 10**4
            total, section, digit, gap = total + big * (section + (digit or 0)), 0, None, False
        at += 1
    if at < len(run) and run[at] in _UNITS and digit is not None and at - begin > 1:
        at, digit = at - 1, None  # the digit belongs to the number that this unit begins
    if at == begin:
        return run[at], at + 1  # a unit that counts nothing
    last = big if unit == 10**4 and total else unit
    if digit is not None and not gap and last >= 100 and (total or section):
        digit *= last // 10  # 三百五
    return str(total + section + (digit or 0)), at
