"""Which recordings are played under which conditions. A run that has a base is compared with it."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import disturbed, espeak, heldout, layouts, manifest
from .manifest import Clip
from .nonspeech import nonspeech
from .text import counted

# fmt: off
_FAMILY = (
    "钱孙褚卫蒋韩秦尤许吕施孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌苗凤花方俞任袁柳鲍史唐费廉岑薛雷"
    "贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄"
)
_GIVEN = (
    "博超晨迪恩菲歌皓佳凯岚墨宁鹏琪瑞珊桐婉馨妍泽卓昊霖萱逸欣宸翰瑾琳梓轩涵彤睿颖雨嘉怡思远子若曦天佑一诺可俊熙浩"
    "然文语嫣诗晓东志强国庆建华秀兰桂英"
)
_WORDS = (
    "蒸汽机", "量子纠缠", "青花瓷", "羊驼", "抛物线", "榫卯", "提拉米苏", "潮汐锁定", "叶绿素", "龙卷风", "卡布奇诺",
    "甲骨文", "火山灰", "紫砂壶", "微积分", "集装箱", "热气球", "望远镜", "丝绸之路", "变色龙", "Kubernetes",
    "TensorFlow", "Photoshop", "Bluetooth", "Wikipedia",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Run:
    """``judged``: its second pass must hold what ``--fail-above`` asks."""

    name: str
    clips: Sequence[Clip]
    hotwords: Sequence[tuple[str, ...]] = ()  # for each recording; none where empty
    base: str | None = None
    judged: bool = False

    def sent(self) -> Sequence[tuple[str, ...]]:
        return self.hotwords or [()] * len(self.clips)


@dataclass(frozen=True, slots=True)
class Wishes:
    """``noisy``: recordings in each noise; ``minutes`` in which nobody speaks. 0 leaves a run out."""

    held_out: int
    noisy: int
    snr_db: Sequence[float]
    minutes: float
    unrelated: int
    seed: int
    hotwords: tuple[str, ...] = ()  # for every recording of the manifests


def runs(paths: Iterable[Path], part: str, most: int | None, wishes: Wishes, folder: Path) -> list[Run]:
    """Of the manifests, or of the repository's own recordings where none is given. Files go to ``folder``.

    Raises ValueError or OSError where a manifest cannot be used.
    """
    given = [Run(_name(path), layouts.clips(path, part)[:most], judged=True) for path in paths]
    whole = given or own(wishes, folder)
    made = list(whole)
    for run in whole:
        if given:
            made += _listed(run, wishes.hotwords)
        made += _unrelated(run, wishes)
    made += _noisy(max(whole, key=lambda run: len(run.clips)), wishes, folder)
    if not given and espeak.available() and wishes.held_out:
        made += namesakes(wishes, folder)
    if wishes.minutes:
        made.append(Run("nobody speaks", nonspeech(folder / "nonspeech", wishes.minutes, wishes.seed)))
    return made


def own(wishes: Wishes, folder: Path) -> list[Run]:
    """The frozen recordings, and where espeak-ng is installed more held-out speech of the same domain."""
    found = [Run("recordings", layouts.recordings(), judged=True)]
    if espeak.available() and wishes.held_out:
        clips = heldout.held_out(folder / "held_out", wishes.held_out, wishes.seed)
        manifest.write(folder / "held_out.jsonl", clips)
        found.append(Run("held out", clips, judged=True))
    return found


def namesakes(wishes: Wishes, folder: Path) -> list[Run]:
    """Names that sound like those the models know. In the first set only the words of the list are ever meant, in the
    second both spellings are in use, which no recogniser can tell apart by ear: kept apart for that reason."""
    made = []
    for name, place, share in (("namesakes", "namesakes", 1.0), ("both spellings", "both_spellings", 0.5)):
        clips = heldout.renamed(folder / place, wishes.held_out // 2 or 1, wishes.seed + 1, share)
        manifest.write(folder / f"{place}.jsonl", clips)
        plain = Run(name, clips)
        made += [plain, *_listed(plain)]
    return made


def _listed(run: Run, more: tuple[str, ...] = ()) -> list[Run]:
    """With the hotwords of the recordings, and those for all of them."""
    lists = [tuple(dict.fromkeys((*clip.hotwords, *more))) for clip in run.clips]
    return [replace(run, name=f"{run.name}, list", hotwords=lists, base=run.name, judged=False)] if any(lists) else []


def _unrelated(run: Run, wishes: Wishes) -> list[Run]:
    if not wishes.unrelated:
        return []
    words = outside(wishes.unrelated, [clip.text for clip in run.clips], wishes.seed)
    name = f"{run.name}, {len(words)} unrelated words"
    return [replace(run, name=name, hotwords=[words] * len(run.clips), base=run.name, judged=False)]


def outside(count: int, texts: Iterable[str], seed: int) -> tuple[str, ...]:
    """Names and words that occur in none of ``texts``: a list that has nothing to do here and must change nothing."""
    said = "\n".join(map(counted, texts))
    rng, found = random.Random(seed), dict[str, None]()
    words = [word for word in _WORDS if counted(word) not in said]
    for number in range(20 * count):
        if len(found) >= count:
            break
        if words and number % 5 == 0:
            word = words.pop(rng.randrange(len(words)))
        else:
            word = rng.choice(_FAMILY) + "".join(rng.choice(_GIVEN) for _ in range(rng.choice((1, 2, 2))))
        if word not in said:
            found[word] = None
    return tuple(found)


def _noisy(run: Run, wishes: Wishes, folder: Path) -> list[Run]:
    """Of some recordings, evenly chosen; the same ones undisturbed are the base."""
    if not wishes.noisy:
        return []
    count = min(wishes.noisy, len(run.clips))
    clips = [run.clips[number * len(run.clips) // count] for number in range(count)]
    base = f"{run.name}, {count} of them" if count < len(run.clips) else run.name
    made = [Run(base, clips)] if base != run.name else []
    conditions = [(kind, snr) for kind in disturbed.NOISES for snr in wishes.snr_db] + [("room", 0.0)]
    for kind, snr in conditions:
        name = f"{kind} {snr:g} dB" if kind != "room" else f"room, {disturbed.ROOM_S:g} s"
        place = folder / f"{kind}_{snr:g}"
        made.append(Run(name, disturbed.disturbed(place, clips, kind, snr, wishes.seed), base=base))
    return made


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.resolve().name
