"""The session's rules one by one, each on the smallest recording that shows it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.core.recording import PLAIN, PROFILE, Faults, Recording, lossy, outcome, record
from tests.core.world import LETTERS, SECOND, TICK, Detector, Table, Words, letters, say, written
from xingji.core.messages import (
    Audio,
    Commit,
    Configure,
    Correct,
    Decode,
    Detect,
    Edge,
    Edits,
    Forgotten,
    Hurry,
    Job,
    Lost,
    NoSpeech,
    Profile,
    Result,
    SentenceDropped,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Transcribe,
)
from xingji.core.passes import CORRECTIONS_AT_ONCE
from xingji.core.segment import RETRIES, STEPS
from xingji.core.segmenting import PREROLL
from xingji.core.session import ProtocolError
from xingji.core.types import (
    SAMPLE_RATE,
    AcceptedEdit,
    Edit,
    Hotword,
    HotwordHit,
    HotwordTable,
    Hypothesis,
    RejectedEdit,
    Span,
    Stage,
)

STREAM_ONLY = replace(PLAIN, second_pass=False)
HOP = PROFILE.hop


def when(kind: type, result: Result) -> Faults:
    return lambda job: result if isinstance(job, kind) else None


def stages(recording: Recording, id: int = 0) -> list[tuple[Stage, str]]:
    return [(e.sentence.stage, e.sentence.text) for e in recording.of(SentenceRevised) if e.sentence.id == id]


# -- commands ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", [Audio(say("a")), Commit(), Configure(PLAIN), Stop()])
def test_nothing_but_hurry_after_stop(command: Audio | Commit | Configure | Stop) -> None:
    recording = record(say("ab"))
    with pytest.raises(ProtocolError):
        recording.handle(command)
    recording.handle(Hurry())


def test_stop_without_audio_completes_at_once() -> None:
    recording = Recording()
    recording.handle(Commit())
    recording.handle(Stop())
    assert recording.completed.length == 0 and recording.asked == []


def test_commit_ends_the_sentence_where_the_audio_ends() -> None:
    recording = Recording(PLAIN)
    recording.feed(say("abc"), commands=[(2 * TICK, Commit()), (2 * TICK, Commit()), (3 * TICK, Commit())])
    recording.finish()
    assert [letters(s.text) for s in recording.completed.sentences] == ["ab", "c"]
    assert [event.span for event in recording.of(SpeechEnded)] == [Span(0, 2 * TICK), Span(2 * TICK, 3 * TICK)]


def test_after_a_commit_the_grid_begins_anew() -> None:
    recording = Recording(PLAIN)
    audio = say("     abc")
    recording.handle_audio(audio[:5_000])
    recording.handle(Commit())
    recording.handle_audio(audio[5_000:])
    recording.finish()
    detects = [(job.offset, job.first, job.flush) for job in recording.asked if isinstance(job, Detect)]
    assert detects == [(0, True, False), (HOP, False, True), (5_000, True, True)]


# -- passes ----------------------------------------------------------------------------


def test_a_sentence_rises_through_the_stages() -> None:
    recording = record(say("cabdefghij"), frames=range(0, 20_000, HOP))
    assert [stage for stage, _ in dict(stages(recording)).items()] == list(Stage)
    (sentence,), (readings,) = recording.completed.sentences, recording.completed.readings
    assert sentence.text == readings.readings[Stage.CORRECTED] and sentence.missing == ()
    assert list(readings.readings) == [Stage.STREAMED, Stage.SECOND_PASS, Stage.CORRECTED]


@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        (replace(PROFILE, stream=False), Decode),
        (replace(PROFILE, second_pass=False), Transcribe),
        (replace(PROFILE, correct=False), Correct),
    ],
)
def test_a_pass_that_nobody_wants_is_not_asked(profile: Profile, kind: type[Job]) -> None:
    recording = record(say("ab"), profile)
    assert {type(job) for job in recording.asked} == {Detect, Decode, Transcribe, Correct} - {kind}
    assert recording.completed.sentences[0].missing == ()


def test_a_late_reading_of_a_lower_stage_is_kept_and_not_shown() -> None:
    recording = Recording(PLAIN)
    recording.handle_audio(say("ab"))
    recording.handle(Stop())
    recording.answer_all(but=Decode)
    assert stages(recording) == [(Stage.SECOND_PASS, "市义。")]
    recording.answer_all()
    assert stages(recording) == [(Stage.SECOND_PASS, "市义。")]
    assert recording.completed.readings[0].readings == {Stage.STREAMED: "是意。", Stage.SECOND_PASS: "市义。"}


def test_no_speech_drops_the_sentence_even_while_it_is_decoded() -> None:
    recording = Recording(PLAIN)
    recording.feed(say("#     "))
    recording.answer_all(but=Decode)
    assert recording.of(SentenceDropped) == [SentenceDropped(0, Span(0, 2 * TICK))]
    recording.feed(say("ab"))
    recording.finish()
    assert [(s.id, s.text) for s in recording.completed.sentences] == [(1, "市义。")]
    assert stages(recording) == []


def test_a_lost_second_pass_leaves_the_streamed_text_and_says_so() -> None:
    recording = record(say("ab"), faults=when(Transcribe, Lost("engine_failed")))
    (sentence,), (readings,) = recording.completed.sentences, recording.completed.readings
    assert sentence.text == "是意。" and sentence.missing == (Stage.SECOND_PASS,)
    assert readings.lost == ((Stage.SECOND_PASS, "engine_failed"),)


def test_the_second_pass_is_asked_of_whom_the_profile_names_and_every_later_text_says_who_answered() -> None:
    wanted = replace(PROFILE, model="qwen", bias=("星纪",))
    answer = Hypothesis("市义。", source="sensevoice-like", fallback="timeout")
    recording = record(say("ab"), wanted, faults=when(Transcribe, answer))
    asked = [job for job in recording.asked if isinstance(job, Transcribe)]
    assert [(job.model, job.bias) for job in asked] == [("qwen", ("星纪",))]
    told = {e.sentence.stage: (e.sentence.second_by, e.sentence.fallback) for e in recording.of(SentenceRevised)}
    assert told.pop(Stage.STREAMED) == ("", None)
    told.pop(Stage.PARTIAL, None)
    assert set(told.values()) == {("sensevoice-like", "timeout")} and Stage.CORRECTED in told
    (sentence,) = recording.completed.sentences
    assert (sentence.second_by, sentence.fallback) == ("sensevoice-like", "timeout")


def test_an_empty_second_pass_is_missing_where_something_was_streamed() -> None:
    (sentence,) = record(say("ab"), PLAIN, faults=when(Transcribe, Hypothesis(""))).completed.sentences
    assert (sentence.text, sentence.missing) == ("是意。", (Stage.SECOND_PASS,))


def test_what_every_recogniser_heard_as_nothing_is_no_sentence() -> None:
    recording = record(say("~~"))
    assert recording.completed.non_speech == (Span(0, 2 * TICK),) and not recording.completed.sentences
    assert Correct not in map(type, recording.asked)


def test_what_no_recogniser_answered_is_a_sentence_without_text() -> None:
    (sentence,) = record(say("ab"), faults=lossy(0, Decode, Transcribe, share=1)).completed.sentences
    assert (sentence.text, sentence.revision) == ("", 0)
    assert sentence.missing == (Stage.STREAMED, Stage.SECOND_PASS, Stage.CORRECTED)


def test_a_decoder_lost_in_mid_sentence_leaves_its_beginning() -> None:
    recording = Recording(STREAM_ONLY, faults=lambda job: Lost("x") if isinstance(job, Decode) and job.offset else None)
    recording.feed(say("abcdefghij"), frames=range(0, 20_000, HOP))
    recording.finish()
    (sentence,) = recording.completed.sentences
    assert (sentence.stage, letters(sentence.text)) == (Stage.PARTIAL, "abcdef")


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (Detect, NoSpeech()),
        (Decode, NoSpeech()),
        (Transcribe, ()),
        (Correct, Hypothesis("x")),
        (Transcribe, Forgotten()),
    ],
)
def test_an_answer_of_the_wrong_kind_is_a_lost_one(kind: type[Job], result: Result) -> None:
    recording = record(say("ab"), faults=when(kind, result))
    assert letters(recording.text) == "ab"
    reasons = {reason for readings in recording.completed.readings for _, reason in readings.lost}
    assert reasons == ({"forgotten" if result == Forgotten() else "unexpected"} if kind is not Detect else set())


# -- text meanwhile, where nobody streams -------------------------------------------------

PREVIEWED = replace(PLAIN, stream=False, preview=True, longest=10 * SAMPLE_RATE)


def test_previews_show_a_beginning_until_the_second_pass_has_the_whole() -> None:
    recording = record(say(LETTERS + "      "), PREVIEWED, range(0, 10**5, HOP))
    told = [(s.stage, letters(s.text), s.stable) for s in (e.sentence for e in recording.of(SentenceRevised))]
    assert told == [(Stage.PARTIAL, LETTERS[:10], 0), (Stage.SECOND_PASS, LETTERS, 0)]
    first = recording.of(SentenceRevised)[0].sentence
    assert first.previewed and not recording.completed.sentences[0].previewed
    assert [word.text for word in first.words] == list(first.text)
    (readings,) = recording.completed.readings
    assert list(readings.readings) == [Stage.SECOND_PASS]


def test_what_two_previews_agree_on_is_stable_and_takes_hotwords() -> None:
    hotwords = Table({written("c", SECOND): "星"})
    recording = record(say(LETTERS * 3), replace(PREVIEWED, hotwords=hotwords), range(0, 10**5, HOP))
    partials = [e.sentence for e in recording.of(SentenceRevised) if e.sentence.stage is Stage.PARTIAL]
    assert [s.stable for s in partials[:3]] == [0, 7, 17] and "星" not in partials[0].text
    assert partials[1].text.startswith(written("ab", SECOND) + "星") and partials[1].hotword_hits
    assert partials[1].bare == written(LETTERS[:9], SECOND)


@pytest.mark.parametrize("result", [Lost("overloaded"), NoSpeech(), Hypothesis("")])
def test_a_preview_that_gives_nothing_is_missed_by_nobody(result: Result) -> None:
    recording = record(
        say(LETTERS + "      "),
        PREVIEWED,
        range(0, 10**5, HOP),
        faults=lambda job: result if isinstance(job, Transcribe) and job.preview else None,
    )
    assert [stage for stage, _ in stages(recording)] == [Stage.SECOND_PASS]
    assert recording.completed.sentences[0].missing == ()


def test_a_preview_that_comes_after_the_end_is_not_shown() -> None:
    recording = Recording(PREVIEWED)
    recording.handle_audio(say(LETTERS))
    recording.answer_all(but=Transcribe)
    recording.handle(Stop())
    recording.answer_all(but=Transcribe)
    preview, second = recording.jobs
    assert isinstance(preview, Transcribe) and preview.preview and second is recording.asked[-1]
    recording.answer_all()
    assert [stage for stage, _ in stages(recording)] == [Stage.SECOND_PASS]
    assert recording.session.resolve(preview, Hypothesis("晚")) == []


@pytest.mark.parametrize(
    ("result", "text"), [(Lost("crashed"), LETTERS[:10]), (Hypothesis(""), ""), (Hypothesis("好" * 99), "")]
)
def test_a_preview_stands_only_where_the_second_pass_is_lost(result: Result, text: str) -> None:
    """Where that has heard the whole and makes nothing of it, a beginning of it was nothing either."""
    recording = record(
        say(LETTERS + "      "),
        replace(PREVIEWED, correct=True),
        range(0, 10**5, HOP),
        faults=lambda job: result if isinstance(job, Transcribe) and not job.preview else None,
    )
    assert letters(recording.text) == text and stages(recording)[0][0] is Stage.PARTIAL
    assert [(s.stage, s.previewed) for s in recording.completed.sentences] == [(Stage.PARTIAL, True)] * bool(text)


# -- the detector ------------------------------------------------------------------------


def test_a_lost_detector_fails_open_from_where_speech_may_have_begun() -> None:
    """30 ms of a letter are not enough to be an onset; then the answer is lost."""
    audio = say("  ab", lead=2 * HOP - 2 * TICK - 600)
    recording = Recording(
        PLAIN, faults=lambda job: Lost("x") if isinstance(job, Detect) and job.offset == 2 * HOP else None
    )
    recording.feed(audio, frames=range(0, len(audio), HOP))
    recording.finish()
    assert letters(recording.text) == "ab"


def test_stop_just_after_a_lost_detector() -> None:
    recording = Recording(PLAIN, faults=lossy(0, Detect, share=1))
    recording.feed(say("ab"), frames=[HOP])
    recording.answer_all()
    assert recording.session.received == HOP
    recording.finish()
    assert letters(recording.text) == "ab"


def test_a_flush_whose_answer_is_lost() -> None:
    recording = Recording(PLAIN, faults=lambda job: Lost("x") if isinstance(job, Detect) and job.flush else None)
    recording.feed(say("     a", lead=HOP - 600))
    recording.answer_all()
    recording.finish()
    assert letters(recording.text) == "a"


def test_a_detector_that_hears_nothing_in_open_speech_ends_it() -> None:
    """One lost answer in silence must not keep a sentence open until somebody speaks."""
    recording = Recording(PLAIN, faults=lambda job: Lost("x") if isinstance(job, Detect) and not job.offset else None)
    recording.feed(say(" " * 40 + "ab"), frames=range(0, 10**5, HOP))
    recording.answer_all()
    assert recording.of(SpeechEnded) == [SpeechEnded(0, Span(0, HOP + PREROLL))]
    recording.finish()
    assert [letters(s.text) for s in recording.completed.sentences] == ["ab"]


@pytest.mark.parametrize("lead", range(2 * HOP, 3 * HOP, 400))
def test_a_restarted_detector_may_hear_another_pause(lead: int) -> None:
    """On its new grid the pause is long enough: what follows it was judged long ago, and is not lost."""
    recording = Recording(replace(PLAIN, longest=30 * SAMPLE_RATE))
    recording.feed(say("ab     " + 3 * LETTERS, lead), frames=range(0, 10**5, HOP))
    recording.answer_all()
    recording.crash()
    recording.finish()
    assert letters(recording.text) == "ab" + 3 * LETTERS


def test_a_restarted_detector_hears_what_its_predecessor_was_not_yet_sure_of() -> None:
    recording = Recording(PLAIN)
    recording.feed(say(" " * 30 + "ab", lead=HOP - 600)[: 16 * HOP], frames=range(0, 10**5, HOP))
    recording.answer_all()
    assert not recording.of(SpeechStarted)
    recording.crash()
    recording.feed(say(" " * 30 + "ab", lead=HOP - 600)[16 * HOP :])
    recording.finish()
    assert letters(recording.text) == "ab"
    restarted = [job.offset for job in recording.asked if isinstance(job, Detect) and job.first]
    assert restarted == [0, 16 * HOP - PREROLL]


def test_a_restart_does_not_forget_a_flush() -> None:
    recording = Recording(PLAIN)
    recording.handle_audio(say("abc"))
    recording.handle(Commit())
    recording.answer_one()
    recording.handle_audio(say("def"))
    recording.handle(Commit())
    recording.crash()
    recording.finish()
    assert [letters(s.text) for s in recording.completed.sentences] == ["abc", "def"]


def test_a_restart_does_not_go_back_behind_a_commit() -> None:
    recording = Recording(PLAIN)
    recording.feed(say(" " * 14), commands=[(10 * TICK, Commit())])
    recording.answer_all()
    recording.crash()
    recording.feed(say("a"))
    recording.finish()
    assert [job.offset for job in recording.asked if isinstance(job, Detect) and job.first] == [0, *[10 * TICK] * 2]


def test_a_detector_that_crashes_again_and_again_counts_as_lost() -> None:
    recording = record(say("ab"), PLAIN, faults=when(Detect, Forgotten()))
    assert sum(isinstance(job, Detect) for job in recording.asked) == RETRIES + 1
    assert letters(recording.text) == "ab"


def test_a_decoder_that_crashes_again_and_again_counts_as_lost() -> None:
    recording = record(say("ab"), PLAIN, faults=when(Decode, Forgotten()))
    assert sum(isinstance(job, Decode) for job in recording.asked) == RETRIES + 1
    assert recording.completed.readings[0].lost == ((Stage.STREAMED, "forgotten"),)


def test_the_last_chunk_is_never_empty() -> None:
    """Not even where the segment is as long as the longest job."""
    recording = Recording(replace(PLAIN, chunk=HOP, end_silence=TICK, longest=30 * SAMPLE_RATE))
    recording.handle_audio(say("b" * (2 * STEPS - 1) + " "))
    recording.finish()
    (decode,) = [job for job in recording.asked if isinstance(job, Decode)]
    assert decode.last and len(decode.samples) == STEPS * HOP


def test_the_pause_that_ends_a_sentence_is_not_decoded() -> None:
    recording = record(say("cde ff        "), PLAIN)
    assert sum(len(job.samples) for job in recording.asked if isinstance(job, Decode)) == 7 * TICK
    assert recording.text == written("cdeff", SECOND) + "。"


def test_what_reaches_into_a_pause_needs_what_was_said_after_it() -> None:
    recording = Recording(replace(PLAIN, end_silence=10 * TICK))
    recording.feed(say("cdefcdef     ghijghij"), frames=range(0, 10**5, HOP))
    recording.finish()
    decodes = [job for job in recording.asked if isinstance(job, Decode) and not job.last]
    ends = [job.begin + len(job.samples) for job in decodes]
    waited = [(end, job.needs) for end, job in zip(ends, decodes, strict=True) if job.needs != end]
    assert waited and all(8 * TICK < end <= 13 * TICK < needs <= 15 * TICK for end, needs in waited)
    assert any(job.needs == end for end, job in zip(ends, decodes, strict=True))


def early(text: str, profile: Profile = PLAIN) -> tuple[Recording, list[Transcribe]]:
    """A recording in which everything but the second pass has been answered, and what that was asked."""
    recording = Recording(profile)
    recording.handle_audio(say(text))
    recording.answer_all(but=Transcribe)
    return recording, [job for job in recording.asked if isinstance(job, Transcribe)]


LONG_PAUSE = replace(PLAIN, end_silence=10 * TICK)


def test_the_second_pass_begins_in_a_long_pause_and_is_there_when_the_sentence_ends() -> None:
    recording, (job,) = early("cdef      ", LONG_PAUSE)
    assert len(job.samples) == 5 * TICK and not recording.of(SpeechEnded)
    recording.answer_all()
    assert not [s for s in recording.of(SentenceRevised) if s.sentence.stage is Stage.SECOND_PASS]
    recording.handle_audio(say("      "))
    recording.answer_one()  # the detector
    kinds = [type(event) for event in recording.events]
    assert kinds[kinds.index(SpeechEnded) + 1] is SentenceRevised
    assert recording.events[-1] == SentenceRevised(replace(recording.events[-1].sentence, stage=Stage.SECOND_PASS))
    assert len(early("cdef  ", LONG_PAUSE)[1]) == 0


@pytest.mark.parametrize("answered", [False, True])
def test_what_the_second_pass_heard_before_speech_went_on_is_thrown_away(answered: bool) -> None:
    recording, _ = early("cdef      ", LONG_PAUSE)
    if answered:
        recording.answer_all()
    recording.handle_audio(say("gh      "))
    recording.finish()
    assert recording.text == written("cdefgh", SECOND) + "。"


@pytest.mark.parametrize("lost", [Lost("crashed"), Forgotten()])
def test_an_early_second_pass_that_fails_is_asked_again_at_the_end(lost: Result) -> None:
    failed: list[Job] = []

    def fault(job: Job) -> Result | None:
        if isinstance(job, Transcribe) and not failed:
            failed.append(job)
            return lost
        return None

    recording = Recording(LONG_PAUSE, fault)
    recording.handle_audio(say("cdef      "))
    recording.answer_all()
    assert failed and not recording.jobs
    recording.handle_audio(say("      "))
    recording.finish()
    assert recording.text == written("cdef", SECOND) + "。"


def test_an_early_second_pass_without_speech_drops_the_sentence_once_it_ends() -> None:
    recording, _ = early(" ##         ", LONG_PAUSE)
    recording.answer_all()
    assert not recording.of(SentenceDropped)
    recording.finish()
    assert recording.of(SentenceDropped) and not recording.completed.sentences


@pytest.mark.parametrize("lead", [0, 1_000, 1_920, 10 * TICK])
@pytest.mark.parametrize("seed", range(4))
def test_the_recogniser_begins_before_the_onset_but_not_in_the_sentence_before(lead: int, seed: int) -> None:
    audio = say("   abcdef      gh      #i")
    recording = Recording(replace(STREAM_ONLY, lead=lead), seed=seed)
    recording.feed(audio, range(0, len(audio), 3_000))
    recording.finish()
    sentences = recording.completed.sentences
    decoded = {id: [job for job in recording.asked if isinstance(job, Decode) and job.segment == id] for id in range(3)}
    for before, sentence in zip([None, *sentences], sentences, strict=False):
        floor = before.end if before is not None else 0
        jobs = decoded[sentence.id]
        earliest = sentence.start - lead
        assert floor is not None and jobs[0].begin == max(floor, earliest - earliest % STREAM_ONLY.hop)
        for job, after in pairwise(jobs):
            assert (after.begin, after.offset) == (job.begin + len(job.samples), job.offset + len(job.samples))
        for job in jobs:
            assert np.array_equal(job.samples, audio[job.begin : job.begin + len(job.samples)])
            assert len(job.samples) % job.chunk == 0 or job.last
    assert [sentence.id for sentence in sentences] == [0, 1, 2]


@pytest.mark.parametrize("commit", [0, 2_000])
def test_a_chunk_is_decoded_as_soon_as_the_hop_that_holds_its_end_is_there(commit: int) -> None:
    """The grid of chunks follows that of hops, which begins anew at a commit."""
    recording = Recording(STREAM_ONLY)
    recording.feed(say("  ")[:commit])
    if commit:
        recording.handle(Commit())
    audio = say("   abcdefghijkl")
    for end in range(TICK, len(audio) + 1, TICK):
        recording.feed(audio[end - TICK : end])
        recording.answer_all()
        asked = [job for job in recording.asked if isinstance(job, Decode)]
        if asked:
            break
    (job,) = asked
    assert len(job.samples) == job.chunk and job.begin + job.chunk == commit + end


def test_long_speech_that_is_cut_is_not_heard_twice() -> None:
    recording = Recording(replace(PLAIN, lead=PLAIN.chunk))
    recording.feed(say(3 * LETTERS))
    recording.finish()
    first, second, *_ = recording.completed.sentences
    (begin,) = [job.begin for job in recording.asked if isinstance(job, Decode) and (job.segment, job.offset) == (1, 0)]
    assert begin == second.start == first.end


def test_a_replay_is_silent_up_to_what_the_client_has_seen() -> None:
    recording = Recording(replace(STREAM_ONLY, chunk=TICK // 2))
    recording.feed(say(LETTERS), frames=range(0, 10**5, HOP))
    recording.answer_all()
    seen = stages(recording)
    recording.crash(detector=False)
    recording.handle_audio(say("a"))
    recording.finish()
    assert sum(isinstance(job, Decode) and job.offset == 0 for job in recording.asked) == 2
    assert stages(recording) == [*seen, (Stage.STREAMED, recording.text)]
    assert letters(recording.text) == LETTERS + "a"


@pytest.mark.parametrize(
    ("edges", "span"),
    [
        ((Edge("onset", -(10**6), 10 * HOP),), Span(10 * HOP - PREROLL, 12 * HOP)),
        ((Edge("onset", 10**6, 10 * HOP),), Span(10 * HOP, 12 * HOP)),
        ((Edge("onset", 5 * HOP, 10 * HOP), Edge("endpoint", 0, 12 * HOP)), None),
        ((Edge("onset", 5 * HOP, 10**6),), Span(5 * HOP, 12 * HOP)),
        ((Edge("endpoint", 5 * HOP, 10 * HOP),), None),
        ((Edge("onset", 5 * HOP, 6 * HOP), Edge("onset", 8 * HOP, 9 * HOP)), Span(5 * HOP, 12 * HOP)),
    ],
)
def test_edges_are_held_within_what_was_judged(edges: tuple[Edge, ...], span: Span | None) -> None:
    recording = record(say("a" * 24), PLAIN, faults=when(Detect, edges))
    assert [Span(s.start, s.end or 0) for s in recording.completed.sentences] == ([span] if span else [])


# -- long speech --------------------------------------------------------------------------


@pytest.mark.parametrize("preroll", [0, TICK, 2 * TICK, 10 * TICK])
def test_a_sentence_begins_so_long_before_its_onset_but_not_in_the_one_before(preroll: int) -> None:
    recording = record(say("cd        ef      "), replace(PLAIN, preroll=preroll))
    first, second = recording.completed.sentences
    assert first.start == 0 and first.end == 3 * TICK
    assert second.start == max(9 * TICK - preroll, first.end)
    assert letters(recording.text) == "cdef"


def test_the_detector_knows_how_long_a_sentence_may_grow() -> None:
    recording = record(say("cd      "), replace(PLAIN, longest=80_000))
    assert {job.longest for job in recording.asked if isinstance(job, Detect)} == {80_000}


def test_long_speech_is_cut_at_a_quiet_place() -> None:
    """``a`` is the quietest letter, and there is one between 2.25 and 3 s."""
    recording = record(say("p" * 26 + "a" + "p" * 20), PLAIN, frames=range(0, 10**5, HOP))
    first, second = recording.completed.sentences
    assert first.end == second.start and 26 * TICK <= second.start <= 27 * TICK
    assert letters(recording.text) == "p" * 26 + "a" + "p" * 20


def test_a_cut_behind_the_last_word_leaves_nothing_to_recognise() -> None:
    """The detector waits 2 s for more; meanwhile the speech becomes too long and is cut in the silence."""
    recording = record(
        say("b" * 18 + " " * 30), replace(PLAIN, end_silence=2 * SAMPLE_RATE), frames=range(0, 10**5, HOP)
    )
    assert [s.text for s in recording.completed.sentences] == [written("b" * 18, 2) + "。"]
    cut = recording.completed.sentences[0].end
    assert cut is not None and cut > 19 * TICK
    assert recording.of(SentenceDropped) == [SentenceDropped(1, Span(cut, cut))]


def test_a_commit_at_the_very_hop_that_makes_speech_too_long() -> None:
    audio = say("b" * 60)
    at = PROFILE.longest
    early = record(audio, PLAIN, (), [(at, Commit())])
    late = record(audio, PLAIN, range(0, 10**5, HOP), [(at, Commit())])
    assert outcome(early) == outcome(late)
    assert early.completed.sentences[0].end == at


# -- profiles and hotwords -------------------------------------------------------------------


def test_the_profile_at_the_onset_decides() -> None:
    """Not the one at the time of an answer: here no job is answered before all has been said."""
    hotwords = Table({written("c", 2): written("c", 3)})
    recording = Recording(PLAIN)
    recording.handle_audio(say("abcd"))
    recording.handle(Configure(replace(PLAIN, hotwords=hotwords)))
    recording.handle_audio(say("c      c"))
    recording.finish()
    first, second = recording.completed.sentences
    assert written("c", 2) in first.text and first.hotword_hits == ()
    assert second.text == written("c", 3) + "。"
    (hit,) = second.hotword_hits
    assert (hit.word, hit.replaced, hit.stage) == (written("c", 3), written("c", 2), Stage.SECOND_PASS)


def test_the_detector_is_asked_with_the_newest_end_silence() -> None:
    recording = Recording(PLAIN)
    recording.handle(Configure(replace(PLAIN, end_silence=9_600)))
    recording.feed(say("   "))
    recording.handle(Configure(replace(PLAIN, end_silence=3_200)))
    recording.feed(say("   "))
    recording.finish()
    silences = [job.end_silence for job in recording.asked if isinstance(job, Detect)]
    assert silences[0] == 9_600 and silences[-1] == 3_200


def test_profiles_that_no_sentence_can_have_any_more_are_forgotten() -> None:
    recording = Recording(PLAIN)
    for _ in range(30):
        recording.handle(Configure(PLAIN))
        recording.feed(say("ab     "))
        recording.answer_all()
    assert len(recording.session._segmenter._profiles) < 10


def test_configure_leaves_the_grid() -> None:
    recording = Recording(PLAIN)
    recording.handle(Configure(replace(PLAIN, hop=1_000, chunk=2_000)))
    recording.feed(say("abcdefgh"))
    recording.finish()
    assert {job.hop for job in recording.asked if isinstance(job, Detect)} == {PLAIN.hop}
    assert {job.chunk for job in recording.asked if isinstance(job, Decode)} == {PLAIN.chunk}


# -- correction -------------------------------------------------------------------------------


def test_the_corrector_is_shown_readings_context_and_close_hotwords() -> None:
    hotwords = Table({written("h", 0): "streamed", written("h", 2): "second", written("k", 2): "elsewhere"})
    recording = Recording(replace(PROFILE, context=2, hotwords=hotwords), faults=when(Correct, Lost("timeout")))
    recording.feed(say("c      #      d      e      h"))
    recording.finish()
    last = [job for job in recording.asked if isinstance(job, Correct)][-1]
    assert last.context == (written("d", 2) + "。", written("e", 2) + "。")
    assert last.readings == {Stage.STREAMED: written("h", 0) + "。", Stage.SECOND_PASS: "second。"}
    assert last.hotwords == ("streamed", "second")


def test_context_may_be_a_sentence_that_is_still_worked_on() -> None:
    recording = Recording(PROFILE)
    recording.handle_audio(say("cc      dd"))
    recording.handle(Stop())
    recording.answer_all(but=Correct)
    contexts = [job.context for job in recording.jobs if isinstance(job, Correct)]
    assert contexts == [(), (written("cc", 2) + "。",)]


def test_no_more_context_than_wanted() -> None:
    recording = record(say("c      d      e"), replace(PROFILE, context=0))
    assert {job.context for job in recording.asked if isinstance(job, Correct)} == {()}


def test_what_the_corrector_may_not_do_is_refused_and_told() -> None:
    (readings,) = record(say("cao")).completed.readings
    assert readings.readings[Stage.CORRECTED] == written("c", 2) + written("a", 3) + written("o", 2) + "。"
    assert readings.rejected == (RejectedEdit(Edit(2, 3, written("p", 2)), "not_near"),)


def test_a_hotword_that_the_corrector_puts_in_is_a_hit() -> None:
    word = written("gh", 3)
    hotwords = Table({written("gh", 0): word})  # close in the streamed reading, not written in the second pass
    edit = Edits((Edit(0, 2, word),))
    (sentence,) = record(say("gh"), replace(PROFILE, hotwords=hotwords), faults=when(Correct, edit)).completed.sentences
    assert sentence.text == word + "。" and sentence.stage is Stage.CORRECTED
    assert [(hit.word, hit.stage) for hit in sentence.hotword_hits] == [(word, Stage.CORRECTED)]


def test_hurry_while_speech_goes_on_switches_correction_off() -> None:
    recording = Recording()
    recording.feed(say("ab      ccc"))
    recording.answer_all(but=Correct)
    recording.handle(Hurry())
    recording.handle(Hurry())
    recording.feed(say("d      e"))
    recording.finish()
    assert sum(isinstance(job, Correct) for job in recording.asked) == 1
    assert [r.lost for r in recording.completed.readings] == [((Stage.CORRECTED, "timeout"),)] * 3


def test_it_awaits_only_corrections_once_all_else_is_answered() -> None:
    recording = Recording()
    recording.feed(say("ab      c"))
    recording.answer_all(but=Correct)
    assert recording.jobs and not recording.session.awaits_only_corrections  # more may be said
    recording.handle(Stop())
    assert not recording.session.awaits_only_corrections  # the detector has yet to flush
    recording.answer_all(but=Correct)
    assert recording.session.awaits_only_corrections
    recording.answer_all()
    assert not recording.session.awaits_only_corrections and recording.session.completed


def test_corrections_are_not_waited_for_one_by_one() -> None:
    recording = Recording()
    for letter in LETTERS:
        recording.handle_audio(say(letter + "      "))
        recording.answer_all(but=Correct)
    assert len(recording.jobs) == CORRECTIONS_AT_ONCE
    recording.finish()
    assert all(sentence.stage is Stage.CORRECTED for sentence in recording.completed.sentences)


def test_answers_to_what_is_over_change_nothing() -> None:
    recording = Recording()
    recording.handle_audio(say("ab"))
    recording.handle(Stop())
    recording.answer_all(but=Correct)
    late = recording.jobs[0]
    recording.handle(Hurry())
    assert recording.session.completed
    for job in [late, *recording.asked]:
        if not isinstance(job, Detect):
            assert recording.session.resolve(job, Lost("late")) == []


def test_settled_sentences_may_overtake_one_another() -> None:
    recording = Recording(PLAIN)
    recording.handle_audio(say("ab      cd"))
    recording.handle(Stop())
    recording.answer_all(but=Transcribe)
    recording.jobs.reverse()
    recording.answer_all()
    assert [event.sentence.id for event in recording.of(SentenceSettled)] == [1, 0]
    assert [sentence.id for sentence in recording.completed.sentences] == [0, 1]


def test_the_fake_detector_can_hear_a_click() -> None:
    """A check of the world itself: a few loud frames are no speech until the end of the audio."""
    recording = record(say("a")[1_000:], PLAIN)
    assert recording.of(SpeechStarted)
    click = say("a  ")[1_200:]
    assert not Detector(0).hear(Detect(click[: 2 * (len(click) // 2)], 0, True, False, 6_400, HOP))


# -- the vote of two readings -----------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["streamed first", "second pass first"])
def test_two_readings_vote_whichever_comes_first(late: bool) -> None:
    recording = Recording(PLAIN, lexicon=Words())
    recording.handle(Audio(say("a    ")))
    recording.handle(Stop())
    recording.answer_all(but=Decode if late else Transcribe)
    recording.answer_all()
    voted, heard = written("a", 0) + "。", written("a", 2) + "。"
    assert recording.text == voted
    assert (Stage.SECOND_PASS, voted) == stages(recording)[-1]
    assert ((Stage.SECOND_PASS, heard) in stages(recording)) is late
    (readings,) = recording.completed.readings
    assert readings.readings[Stage.SECOND_PASS] == voted
    assert readings.edits == (AcceptedEdit(Edit(0, 1, voted[0]), heard[0], "vote"),)


def test_the_corrector_is_held_to_the_words_and_its_edits_are_kept_with_their_grounds() -> None:
    """The words know a as the streaming recogniser writes it, and b as the corrector does."""
    recording = record(
        say("a            b    "),
        faults=lambda job: Edits((Edit(0, 1, written("ab"[job.segment], 3)),)) if isinstance(job, Correct) else None,
        lexicon=Words(),
    )
    a, b = recording.completed.readings
    assert recording.text == written("a", 0) + "。" + written("b", 3) + "。"
    assert [(item.replaced, item.reason) for item in a.edits] == [(written("a", 2), "vote")]
    assert [(item.edit.replacement, item.reason) for item in a.rejected] == [(written("a", 3), "unlikely")]
    assert [(item.replaced, item.reason) for item in b.edits] == [(written("b", 2), "near")]


@pytest.mark.parametrize(("word", "doubts"), [("义", ((0, 1),)), ("义义", ())])
def test_doubts_are_forgotten_where_hotwords_move_them(word: str, doubts: tuple[tuple[int, int], ...]) -> None:
    table = Table({written("b", 2): word})
    recording = record(say("b    "), replace(PROFILE, hotwords=table), lexicon=Words())
    (job,) = (job for job in recording.asked if isinstance(job, Correct))
    assert job.doubts == doubts


def test_a_hotword_that_the_recogniser_put_in_is_told_once_and_as_it_says() -> None:
    """The text is searched again afterwards: there the word stands as written."""
    word, other = written("f", SECOND), written("g", 3)
    table = HotwordTable("digest", (Hotword(word),))
    words = Table({word: word, written("g", SECOND): other}, (table,))
    put_in = HotwordHit(word, "甲", Stage.SECOND_PASS, 0.4)
    asked = []

    def spotted(job: Job) -> Result | None:
        if not isinstance(job, Transcribe):
            return None
        asked.append((job.hotwords, job.begin))
        return Hypothesis(written("ffg", SECOND) + "。", hotword_hits=(put_in,))

    (sentence,) = record(say("ffg"), replace(PLAIN, hotwords=words), faults=spotted).completed.sentences
    assert asked == [((table,), sentence.start)]
    assert sentence.hotword_hits == (put_in, HotwordHit(other, written("g", SECOND), Stage.SECOND_PASS, 0.9))


def test_a_hotword_shows_while_somebody_speaks_and_every_reading_tells_its_hits() -> None:
    table = Table({written("a", 0): "是非", written("a", 2): "是非"})
    audio = say("abcdefghijklmnop      ")
    recording = record(audio, replace(PLAIN, hotwords=table), range(0, len(audio), TICK))
    partials = [s for s in recording.of(SentenceRevised) if s.sentence.stage is Stage.PARTIAL]
    assert partials[0].sentence.text.startswith("是非") and partials[-1].sentence.text.startswith("是非")
    assert {hit.stage for s in partials for hit in s.sentence.hotword_hits} == {Stage.PARTIAL}
    (readings,) = recording.completed.readings
    assert {stage: {hit.stage for hit in hits} for stage, hits in readings.hits.items()} == {
        Stage.STREAMED: {Stage.STREAMED},
        Stage.SECOND_PASS: {Stage.SECOND_PASS},
    }
