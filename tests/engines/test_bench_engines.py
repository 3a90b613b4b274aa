"""The table of engine costs has a figure in every cell that can have one."""

from pathlib import Path

import pytest

from tools import bench_engines

pytestmark = pytest.mark.models


def test_the_table(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_engines, "CALLS", 6)
    bench_engines.main([str(models), "--batches", "1", "3"])
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head == "| engine | audio | stock | batch 1 | batch 3 |" and rule.count("|") == 6
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[3:6]] for row in rows}
    assert list(cells) == ["FSMN-VAD", "streaming Paraformer", "SenseVoice"]
    for name, (stock, *costs) in cells.items():
        assert all(float(cost) > 0 for cost in costs), name
        assert bool(stock) == (name == "streaming Paraformer")
