"""The recordings whose traces are kept in ``traces/``: each a few seconds, each showing one thing.

``python -m tools.replay --update-traces`` writes them again; read the diff before it is committed.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.core.recording import PLAIN, PROFILE
from tests.core.world import Pronouncer, Table, World, say, written
from tools.trace import Trace
from xingji.core.messages import Audio, Commit, Correct, Decode, Detect, Hurry, Lost, Profile, Stop, Transcribe
from xingji.core.session import Session

TRACES = Path(__file__).parent / "traces"
FRAME = 4_800  # samples; not a multiple of the hop


class Scene(Trace):
    def __init__(self, profile: Profile) -> None:
        self.world = World()
        super().__init__(Session(profile, Pronouncer()), self.world.answer)

    def feed(self, text: str, lead: int = 0) -> None:
        audio = say(text, lead)
        for begin in range(0, len(audio), FRAME):
            self.handle(Audio(audio[begin : begin + FRAME]))
            self.settle()

    def stop(self) -> None:
        self.handle(Stop())
        self.settle()


def plain_sentence() -> Scene:
    scene = Scene(PROFILE)
    scene.feed("cdefghi        ", lead=1_000)
    scene.stop()
    return scene


def two_sentences() -> Scene:
    """The second is corrected with the first as its context; a hotword acts in it."""
    scene = Scene(replace(PROFILE, hotwords=Table({written("gh", 2): written("gh", 3)})))
    scene.feed("cd      gh      ")
    scene.stop()
    return scene


def commit() -> Scene:
    scene = Scene(PLAIN)
    scene.feed("cde")
    scene.handle(Commit())
    scene.settle()
    scene.feed("fg      ")
    scene.stop()
    return scene


def stop_in_a_word() -> Scene:
    scene = Scene(PLAIN)
    audio = say("   cdef")
    scene.handle(Audio(audio[:9_500]))
    scene.settle()
    scene.stop()
    return scene


def a_cough() -> Scene:
    scene = Scene(PROFILE)
    scene.feed(" ##      ")
    scene.stop()
    return scene


def lost_second_pass() -> Scene:
    scene = Scene(PROFILE)
    scene.handle(Audio(say("abc")))
    scene.handle(Stop())
    while job := next(iter(scene.jobs), None):
        scene.answer(job, Lost("crashed") if isinstance(job, Transcribe) else None)
    return scene


def lost_detector() -> Scene:
    scene = Scene(PLAIN)
    scene.handle(Audio(say("  cd    ")))
    scene.answer(scene.jobs[0], Lost("engine_failed"))
    scene.settle()
    scene.stop()
    return scene


def crash_and_replay() -> Scene:
    scene = Scene(PLAIN)
    scene.feed("cdefghij")
    scene.world.crash()
    scene.feed("klm      ")
    scene.stop()
    return scene


def long_speech() -> Scene:
    scene = Scene(replace(PLAIN, longest=16_000))
    scene.feed("ppppppppdpppp      ")
    scene.stop()
    return scene


def edits() -> Scene:
    """Two edits stand, one is refused."""
    scene = Scene(PROFILE)
    scene.feed("acobd")
    scene.stop()
    return scene


def hurry() -> Scene:
    """The first answer of the corrector comes in time, the second does not."""
    scene = Scene(PROFILE)
    scene.feed("ac      ")
    scene.handle(Audio(say("bd")))
    scene.handle(Stop())
    while job := next((job for job in scene.jobs if not isinstance(job, Correct)), None):
        scene.answer(job)
    scene.handle(Hurry())
    scene.settle()
    return scene


def late_decoder() -> Scene:
    """The streaming recogniser lags: its next job carries many chunks, and its last word is not shown."""
    scene = Scene(PLAIN)
    scene.handle(Audio(say("cdefghijklmnop")))
    while scene.jobs and isinstance(scene.jobs[0], Detect):
        scene.answer(scene.jobs[0])
    scene.handle(Stop())
    while job := next((job for job in scene.jobs if not isinstance(job, Decode)), None):
        scene.answer(job)
    scene.settle()
    return scene


def previews() -> Scene:
    """Nobody streams: what has been said so far is read again and again, and the second pass has the whole."""
    scene = Scene(replace(PLAIN, stream=False, preview=True, longest=160_000))
    scene.feed("cdefghijklmnopcdefghijklmnopcdef      ")
    scene.stop()
    return scene


SCENARIOS: dict[str, Callable[[], Scene]] = {
    scenario.__name__: scenario
    for scenario in (
        plain_sentence,
        two_sentences,
        commit,
        stop_in_a_word,
        a_cough,
        lost_second_pass,
        lost_detector,
        crash_and_replay,
        long_speech,
        edits,
        hurry,
        late_decoder,
        previews,
    )
}


def trace(name: str) -> str:
    scenario = SCENARIOS[name]
    about = f"# {scenario.__doc__}\n" if scenario.__doc__ else ""
    return about + "\n".join(scenario().lines) + "\n"


def update() -> None:
    TRACES.mkdir(exist_ok=True)
    for name in SCENARIOS:
        (TRACES / f"{name}.trace").write_text(trace(name), "utf-8")
