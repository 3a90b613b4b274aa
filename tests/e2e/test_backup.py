"""A server that keeps backup audio, and takes other steps and pauses than usual."""

import io
import os
import wave
from pathlib import Path

import requests

from tests.support import Recorder, Server, utterance

PATH = "/api/asr/backup-audio/"


def test_backup_audio_with_other_settings(models: Path, tmp_path: Path) -> None:
    said, folder = utterance("question"), tmp_path / "backup"
    folder.mkdir()
    (folder / "rec_old.wav").write_bytes(b"RIFF")
    os.utime(folder / "rec_old.wav", (0, 0))
    settings = {"BACKUP_DIR": str(folder), "CHUNK_MS": "240", "SENTENCE_SILENCE_MS": "1000"}
    environment = {f"XINGJI_{name}": value for name, value in settings.items()}
    with Server(tmp_path, **environment) as server, Recorder(server.url) as client:
        server.wait(lambda: not (folder / "rec_old.wav").exists(), 10)
        client.start()
        assert client.expect("recording_started")["config"]["max_sentence_silence_ms"] == 1000
        client.play(said.pcm, pace=0)
        final = client.stop()
        id = final["backup_audio_id"]
        assert id == final["recording_id"] and final["sensevoice"] and final["paraformer"]
        assert server.get(f"/api/asr/recordings/{id}").json()["data"] == final
        with wave.open(io.BytesIO(server.get(PATH + id).content)) as audio:
            assert (audio.getframerate(), audio.getnchannels()) == (16_000, 1)
            assert audio.readframes(audio.getnframes()) == said.pcm
        assert requests.delete(server.url + PATH + id, timeout=10).json()["data"] == {"id": id}
        assert server.get(PATH + id).status_code == 404
        assert not [*folder.iterdir()]
