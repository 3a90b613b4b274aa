"""Backup audio: whole, valid at any moment, private, gone in time, and never at the recording's cost."""

import io
import logging
import os
import stat
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.support import read_wav
from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.runtime import backup
from xingji.runtime.backup import LARGEST, Backup, Backups, header


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def backups(folder: Path) -> Backups:
    return Backups(folder, 24.0)


def begun(backups: Backups, id: str = "rec_1") -> Backup:
    made = backups.begin(id)
    assert made is not None
    return made


def noise(length: int) -> Samples:
    return np.random.default_rng(length).integers(-(2**15), 2**15, length).astype(np.int16)


# -- one file ---------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[1], [SAMPLE_RATE], [7, 0, 3 * SAMPLE_RATE, 160, SAMPLE_RATE - 1]], ids=str)
def test_the_file_holds_exactly_what_was_written(backups: Backups, folder: Path, lengths: list[int]) -> None:
    pieces = [noise(length) for length in lengths]
    kept = begun(backups)
    for piece in pieces:
        kept.write(piece)
    kept.close()
    kept.close()
    kept.write(noise(SAMPLE_RATE))
    assert kept.id == "rec_1"
    assert read_wav(folder / "rec_1.wav") == np.concatenate(pieces).tobytes()
    assert stat.S_IMODE((folder / "rec_1.wav").stat().st_mode) == 0o600


def test_the_file_is_valid_while_it_grows(backups: Backups, folder: Path) -> None:
    kept = begun(backups)
    for second in range(1, 4):
        kept.write(noise(SAMPLE_RATE))
        assert len(read_wav(folder / "rec_1.wav")) == 2 * SAMPLE_RATE * second
    kept.discard()


def test_without_audio_there_is_no_file(backups: Backups, folder: Path) -> None:
    kept = begun(backups)
    kept.close()
    assert kept.id is None and not folder.exists()


@pytest.mark.parametrize("length", [100, 2 * SAMPLE_RATE])
def test_what_is_discarded_is_gone(backups: Backups, folder: Path, length: int) -> None:
    kept = begun(backups)
    kept.write(noise(length))
    kept.discard()
    kept.close()
    assert kept.id is None and not [*folder.glob("*")]


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = begun(Backups(tmp_path / "file" / "backup", 24.0))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            kept.write(noise(SAMPLE_RATE))
        kept.close()
    assert kept.id is None
    assert [record.message for record in caplog.records] == ["backup audio is lost"]


def test_a_full_disk_costs_the_whole_backup(
    backups: Backups, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(backups)
    kept.write(noise(SAMPLE_RATE))
    assert kept.id == "rec_1"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_write", full)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            kept.write(noise(SAMPLE_RATE))
        kept.close()
    assert kept.id is None and not [*folder.iterdir()]
    assert [record.errno for record in caplog.records] == [28]  # type: ignore[attr-defined]


def test_never_over_another_recordings_file(backups: Backups, folder: Path) -> None:
    folder.mkdir()
    (folder / "rec_1.wav").write_bytes(b"precious")
    kept = begun(backups)
    kept.write(noise(SAMPLE_RATE))
    assert kept.id is None
    assert (folder / "rec_1.wav").read_bytes() == b"precious"


@pytest.mark.parametrize(("size", "told"), [(0, 0), (6, 6), (LARGEST, LARGEST), (LARGEST + 2, LARGEST)])
def test_header(size: int, told: int) -> None:
    made = header(size)
    assert len(made) == 44
    assert int.from_bytes(made[40:44], "little") == told
    assert int.from_bytes(made[4:8], "little") == told + 36
    if size == 6:
        with wave.open(io.BytesIO(made + b"abcdef")) as file:
            assert file.getparams()[:4] == (1, 2, SAMPLE_RATE, 3)


# -- all of them ------------------------------------------------------------------------------


def test_where_nothing_is_kept(tmp_path: Path) -> None:
    off = Backups(None, 24.0)
    off.sweep()
    assert off.begin("rec_1") is None
    with pytest.raises(XingjiError, match="not_found"):
        off.find("rec_1")


@pytest.mark.parametrize("id", ["unknown", "../rec_1", "..", "", "rec_1.wav", "录音", "rec_1\n", "x" * 81], ids=repr)
def test_other_ids_find_nothing(tmp_path: Path, id: str) -> None:
    backups = Backups(tmp_path / "backup", 24.0)
    (tmp_path / "backup").mkdir()
    for name in ("rec_1.wav", "backup/rec_1.wav", "backup/录音.wav", "backup/.wav", f"backup/{'x' * 81}.wav"):
        (tmp_path / name).write_bytes(b"audio")
    assert backups.find("rec_1").read_bytes() == b"audio"
    for use in (backups.find, backups.delete):
        with pytest.raises(XingjiError, match="not_found"):
            use(id)
    assert len([*tmp_path.rglob("*.wav")]) == 5


def test_deleting(backups: Backups, folder: Path) -> None:
    kept = begun(backups)
    kept.write(noise(10))
    kept.close()
    backups.delete("rec_1")
    assert not [*folder.iterdir()]


def test_what_is_too_old_is_swept_away(backups: Backups, folder: Path) -> None:
    folder.mkdir()
    backups.sweep()
    for name, age_h in {"old.wav": 24.1, "new.wav": 23.9, "录音.wav": 99.0, "old.txt": 99.0}.items():
        (folder / name).write_bytes(b"")
        then = time.time() - age_h * 3600
        os.utime(folder / name, (then, then))
    backups.sweep()
    assert {path.name for path in folder.iterdir()} == {"new.wav", "录音.wav", "old.txt"}
