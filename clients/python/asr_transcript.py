"""服务器说过的话，归并成一个值；不涉及网络，可单独使用。 What the server said, as one value; without any network.

``reduce(state, name, data)`` answers a new ``Transcript`` and never changes the old one. Text never goes backwards: a
late or repeated revision is ignored, a stage never falls, a sentence that is withdrawn leaves the list. An event is
what comes over Socket.IO (WebSocket接口文档.md); ``starting``, ``stopping``, ``cancelled`` and ``connection_lost`` are
said on this side. The same rules, word for word, are in clients/web/transcript.js.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

STAGES = ("partial", "streamed", "second_pass", "corrected")
BUSY = ("starting", "recording", "finalizing")


@dataclass(frozen=True, slots=True)
class Sentence:
    """一句。 One sentence."""

    id: int  # 从 1 起，不变 · from 1, stable
    revision: int  # 只升 · only rises
    stage: str  # STAGES 之一，只升不降 · one of STAGES, never falls
    text: str  # 整句 · all of it
    stable: int  # 开头多少个字在复检前不会变 · leading characters that will not change before the second pass
    start_ms: int
    end_ms: int | None  # None：还在说 · still being spoken
    language: str | None
    settled: bool  # 已定稿 · no revision will follow
    readings: tuple[tuple[str, str], ...]  # 谁读作什么 · who read it, and what; once settled


@dataclass(frozen=True, slots=True)
class Transcript:
    """一次录音到现在的文本。 A recording's text up to now."""

    phase: str = "idle"  # idle → starting → recording → finalizing → done; interrupted：断线了 · the connection broke
    recording_id: str | None = None
    speaking: bool = False
    time_ms: int = 0  # 听到哪里，只增 · how far the server has listened
    full_text: str = ""
    sentences: tuple[Sentence, ...] = ()  # 按编号 · by id
    dropped: tuple[Sentence, ...] = ()  # 撤掉的：不是语音 · withdrawn: they were no speech
    progress: int | None = None  # 0…100，停止之后 · once stopped
    stop_reason: str | None = None
    final: Mapping[str, Any] | None = None  # 原样的 final_result · the server's own


EMPTY = Transcript()


def reduce(state: Transcript, name: str, data: Mapping[str, Any] | None = None) -> Transcript:
    """The state after one event; the same object where it changes nothing."""
    data = data or {}
    if name in _OURS:
        return _said_here(state, name)
    if name == "recording_started":
        started = state.phase == "starting"
        return replace(state, phase="recording", recording_id=data.get("recording_id")) if started else state
    if data.get("recording_id") not in (None, "", state.recording_id):
        return state
    if name == "final_result" and state.phase == "interrupted":  # it was kept for us
        return _with_final(state, data)
    if state.phase not in BUSY:
        return state
    match name:
        case "transcription":
            return _with_transcription(state, data)
        case "segment_result":
            return _with_sentence(state, data["sentence"])
        case "recording_stopped":
            reason, time_ms = data.get("reason", "client"), data.get("duration_ms", state.time_ms)
            return replace(state, phase="finalizing", speaking=False, stop_reason=reason, time_ms=time_ms)
        case "recording_cancelled":
            return EMPTY
        case "processing_progress":
            return replace(state, progress=max(state.progress or 0, data["progress"]))
        case "final_result":
            return _with_final(state, data)
    return state


_OURS = ("starting", "stopping", "cancelled", "connection_lost")


def _said_here(state: Transcript, name: str) -> Transcript:
    match name, state.phase:
        case "starting", _:
            return Transcript(phase="starting")
        case "cancelled", "starting":
            return EMPTY
        case "stopping", "recording":
            return replace(state, phase="finalizing", speaking=False)
        case "connection_lost", ("starting" | "recording" | "finalizing"):
            return replace(state, phase="interrupted", speaking=False)
    return state


def _with_transcription(state: Transcript, data: Mapping[str, Any]) -> Transcript:
    told = _with_sentence(state, data["sentence"]) if data.get("sentence") else state
    full_text = data.get("full_text")
    return replace(
        told,
        full_text=join(one.text for one in told.sentences) if full_text is None else full_text,
        speaking=bool(data.get("is_speech_active")) and state.phase == "recording",
        time_ms=max(told.time_ms, data.get("current_time_ms") or 0),
    )


def _with_sentence(state: Transcript, wire: Mapping[str, Any]) -> Transcript:
    known = next((one for one in (*state.sentences, *state.dropped) if one.id == wire["id"]), None)
    if known and not _is_news(known, wire):
        return state
    revised = _from_wire(wire, known.stage if known else "partial")
    sentences, dropped = ([one for one in list_ if one.id != revised.id] for list_ in (state.sentences, state.dropped))
    (sentences if revised.text else dropped).append(revised)
    return replace(state, sentences=_ordered(sentences), dropped=_ordered(dropped), full_text=_replaced(state, revised))


def _is_news(known: Sentence, wire: Mapping[str, Any]) -> bool:
    """A higher revision, or the word that the one we have is the last."""
    settles = wire["revision"] == known.revision and wire.get("settled") is True and not known.settled
    return settles or wire["revision"] > known.revision


def _ordered(sentences: Iterable[Sentence]) -> tuple[Sentence, ...]:
    return tuple(sorted(sentences, key=lambda one: one.id))


def _replaced(state: Transcript, revised: Sentence) -> str:
    """The full text with the sentence's old text replaced, where it can be found."""
    at = 0
    for one in state.sentences:
        start = state.full_text.find(one.text, at)
        if start >= 0:
            at = start + len(one.text)
            if one.id == revised.id:
                return state.full_text[:start] + revised.text + state.full_text[at:]
    return state.full_text


def _from_wire(wire: Mapping[str, Any], floor: str) -> Sentence:
    return Sentence(
        id=wire["id"],
        revision=wire["revision"],
        stage=_higher(wire.get("stage"), floor),
        text=wire["text"],
        stable=wire.get("stable_chars", 0),
        start_ms=wire["start_ms"],
        end_ms=wire.get("end_ms"),
        language=wire.get("language"),
        settled=wire.get("settled") is True,
        readings=tuple((wire.get("readings") or {}).items()),
    )


def _with_final(state: Transcript, data: Mapping[str, Any]) -> Transcript:
    """A final result that lists no sentences, as DashScope's, leaves those that stand."""
    listed = data.get("sentences")
    if listed is None:
        sentences = tuple(replace(one, settled=True) for one in state.sentences)
    else:
        known = {one.id: one.stage for one in state.sentences}
        at_least = "streamed" if data.get("sensevoice") == "" else "second_pass"  # nothing is partial any more
        sentences = tuple(
            replace(_from_wire(wire, _higher(known.get(wire["id"]), at_least)), settled=True)
            for wire in listed
            if wire["text"]
        )
    return replace(
        state,
        phase="done",
        speaking=False,
        progress=100,
        time_ms=data.get("duration_ms", state.time_ms),
        full_text=data.get("llm_merged", state.full_text),
        sentences=sentences,
        final=data,
    )


def _higher(stage: str | None, floor: str) -> str:
    return stage if stage in STAGES and STAGES.index(stage) > STAGES.index(floor) else floor


def join(texts: Iterable[str]) -> str:
    """句子连成全文：汉字直接相连，外文词之间留一个空格。 Sentences as one text, as the server joins them."""
    whole = ""
    for text in texts:
        whole += (" " if whole and text and _apart(whole[-1], text[0]) else "") + text
    return whole


def _apart(before: str, after: str) -> bool:
    if before.isspace() or after.isspace():
        return False
    return before in ",.?!;:" or (_latin(before) and _latin(after))


def _latin(character: str) -> bool:
    return character.isascii() or (character.isalnum() and character < "\u2e80")
