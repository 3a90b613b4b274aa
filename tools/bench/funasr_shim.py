"""Runs FunASR's websocket server on local models. Executed by the baseline's own Python: imports nothing of ours.

``python funasr_shim.py SERVER.py MODELS END_SILENCE_MS [the server's own flags]``. The script names its models by
their ids on the hub; here they are directories of official size. Its speaker model is no part of the comparison and
answers at once with zeros. A streaming text gets ``|`` and the milliseconds that its stream has been given so far, so
that a client can know how late it is. The detector can be told when a sentence ends, so that both servers have the
same sentences to do. The script itself is run as it is.
"""

import os
import runpy
import sys
from collections import defaultdict
from typing import Any

FOLDERS = {
    "paraformer-zh": "paraformer_offline",
    "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online": "paraformer",
    "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch": "vad",
    "iic/punc_ct-transformer_zh-cn-common-vad_realtime-vocab272727": "punc",
}
SPEAKER = "iic/speech_campplus_sv_zh-cn_16k-common"
BYTES_PER_MS = 32  # s16le, 16 kHz


class Speaker:
    def generate(self, **_: Any) -> list[dict[str, Any]]:
        import torch

        return [{"spk_embedding": torch.zeros(1, 192)}]


class Listening:
    """A model that is given PCM. It gets the samples that funasr would make of it: from the bytes themselves funasr
    1.4.16 takes some quiet packets for MP3 files and fails, which is not what is compared here."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def generate(self, input: bytes, hotword: str = "", **options: Any) -> list[dict[str, Any]]:
        """``hotword`` is the client's name (see ``clients.Funasr``), which these classes of model would ignore."""
        import numpy

        samples = numpy.frombuffer(input, "<i2").astype(numpy.float32) / 32768
        results: list[dict[str, Any]] = self._model.generate(input=samples, **options)
        return results


class Streaming(Listening):
    """The streaming recogniser, which says how much it has been given."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._given: dict[str, int] = defaultdict(int)  # client → bytes

    def generate(self, input: bytes, hotword: str = "", **options: Any) -> list[dict[str, Any]]:
        self._given[hotword] += len(input)
        results = super().generate(input, **options)
        if results[0].get("text"):
            results[0]["text"] += f"|{self._given[hotword] // BYTES_PER_MS}"
        return results


class Detector(Listening):
    """funasr 1.4.16 ends a short sentence after two seconds of silence unless told how many milliseconds to wait."""

    end_silence_ms = 0  # 0: it is not told, as the published script does not

    def generate(self, input: bytes, hotword: str = "", **options: Any) -> list[dict[str, Any]]:
        if self.end_silence_ms:
            options["max_end_silence_time"] = self.end_silence_ms
        return super().generate(input, **options)


WRAPPERS = {"paraformer": Streaming, "paraformer_offline": Listening, "vad": Detector}


def main(script: str, models: str, end_silence_ms: int, flags: list[str]) -> None:
    import funasr

    real = funasr.AutoModel

    def local(model: str, model_revision: str | None = None, **options: Any) -> Any:
        if model == SPEAKER:
            return Speaker()
        folder = FOLDERS[model]
        loaded = real(model=os.path.join(models, folder), disable_update=True, **options)
        return WRAPPERS[folder](loaded) if folder in WRAPPERS else loaded

    Detector.end_silence_ms = end_silence_ms
    funasr.AutoModel = local
    sys.argv = [script, *flags]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
