"""Where recordings come from: manifests, the layouts of others, and what the tool makes itself."""

import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.support import ROOT, utterances
from tools.quality import disturbed, espeak, heldout, layouts, manifest, nonspeech, runs
from tools.quality.manifest import Clip, Timed
from tools.quality.runs import Wishes
from tools.quality.text import counted
from training.minipack import speech
from training.minipack.speech import HELD_OUT_VARIANTS, TRAINING_VARIANTS, Voice
from xingji.core.types import SAMPLE_RATE

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng is not installed")


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    one = Clip(
        "一",
        tmp_path / "wav" / "a.wav",
        "你好。",
        (Timed("你好。", 0.5, 1.5),),
        (Timed("你", 0.5, 1.0),),
        ("你好",),
        "zh",
    )
    other = Clip("b", ROOT / "tests" / "data" / "speech" / "clock.wav", "")
    manifest.write(tmp_path / "list.jsonl", [one, other])
    assert '"audio": "wav/a.wav"' in (tmp_path / "list.jsonl").read_text("utf-8")
    assert manifest.read(tmp_path / "list.jsonl") == [one, other]


def test_manifests_of_others_are_read(tmp_path: Path) -> None:
    rows = [
        {"file": "speech/a.wav", "text": "你好", "language": "zh-en", "seconds": 3},
        {"audio_filepath": "b.flac", "text": "好"},
        {"file": "noise.wav", "text": None},
        {"file": "rir.wav"},
    ]
    path = tmp_path / "list.jsonl"
    path.write_text("\n\n".join(map(json.dumps, rows)), "utf-8")
    assert manifest.read(path) == [
        Clip("a", tmp_path / "speech" / "a.wav", "你好"),
        Clip("b", tmp_path / "b.flac", "好"),
    ]


BAD_WORDS = '{"audio": "a", "text": "", "words": [{"text": "a"}]}'


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"text": "好"}', '{"audio": 1, "text": "好"}', '{"audio": "a", "text": 1}', BAD_WORDS]
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.jsonl").write_text('{"audio": "a.wav", "text": "好"}\n' + line, "utf-8")
    with pytest.raises(ValueError, match=r"list\.jsonl, line 2"):
        manifest.read(tmp_path / "list.jsonl")


def test_aishell_and_kaldi_are_read_as_they_are_unpacked(tmp_path: Path) -> None:
    aishell, kaldi = tmp_path / "data_aishell", tmp_path / "kaldi"
    (aishell / "transcript").mkdir(parents=True)
    texts = "BAC009S0764W0121 甚至 出现 交易\nBAC009S0002W0122 而 对 楼市\n"
    (aishell / layouts.AISHELL_TEXTS).write_text(texts, "utf-8")
    for place in ("test/S0764/BAC009S0764W0121", "test/S0764/BAC009S0764W0999", "train/S0002/BAC009S0002W0122"):
        wav = aishell / "wav" / f"{place}.wav"
        wav.parent.mkdir(parents=True, exist_ok=True)
        wav.touch()
    (found,) = layouts.clips(aishell)
    assert (found.id, found.text, found.audio.name) == ("BAC009S0764W0121", "甚至 出现 交易", "BAC009S0764W0121.wav")
    assert [clip.id for clip in layouts.clips(aishell, "train")] == ["BAC009S0002W0122"]
    kaldi.mkdir()
    (kaldi / "wav.scp").write_text("u1 wav/u1.wav\nu2 /data/u2.wav\nu3 wav/u3.wav\n", "utf-8")
    (kaldi / "text").write_text("u1 你 好\nu2 再见\n", "utf-8")
    assert [(clip.id, clip.audio, clip.text) for clip in layouts.clips(kaldi)] == [
        ("u1", kaldi / "wav" / "u1.wav", "你 好"),
        ("u2", Path("/data/u2.wav"), "再见"),
    ]
    (kaldi / "wav.scp").write_text("u1 sox u1.wav -t wav - |\n", "utf-8")
    with pytest.raises(ValueError, match="output of a command"):
        layouts.clips(kaldi)
    with pytest.raises(ValueError, match="is no manifest"):
        layouts.clips(tmp_path)


def test_audio_of_any_kind_is_heard_alike() -> None:
    said = utterances()[0]
    path = ROOT / "tests" / "data" / "speech" / f"{said.name}.wav"
    assert manifest.samples(path).tobytes() == said.pcm
    mp3 = manifest.samples(ROOT / "tests" / "data" / "test.mp3")
    assert mp3.dtype == np.int16 and len(mp3) > SAMPLE_RATE


def test_the_recordings_of_the_repository_have_their_labels() -> None:
    clips = layouts.recordings()
    assert [(clip.id, clip.text) for clip in clips] == [(said.name, said.written) for said in utterances()]
    assert all(clip.audio.is_file() and len(clip.spans) == len(clip.sentences) > 0 for clip in clips)


@needs_espeak
def test_held_out_speech_is_the_same_each_time_and_of_no_trained_voice(tmp_path: Path) -> None:
    one, again = (heldout.held_out(tmp_path / name / "set", 6, 11) for name in "ab")
    assert [clip.text for clip in one] == [clip.text for clip in again]
    assert [clip.audio.read_bytes() for clip in one] == [clip.audio.read_bytes() for clip in again]
    assert heldout.held_out(tmp_path / "c", 6, 12)[0].text != one[0].text
    assert not set(HELD_OUT_VARIANTS) & set(TRAINING_VARIANTS)
    rng = Random(1)
    assert all(heldout._sentence(rng, wide=wide).held_out for wide in (False, True) for _ in range(50))


@needs_espeak
def test_words_stand_where_they_sound(tmp_path: Path) -> None:
    for clip in heldout.held_out(tmp_path, 6, 3):
        audio = np.abs(manifest.samples(clip.audio).astype(float))
        assert counted("".join(word.text for word in clip.words)) == counted(clip.text)
        times = [bound for word in clip.words for bound in (word.start, word.end)]
        assert times == sorted(times) and times[-1] < len(audio) / SAMPLE_RATE
        assert clip.sentences[0].start <= times[0] and clip.sentences[-1].end == times[-1]
        inside = np.zeros(len(audio), bool)
        for word in clip.words:
            inside[round(word.start * SAMPLE_RATE) : round(word.end * SAMPLE_RATE) + 1] = True
        assert audio[inside].max() == audio.max() and audio[~inside].max(initial=0) < 0.1 * audio.max()
        assert not audio[: round(clip.sentences[0].start * SAMPLE_RATE) - 1].any()


@needs_espeak
@pytest.mark.parametrize("variant", ["m8", "Denis"])
def test_it_sounds_as_the_recipe_speaks_whatever_was_spoken_before(variant: str) -> None:
    text, voice = "请张伟同学，检查API。", Voice(variant, 170, 55, 1)
    espeak.speak("从成都到北京的飞机几点出发？", voice)
    assert (espeak.speak(text, voice)[0] == speech.speak(text, voice)).all()


@needs_espeak
def test_a_pause_belongs_to_no_word() -> None:
    _, words = espeak.speak("请张伟同学，检查API。", Voice("Denis", 180, 50, 0))
    assert [word.text for word in words] == [*"请张伟同学检查", "API"]
    assert words[5].start - words[4].end > 0.1
    assert 0.2 < words[-1].end - words[-1].start < 1.5


@needs_espeak
def test_namesakes_sound_alike_and_only_they_are_listed(tmp_path: Path) -> None:
    alike = heldout.namesakes()
    assert alike["张伟"] == "张玮" and "赵磊" not in alike and not set(alike) & set(alike.values())
    only = heldout.renamed(tmp_path / "only", 8, 4)
    assert all(clip.hotwords == tuple(alike.values()) for clip in only)
    assert all(any(name in clip.text for name in alike.values()) for clip in only)
    assert not any(name in clip.text for clip in only for name in alike)
    both = "".join(clip.text for clip in heldout.renamed(tmp_path / "both", 12, 4, 0.5))
    assert any(name in both for name in alike) and any(name in both for name in alike.values())


def test_noise_is_as_loud_as_asked() -> None:
    rng = np.random.default_rng(1)
    speech = np.concatenate([np.zeros(SAMPLE_RATE), rng.standard_normal(SAMPLE_RATE) / 10])
    for noise in (disturbed.white(rng, len(speech)), disturbed.music(rng, len(speech))):
        added = disturbed.mixed(speech, noise, 15) - speech
        assert 10 * np.log10(disturbed.loudness(speech) / np.mean(added**2)) == pytest.approx(15)
    silence = np.zeros(100)
    assert (disturbed.mixed(silence, disturbed.white(rng, 100), 15) == 0).all()


def test_a_room_keeps_the_direct_sound_in_its_place() -> None:
    click = np.zeros(SAMPLE_RATE)
    click[1000] = 0.5
    heard = disturbed.in_room(click, np.random.default_rng(2))
    assert np.abs(heard[:1000]).max() < 1e-9 and heard[1000] == pytest.approx(0.5)
    assert np.abs(heard[1001:1079]).max() < 1e-9
    tail = heard[1080:] / 0.5
    assert 10 * np.log10(np.sum(tail**2)) == pytest.approx(-disturbed.DIRECT_DB, abs=0.1)
    assert np.sum(tail[3200:] ** 2) < 0.01 * np.sum(tail[:3200] ** 2)


@pytest.mark.parametrize("kind", [*disturbed.NOISES, "room"])
def test_disturbed_recordings_keep_their_labels_and_length(tmp_path: Path, kind: str) -> None:
    clips = layouts.recordings()[:3]
    made = disturbed.disturbed(tmp_path / "a", clips, kind, 10, 5)
    again = disturbed.disturbed(tmp_path / "b", clips, kind, 10, 5)
    for clip, one, other in zip(clips, made, again, strict=True):
        assert (one.id, one.text, one.sentences) == (clip.id, clip.text, clip.sentences)
        before, after = manifest.samples(clip.audio), manifest.samples(one.audio)
        assert len(before) == len(after) and (before != after).any()
        assert one.audio.read_bytes() == other.audio.read_bytes()


def test_nobody_speaks_in_any_way_for_as_long_as_asked(tmp_path: Path) -> None:
    clips = nonspeech.nonspeech(tmp_path / "a", 5, 1)
    assert len(clips) == 10 and {clip.id[:-3] for clip in clips} == set(nonspeech.KINDS)
    assert not any(clip.text for clip in clips) and len({clip.audio for clip in clips}) == 10
    audio = {clip.id: manifest.samples(clip.audio) for clip in clips}
    assert all(len(one) == nonspeech.CLIP_S * SAMPLE_RATE for one in audio.values())
    assert not audio["silence_00"].any() and all(one.any() for name, one in audio.items() if name[:3] != "sil")
    assert 20 * np.log10(np.abs(audio["pink_00"]).max() / 32767) == pytest.approx(nonspeech.LEVELS_DB[0], abs=0.01)


WISHES = Wishes(held_out=0, noisy=2, snr_db=[10], minutes=0.5, unrelated=30, seed=1)


def test_a_manifest_is_played_plain_with_its_list_with_strange_words_and_in_noise(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "data" / "speech" / "clock.wav", tmp_path)
    rows = [
        Clip(f"c{number}", tmp_path / "clock.wav", "几点？", hotwords=("几点",) * (number % 2)) for number in range(4)
    ]
    manifest.write(tmp_path / "mine.jsonl", rows)
    found = {run.name: run for run in runs.runs([tmp_path / "mine.jsonl"], "test", 3, WISHES, tmp_path / "made")}
    assert list(found) == ["mine", "mine, list", "mine, 30 unrelated words", "mine, 2 of them", "white 10 dB",
                           "babble 10 dB", "music 10 dB", "room, 0.4 s", "nobody speaks"]  # fmt: skip
    assert [name for name, run in found.items() if run.judged] == ["mine"]
    assert found["mine"].sent() == [(), (), ()] and found["mine, list"].sent() == [(), ("几点",), ()]
    assert all(run.base in found for run in found.values() if run.base)
    assert found["room, 0.4 s"].base == "mine, 2 of them"


def test_unrelated_words_are_none_that_are_said() -> None:
    texts = [said.written for said in utterances()]
    words = runs.outside(100, texts, 1)
    assert len(set(words)) == 100 and words == runs.outside(100, texts, 1) != runs.outside(100, texts, 2)
    assert not any(word in text for word in words for text in texts)
    assert "羊驼" not in runs.outside(200, ["羊驼很好"], 1)
