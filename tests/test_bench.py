"""The load test's arithmetic: what is played, what a client can know, when a number of sessions is held, the report."""

import ast
import itertools
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from tests.support import RATE, ROOT, utterances
from tools.bench import cost, figures
from tools.bench.curve import Series, svg
from tools.bench.figures import LOAD, Engine, Run, Spread
from tools.bench.observe import CHUNK_MS, Heard, Observed, ours, theirs
from tools.bench.report import Report
from tools.bench.resources import Usage, cpu_s, pss_mb
from tools.bench.search import Found, search
from tools.bench.speech import JITTER_S, Arrivals, Packet, Speech, even, ragged, speech
from xingji.settings import Settings


def never() -> bool:
    return False


def test_speech_is_as_long_as_asked_and_another_for_each_seed() -> None:
    said = utterances()
    one, again, other = speech(20, 1, said), speech(20, 1, said), speech(20, 2, said)
    assert one == again and one.pcm != other.pcm
    assert one.samples == other.samples == 20 * RATE
    assert all(end > 0 and begin < 20 * RATE for begin, end in one.labels) and len(one.labels) >= 3


def test_labels_stand_where_somebody_speaks() -> None:
    said = speech(30, 3, utterances())
    samples = memoryview(said.pcm).cast("h")
    loud = [max(map(abs, samples[max(0, begin) : end])) for begin, end in said.labels]
    pauses = [
        max(map(abs, samples[before + RATE // 4 : after - RATE // 4]), default=0)
        for (_, before), (after, _) in itertools.pairwise(said.labels)
    ]
    assert min(loud) > 1000 and max(pauses) < min(loud)
    gaps = [after - before for (_, before), (after, _) in itertools.pairwise(said.labels)]
    assert min(gaps) > 0.8 * RATE, "a pause must be long enough to end a sentence"


@pytest.mark.parametrize("cut", [ragged, even])
def test_packets_come_in_order_late_and_never_early(cut: Callable[[int, int], list[Packet]]) -> None:
    packets = cut(10 * RATE, 7)
    assert packets[0].begin == 0 and all(a.end == b.begin for a, b in itertools.pairwise(packets))
    late = [packet.due_s - packet.end / RATE for packet in packets]
    assert min(late) >= 0 and max(late) <= JITTER_S
    assert [packet.due_s for packet in packets] == sorted(packet.due_s for packet in packets)


def test_ragged_packets_vary_and_hold_everything() -> None:
    packets = ragged(60 * RATE, 7)
    sizes = [(packet.end - packet.begin) * 1000 / RATE for packet in packets[:-1]]
    assert packets[-1].end == 60 * RATE
    assert min(sizes) < 40 and max(sizes) > 180 and 90 < sum(sizes) / len(sizes) < 110
    assert {packet.end - packet.begin for packet in even(10 * RATE, 7)} == {960}


SAID = Speech(bytes(2 * 6 * RATE), ((RATE, 3 * RATE), (4 * RATE, 7 * RATE)))
ARRIVALS = Arrivals([Packet(at, at + RATE // 10, (at + RATE // 10) / RATE) for at in range(0, 6 * RATE, RATE // 10)])
BEGUN, STOPPED = 100.0, 106.0


def heard(*messages: Heard) -> Observed:
    return ours([*messages, Heard(106.2, "final")], SAID, ARRIVALS, BEGUN, STOPPED)


def test_a_partial_is_as_late_as_it_comes_after_its_last_sample() -> None:
    """The sentence begins at 0.92 s, its chunks at 0.8 s: they are whole at 1.4, 2.0 and 2.6 s."""
    seen = heard(
        Heard(101.2, "start", covered_ms=1200),
        Heard(101.65, "partial", 1, 920, covered_ms=1600),
        Heard(102.3, "partial", 1, 920, covered_ms=2200),
    )
    assert [round(lag, 6) for _, lag, _ in seen.partial] == [0.25, 0.3]
    assert [round(at, 6) for at, _, _ in seen.partial] == [1.65, 2.3]
    assert seen.first_text == [pytest.approx(0.65)]
    assert (seen.sentences, seen.partials, seen.errors) == (1, 2, {})
    assert seen.final == [pytest.approx(0.2)]


def test_a_job_that_was_asked_late_takes_all_the_chunks_that_were_judged() -> None:
    """The first answer comes so late that two chunks wait for the second job, which takes both."""
    seen = heard(
        Heard(101.2, "start", covered_ms=1200),
        Heard(102.8, "partial", 1, 920, covered_ms=2800),
        Heard(103.5, "partial", 1, 920, covered_ms=3400),
    )
    assert [round(lag, 6) for _, lag, _ in seen.partial] == [1.4, 0.9]  # holds up to 1.4 s, then up to 2.6 s
    assert [round(least, 6) for _, _, least in seen.partial] == [0.2, 0.3]  # at best up to 2.6 s, then 3.2 s


def test_text_that_was_not_told_makes_the_lag_an_upper_bound() -> None:
    seen = heard(
        Heard(101.2, "start", covered_ms=1200),
        Heard(102.25, "partial", 1, 920, covered_ms=2200),  # the chunk up to 1.4 s had no text
    )
    ((_, lag, least),) = seen.partial
    assert lag == pytest.approx(0.85) and least == pytest.approx(0.25)


def test_the_second_pass_is_counted_from_the_decision_and_from_the_label() -> None:
    seen = heard(
        Heard(101.2, "start", covered_ms=1200),
        Heard(103.9, "end", end_ms=3100, covered_ms=3800),
        Heard(104.0, "second", 1, 800, 3100, covered_ms=4000),
    )
    assert seen.second_pass == [pytest.approx(0.1)]
    assert seen.end_to_second == [pytest.approx(1.0)]


def test_a_recording_without_its_result_is_an_error() -> None:
    assert ours([], SAID, ARRIVALS, BEGUN, STOPPED).errors == {"no final result": 1}
    assert theirs([], SAID, ARRIVALS, BEGUN, STOPPED).errors == {"no final result": 1}


def test_the_baselines_partials_say_what_they_hold() -> None:
    said = Speech(SAID.pcm, SAID.labels[:1])
    messages = [Heard(101.0, "partial", covered_ms=600), Heard(104.5, "second"), Heard(107.0, "final")]
    seen = theirs(messages, said, ARRIVALS, BEGUN, STOPPED)
    assert seen.partial == [(pytest.approx(1.0), pytest.approx(0.4), pytest.approx(0.4))]
    assert seen.end_to_second == [pytest.approx(1.5)] and seen.final == [pytest.approx(1.0)]
    twice = theirs([messages[1], *messages[1:]], said, ARRIVALS, BEGUN, STOPPED)
    assert twice.end_to_second == [], "two sentences for one label: none can be told from the other"


METRICS = """\
# TYPE xingji_batch_jobs histogram
xingji_batch_jobs_bucket{job="decode",le="1.0"} 4
xingji_batch_jobs_bucket{job="decode",le="2.0"} 10
xingji_batch_jobs_bucket{job="decode",le="3.0"} 10
xingji_batch_jobs_bucket{job="decode",le="+Inf"} 10
xingji_batch_jobs_count{job="decode"} 10
xingji_batch_jobs_sum{job="decode"} 16
# TYPE xingji_engine_busy_seconds counter
xingji_engine_busy_seconds_total{job="decode"} 3
# TYPE xingji_engine_audio_seconds counter
xingji_engine_audio_seconds_total{job="decode"} 6
# TYPE xingji_partial_lag_seconds histogram
xingji_partial_lag_seconds_bucket{le="0.1"} 50
xingji_partial_lag_seconds_bucket{le="0.2"} 90
xingji_partial_lag_seconds_bucket{le="1.0"} 100
xingji_partial_lag_seconds_bucket{le="+Inf"} 100
xingji_partial_lag_seconds_count 100
xingji_partial_lag_seconds_sum 12
"""


def test_what_the_server_says_of_a_run_is_what_has_grown() -> None:
    samples = figures.read_metrics(METRICS)
    (decode,) = figures.engines(samples).values()
    assert (decode.jobs, decode.calls, decode.batch, decode.rtf) == (10, 7, pytest.approx(10 / 7), 0.5)
    assert figures.engines(figures.grown(samples, samples)) == {}
    lag = figures.histogram(samples, "xingji_partial_lag_seconds")
    assert lag == Spread(pytest.approx(0.1), pytest.approx(0.6), pytest.approx(0.92), 100)
    assert figures.share_within(samples, "xingji_partial_lag_seconds", 1.0) == 1.0
    assert figures.histogram(figures.grown(samples, samples), "xingji_partial_lag_seconds") is None


def made(clients: int = 2, lags: tuple[float, ...] = (0.3,) * 9, **changes: object) -> Run:
    """Partials at every tenth of a 30 s run."""
    partial = [(3.0 * (number + 0.5), lag, lag / 2) for number, lag in enumerate(lags)]
    seen = Observed(partial=partial, final=[0.1] * clients, partials=9, sentences=1, recordings=clients)
    usage = {"gateway": Usage(1.5, 80.0), "stream": Usage(6.0, 900.0), LOAD: Usage(0.5, 40.0)}
    run = Run("星纪 ASR", clients, 30.0, seen, 30.0, usage, {"decode": Engine(10, 10, 3.0, 60.0)})
    for name, value in changes.items():
        setattr(run, name, value)
    return run


def test_what_is_held() -> None:
    assert made().held and made().exact
    assert not made(lags=(1.1,) * 9).held
    refused = made()
    refused.observed.fault("busy")
    assert not refused.held
    lost = made()
    lost.observed.final.pop()
    assert not lost.held


def test_a_lag_that_grows_is_not_held_however_small() -> None:
    growing = made(lags=(0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.7, 0.7, 0.7, 0.7))
    assert growing.diverges and not growing.held
    assert not made(lags=(0.1,) * 6 + (0.2,) * 4).diverges, "so little is chance"


def test_where_partials_were_not_told_the_server_is_believed() -> None:
    run = made(lags=(1.2,) * 9, engines={"decode": Engine(21, 21, 3.0, 60.0)})
    run.server_lag, run.server_lag_held = Spread(0.1, 0.4, 0.5, 20), 0.99
    assert run.told == pytest.approx(9 / 20) and not run.exact
    assert run.held and run.lag == run.server_lag


@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 7, 8, 13])
def test_the_search_finds_the_largest_number(capacity: int) -> None:
    asked: list[int] = []

    def holds(number: int) -> bool:
        asked.append(number)
        return number <= capacity

    assert search(holds, 100, never) == Found(capacity, capacity + 1, "found")
    assert len(asked) == len(set(asked)) <= 8


def test_the_search_is_as_fine_as_a_sixteenth_and_stops_at_its_bounds() -> None:
    found = search(lambda number: number <= 150, 1000, never)
    assert found.fails is not None and found.holds <= 150 < found.fails <= found.holds * 17 / 16
    assert search(lambda number: True, 20, never) == Found(20, None, "most")
    left = iter([False, False, True])
    assert search(lambda number: True, 20, lambda: next(left)) == Found(2, None, "time")


TABLE = """\
| engine | audio | stock | batch 1 | batch 4 |
|---|---|--:|--:|--:|
| FSMN-VAD | 200 ms |  | 2.0 | 1.0 |
| streaming Paraformer | 600 ms | 210.0 | 60.0 | 30.0 |
| SenseVoice | 5 s |  | 100.0 | 90.0 |
"""


def test_costs_are_read_from_the_table_of_engine_costs_and_from_json() -> None:
    costs = cost.from_table("# words\n\n" + TABLE)
    assert costs["decode"].rtf(1) == pytest.approx(0.1) and costs["decode"].rtf(5) == pytest.approx(0.05)
    raw = {kind: {"step_s": step.step_s, "ms": step.ms} for kind, step in costs.items()}
    assert cost.from_json(json.dumps(raw)) == costs
    for read, text in ((cost.from_table, "no table"), (cost.from_json, '{"detect": 1}')):
        with pytest.raises(ValueError, match="costs"):
            read(text)


def test_the_prediction_names_what_is_full_first() -> None:
    part = {"detect": 1.0, "decode": 0.9, "transcribe": 0.5}
    one = cost.predict("table", cost.from_table(TABLE), 1, cores=2, gateway=0.01, part=part)
    assert one.shares == {"gateway": 0.01, "stream": pytest.approx(0.1), "segment": pytest.approx(0.01)}
    assert (one.streams, one.narrowest) == (8, "stream thread")
    assert one.per_core == pytest.approx(cost.RHO / 0.12)
    device = cost.predict("gpu", cost.from_table(TABLE), 4, 2, 0.01, part, on_device=True)
    assert device.limits["GPU"] == pytest.approx(cost.RHO / (0.005 + 0.045 + 0.009)) and device.narrowest == "GPU"
    assert cost.extrapolated(made(), 2).shares == {"gateway": pytest.approx(0.025), "stream": pytest.approx(0.1)}
    assert "**7**" in cost.table([one], 7)[-1]


def test_the_report_has_as_many_cells_in_a_row_as_in_its_head() -> None:
    report = Report("mini pack", "a machine", "2026-11-26", 30.0, [made(2), made(1)], Found(2, 3, "found"))
    report.baseline = [made(1, processes={"server": Usage(20.0, 4000.0), LOAD: Usage(0.5, 40.0)}, engines={})]
    report.baseline_found = Found(1, 2, "found")
    report.pairs = [(made(1), report.baseline[0])]
    report.predictions = [cost.extrapolated(made(), 2)]
    text = report.text()
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, block
    assert "**Holds 2 sessions** (3 are too many)" in text
    assert "ours 2, theirs 1**, 2.0 times as many" in text
    assert "| processor, % of a core a stream | 25 | 67 | 2.67 |" in text


def test_the_curve_is_well_formed_and_reads_on_both_grounds() -> None:
    points = [(sessions, Spread(0.1 * sessions, 0.2 * sessions, 0.3 * sessions, 100)) for sessions in (1, 2, 4)]
    picture = svg("lag & more", [Series("ours", points), Series("FunASR", points[:1])])
    root = ET.fromstring(picture)
    lines = [one for one in root.iter() if one.get("class", "").startswith("line")]
    assert len(lines) == 6 and "prefers-color-scheme: dark" in picture
    heights = [float(point.split()[1]) for point in lines[0].get("d", "")[1:].split("L")]
    assert heights == sorted(heights, reverse=True), "more is higher"
    assert ET.fromstring(svg("nothing", [])) is not None


def test_this_process_uses_something() -> None:
    assert cpu_s(os.getpid()) > 0 and pss_mb(os.getpid()) > 1
    assert cpu_s(2**22 + 1) == 0 and pss_mb(2**22 + 1) == 0


def test_the_shim_imports_nothing_of_ours() -> None:
    tree = ast.parse((ROOT / "tools" / "bench" / "funasr_shim.py").read_text("utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    origins = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names | origins == {"funasr", "numpy", "os", "runpy", "sys", "torch", "collections", "typing"}


def test_the_chunk_is_the_servers_default() -> None:
    assert Settings.model_fields["chunk_ms"].default == CHUNK_MS
