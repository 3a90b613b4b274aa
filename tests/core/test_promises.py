"""The promises that hold for every recording, on speech-like audio and random schedules.

``Recording`` checks the shape of all that is said (tiling, stages, revisions, limits); the tests
here add what only they know: what was said, and another run to compare with.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.recording import PLAIN, PROFILE, Faults, Recording, lossy, outcome, record
from tests.core.world import COUGH, LETTERS, MARK, TICK, Table, Words, World, letters, say, written
from xingji.core.messages import (
    Command,
    Commit,
    Configure,
    Correct,
    Decode,
    Detect,
    Hurry,
    Job,
    Lost,
    Profile,
    Result,
    SpeechStarted,
    Stop,
    Transcribe,
)
from xingji.core.passes import AT_ONCE
from xingji.core.segment import RETRIES, STEPS
from xingji.core.types import SAMPLE_RATE, Hypothesis, Samples, Stage

words = st.text(LETTERS, min_size=1, max_size=6)
pauses = st.integers(1, 9).map(" ".__mul__)
others = st.sampled_from(["#", "##", "~", "   #    ", LETTERS * 2])
texts = st.lists(st.one_of(words, pauses, words, pauses, others), max_size=12).map("".join)
leads = st.integers(0, 3_199)
cuts = st.lists(st.integers(0, 60 * TICK), max_size=12)
seeds = st.integers(0, 9_999)
moments = st.integers(0, 60 * TICK)
HOTWORDS = Table({written("fg", 2): written("fg", 3)})
WITH_HOTWORDS = replace(PROFILE, hotwords=HOTWORDS, stream=False)


PREVIEWED = replace(PROFILE, stream=False, preview=True, longest=10 * SAMPLE_RATE)


def said(text: str) -> str:
    return "".join(c for c in text if c in LETTERS)


# -- 1: every sample is accounted for ---------------------------------------------------


@given(texts, leads, cuts, seeds)
def test_nothing_said_is_lost(text: str, lead: int, frames: list[int], seed: int) -> None:
    assert letters(record(say(text, lead), PROFILE, frames, seed=seed).text) == said(text)


@given(texts, leads, cuts, seeds, st.lists(moments, max_size=4))
def test_nothing_said_is_lost_at_commits(text: str, lead: int, frames: list[int], seed: int, at: list[int]) -> None:
    recording = record(say(text, lead), PROFILE, frames, [(position, Commit()) for position in at], seed=seed)
    assert letters(recording.text) == said(text)


@given(texts, leads, seeds)
def test_nothing_said_is_lost_without_a_detector(text: str, lead: int, seed: int) -> None:
    recording = record(say(text, lead), PROFILE, range(0, 10**6, 3_200), faults=lossy(seed, Detect, share=1), seed=seed)
    assert letters(recording.text) == said(text)


@given(texts, leads, cuts, seeds, st.sampled_from([Transcribe, Decode]), st.lists(moments, max_size=2))
def test_one_recogniser_is_enough(
    text: str, lead: int, frames: list[int], seed: int, weak: type, at: list[int]
) -> None:
    """Whichever pass is lost at random, beside the detector and the corrector, the other one stands."""
    faults = lossy(seed, weak, Detect, Correct)
    recording = record(say(text, lead), PROFILE, frames, [(p, Commit()) for p in at], faults, seed)
    assert letters(recording.text) == said(text)


def crashing(audio: Samples, frames: list[int], seed: int, crashes: list[int], detector: bool) -> Recording:
    """Each number: after so many frames the worker dies."""
    recording = Recording(PLAIN, seed=seed)
    begin = 0
    for number, end in enumerate([*sorted(min(cut, len(audio)) for cut in frames), len(audio)]):
        recording.feed(audio[begin:end], range(0, len(audio), 3_200))
        begin = end
        if number in crashes:
            recording.crash(detector)
    recording.finish()
    return recording


crashes = st.lists(st.integers(0, 12), max_size=RETRIES)
# Without noise: there the second pass hears nothing, the streamed text stands, and a detector that
# begins again may end a sentence before what was streamed already. Then a word may stand in two.
clear = texts.map(lambda text: text.replace("~", "#"))


@given(clear, leads, cuts, seeds, crashes)
def test_nothing_said_is_lost_when_the_worker_crashes(
    text: str, lead: int, frames: list[int], seed: int, at: list[int]
) -> None:
    assert letters(crashing(say(text, lead), frames, seed, at, detector=True).text) == said(text)


@given(texts, leads, cuts, seeds, crashes)
def test_a_decoder_that_crashes_leaves_no_trace(
    text: str, lead: int, frames: list[int], seed: int, at: list[int]
) -> None:
    audio = say(text, lead)
    assert outcome(crashing(audio, frames, seed, at, detector=False)) == outcome(record(audio, PLAIN))


@given(clear, seeds)
def test_a_worker_that_always_crashes_loses_only_its_own_pass(text: str, seed: int) -> None:
    recording = Recording(PLAIN, seed=seed)
    audio = say(text)
    for begin in range(0, len(audio), 3_200):
        recording.feed(audio[begin : begin + 3_200])
        recording.crash()
    recording.finish()
    assert letters(recording.text) == said(text)


@given(texts, cuts, seeds)
def test_everything_may_be_lost_and_still_each_sentence_ends(text: str, frames: list[int], seed: int) -> None:
    record(say(text), PROFILE, frames, faults=lossy(seed, Detect, Decode, Transcribe, Correct), seed=seed)


# -- 4: packet size and timing change nothing ---------------------------------------------

commands = st.lists(
    st.tuples(
        moments,
        st.sampled_from([Commit(), Configure(PROFILE), Configure(WITH_HOTWORDS), Configure(PLAIN)]),
    ),
    max_size=4,
)


def losing_second_pass(job: Job) -> Lost | None:
    return Lost("chaos") if isinstance(job, Transcribe) and job.segment % 2 else None


@settings(max_examples=60)
@given(texts, leads, commands, cuts, cuts, seeds, seeds)
def test_packets_and_timing_change_nothing(
    text: str, lead: int, told: list[tuple[int, Command]], a: list[int], b: list[int], seed: int, other: int
) -> None:
    audio = say(text, lead)
    first = record(audio, PROFILE, a, told, losing_second_pass, seed)
    second = record(audio, PROFILE, b, told, losing_second_pass, other)
    assert outcome(first) == outcome(second)


@given(texts, leads, cuts, cuts, seeds, seeds)
def test_nor_do_they_where_readings_vote(
    text: str, lead: int, a: list[int], b: list[int], seed: int, other: int
) -> None:
    audio = say(text, lead)
    first = record(audio, PROFILE, a, (), losing_second_pass, seed, Words())
    assert outcome(first) == outcome(record(audio, PROFILE, b, (), losing_second_pass, other, Words()))
    assert letters(first.text) == said(text)


SPELLED = Table({written("f", 0): written("g", 3), written("ab", 1): written("b", 3), written("c", 2): "API"})


@given(texts, leads, cuts, cuts, seeds, seeds)
def test_nor_do_they_where_hotwords_are_put_in_while_somebody_speaks(
    text: str, lead: int, a: list[int], b: list[int], seed: int, other: int
) -> None:
    audio, profile = say(text, lead), replace(PROFILE, hotwords=SPELLED)
    first = record(audio, profile, a, (), losing_second_pass, seed, Words())
    assert outcome(first) == outcome(record(audio, profile, b, (), losing_second_pass, other, Words()))


def untimed(timed: bool) -> Faults:
    """The second pass is by a recogniser that knows no times: an aligner gives them, or does not in time."""

    def answer(job: Job) -> Result | None:
        heard = World().answer(job) if isinstance(job, Transcribe) else None
        if not isinstance(heard, Hypothesis):
            return heard
        words = tuple(replace(word, confidence=None) for word in heard.words) if timed else ()
        return replace(heard, words=words, timestamp_source="ctc_alignment" if words else None)

    return answer


@given(texts, leads, cuts, cuts, seeds, seeds)
def test_nor_do_times_that_come_or_do_not(
    text: str, lead: int, a: list[int], b: list[int], seed: int, other: int
) -> None:
    audio = say(text, lead)
    timed = record(audio, PROFILE, a, (), untimed(True), seed, Words())
    assert outcome(timed) == outcome(record(audio, PROFILE, b, (), untimed(False), other, Words()))


def losing_previews(seed: int) -> Faults:
    lose = lossy(seed, Transcribe)
    return lambda job: lose(job) if isinstance(job, Transcribe) and job.preview else None


@settings(max_examples=60)
@given(texts, leads, commands, cuts, cuts, seeds, seeds)
def test_nor_do_previews(
    text: str, lead: int, told: list[tuple[int, Command]], a: list[int], b: list[int], seed: int, other: int
) -> None:
    """What is settled is what a server settles that shows nothing meanwhile, and that of one that streams."""
    audio = say(text, lead)
    shown = record(audio, PREVIEWED, a, told, losing_previews(seed), seed)
    assert outcome(shown) == outcome(record(audio, replace(PREVIEWED, preview=False), b, told, seed=other))
    streamed = record(audio, replace(PREVIEWED, stream=True, preview=False), b)
    assert letters(record(audio, PREVIEWED, a, seed=seed).text) == letters(streamed.text)


@given(texts, leads, cuts, seeds)
def test_previews_cost_a_few_times_the_audio_and_one_that_is_lost_costs_nothing(
    text: str, lead: int, frames: list[int], seed: int
) -> None:
    audio = say(text, lead)
    for faults in (lossy(seed, Transcribe), lossy(seed, Transcribe, share=1), lambda job: None):
        recording = record(audio, PREVIEWED, frames, (), faults, seed)
        previews = [job for job in recording.asked if isinstance(job, Transcribe) and job.preview]
        assert sum(len(job.samples) for job in previews) <= 5 * len(audio)


@pytest.mark.parametrize("frame", [1, 7, 160, 3_200, 9_601, 10 * SAMPLE_RATE])
def test_frames_of_any_size(frame: int) -> None:
    audio = say("ab    cd#", lead=123)
    told: list[tuple[int, Command]] = [(0, Configure(WITH_HOTWORDS)), (2_000, Commit())]
    assert outcome(record(audio, PROFILE, range(0, len(audio), frame), told)) == outcome(
        record(audio, PROFILE, (), told)
    )


@given(texts, leads)
def test_a_lagging_engine_changes_nothing(text: str, lead: int) -> None:
    """All the audio and Stop come before the first answer, so that jobs carry many steps."""
    audio = say(text, lead)
    lagging = Recording(PLAIN)
    for begin in range(0, len(audio), 3_200):
        lagging.handle_audio(audio[begin : begin + 3_200])
    lagging.finish()
    assert outcome(lagging) == outcome(record(audio, PLAIN, range(0, len(audio), 3_200)))
    assert all(len(job.samples) <= STEPS * job.hop for job in lagging.asked if isinstance(job, Detect))
    assert all(len(job.samples) <= STEPS * job.chunk for job in lagging.asked if isinstance(job, Decode))


# -- 7: what is slow or dead degrades and never blocks --------------------------------------


@given(texts, seeds, st.booleans())
def test_hurry_ends_the_wait_for_corrections(text: str, seed: int, early: bool) -> None:
    recording = Recording(PROFILE, seed=seed)
    recording.handle_audio(say(text))
    recording.handle(Stop())
    if early:
        recording.handle(Hurry())
    recording.answer_all(but=Correct)
    assert recording.session.awaits_only_corrections == (not recording.session.completed)
    if not recording.session.completed:
        recording.handle(Hurry())
    assert letters(recording.text) == said(text)
    assert all(sentence.stage < Stage.CORRECTED for sentence in recording.completed.sentences)
    recording.answer_all()  # late corrections change nothing


@pytest.mark.parametrize("step", [811])
def test_stop_at_every_moment(step: int) -> None:
    text = "ab    c##     defghijklmnopabcdefghijklmnopabcdef     ~    g"
    audio = say(text, lead=333)
    for end in range(0, len(audio), step):
        heard = [c for c, at in zip(text, range(333 + 500, len(audio), TICK), strict=False) if at < end]
        assert letters(record(audio[:end], PLAIN).text) == said("".join(heard))


@given(st.integers(0, 30 * TICK), seeds)
def test_stop_at_any_sample(end: int, seed: int) -> None:
    text = "abc   de      f" * 2
    heard = [c for c, at in zip(text, range(500, 30 * TICK, TICK), strict=True) if at < end]
    assert letters(record(say(text)[:end], PROFILE, range(0, end, 3_200), seed=seed).text) == said("".join(heard))


# -- memory and backlog --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["abc  def      " * 60, " " * 600, LETTERS * 50, "#      " * 100, "~" * 400])
def test_what_is_kept_is_bounded_while_engines_keep_up(text: str) -> None:
    recording = Recording(PROFILE)
    for begin in range(0, len(text), 2):
        recording.handle_audio(say(text[begin : begin + 2]))
        recording.answer_all()
        tape = recording.session._tape
        assert tape.end - tape.start <= PROFILE.longest + 3 * SAMPLE_RATE
        assert recording.session.backlog <= PROFILE.longest // 4 + PROFILE.chunk + 2 * PROFILE.hop
        assert len(tape._buffer) <= 4 * (PROFILE.longest + 3 * SAMPLE_RATE)
    recording.finish()
    assert letters(recording.text) == said(text)


def test_the_backlog_counts_what_a_slow_pass_has_yet_to_be_given() -> None:
    recording = Recording(PLAIN)
    for _ in range(AT_ONCE + 4):
        recording.handle_audio(say("abcd      "))
        recording.answer_all(but=Transcribe)
    assert sum(isinstance(job, Transcribe) for job in recording.jobs) == AT_ONCE
    assert recording.session.backlog >= 3 * 10 * TICK
    recording.answer_all()
    assert recording.session.backlog < 10 * TICK


@pytest.mark.parametrize("profile", [Profile(), PLAIN])
def test_no_speech_at_all_asks_no_recogniser(profile: Profile) -> None:
    recording = record(say(" " * 50), profile, range(0, 10**5, 1_000))
    assert {type(job) for job in recording.asked} == {Detect} and not recording.of(SpeechStarted)
    assert recording.completed.non_speech[0].end == 50 * TICK


# -- words have times --------------------------------------------------------------------


@given(texts, leads, cuts, seeds)
def test_every_letter_is_where_it_was_said_whatever_became_of_its_text(
    text: str, lead: int, frames: list[int], seed: int
) -> None:
    """Hotwords and the corrector change letters one for one, so each word still is at its mark."""
    samples = say(text, lead)
    words = [word for s in record(samples, WITH_HOTWORDS, frames, seed=seed).completed.sentences for word in s.words]
    marks = [at for at in np.flatnonzero(samples % 1000 == MARK) if samples[at] // 1000 - 1 < COUGH]
    assert [word.span.start for word in words] == marks
    assert letters("".join(word.text for word in words)) == said(text)


def test_times_that_were_taken_along_say_so() -> None:
    mended, plain = written("fg", 3), written("k", 2)
    sentences = record(say("fg      " * 2 + "    k"), WITH_HOTWORDS).completed.sentences
    assert [(s.text[:-1], s.timestamp_source) for s in sentences] == [
        (mended, "edit"),
        (mended, "edit"),
        (plain, "ctc"),
    ]
