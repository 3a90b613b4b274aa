"""用一个运行中的服务转写文件：进度与实时文本在标准错误，结果在标准输出。 Transcribe a file on a running server.

Progress and live text go to standard error, the result to standard output. Exit status: 0 all is well, 1 the server
refused or failed, 2 wrong usage or a file that cannot be read, 3 no connection, or it broke (what was recognised up to
there is printed), 130 interrupted.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from tqdm import tqdm

from AsrClient import AsrClient, AsrError, AudioError, Result, Sentence, duration_ms, opus, read_file

from .formats import FORMATS, clock

FAILED, USAGE, NO_CONNECTION, INTERRUPTED = 1, 2, 3, 130
LIVE = 24  # characters of live text beside the bar
FRAME_S = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    wishes = _arguments().parse_args(argv)
    try:
        result = transcribe(wishes)
    except AudioError as error:
        return _say(str(error), USAGE)
    except AsrError as error:
        return _say(_explained(error), NO_CONNECTION if error.code in _LINE else FAILED)
    except KeyboardInterrupt:
        return _say("已中断。 Interrupted.", INTERRUPTED)
    sys.stdout.write(FORMATS[wishes.format](result))
    if result.interrupted:
        return _say("连接断了，以上到断线为止。 The connection broke; this is what came before.", NO_CONNECTION)
    if result.raw.get("error_code"):
        return _say(f"{result.raw['error_code']}：结果可能不全。 The result may be incomplete.", FAILED)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m xingji.client",
        description="用运行中的服务转写一个文件。 Transcribe a file on a running server.",
    )
    parser.add_argument("file", help="音频或视频文件 · audio or video")
    parser.add_argument("--url", default="http://127.0.0.1:5006", help="服务器地址 · the server (%(default)s)")
    parser.add_argument("--protocol", choices=("socketio", "dashscope"), default="socketio", help="（%(default)s）")
    parser.add_argument("--language", default="auto", help="auto、zh、en、yue、ja、ko")
    parser.add_argument("--hotwords", default="", help="热词，逗号分隔 · hotwords, separated by commas")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="按播放的速度发，否则尽快 · as fast as it is spoken, else as fast as accepted",
    )
    parser.add_argument("--opus", action="store_true", help="压成 Opus 发，省带宽 · send Opus to save bandwidth")
    parser.add_argument("--format", choices=sorted(FORMATS), default="text", help="输出 · output（%(default)s）")
    parser.add_argument(
        "--api-key",
        "--token",
        default=os.environ.get("ASR_API_KEY"),
        help="缺省取环境变量 ASR_API_KEY · else ASR_API_KEY",
    )
    parser.add_argument("--quiet", action="store_true", help="不显示进度和实时文本 · neither progress nor live text")
    return parser


def transcribe(wishes: argparse.Namespace) -> Result:
    """Raises AudioError, AsrError."""
    length_ms = duration_ms(wishes.file)
    options = {"language": wishes.language, "format": "ogg" if wishes.opus else "s16le"}
    if hotwords := [word.strip() for word in re.split("[,，、]", wishes.hotwords) if word.strip()]:
        options["hotwords"] = hotwords
    with tqdm(
        total=length_ms and length_ms / 1000,
        unit="s",
        bar_format="{percentage:3.0f}% |{bar:20}| {n:.0f}/{total:.0f} s {desc}" if length_ms else None,
        file=sys.stderr,
        disable=True if wishes.quiet else None,  # None: where standard error is no terminal
    ) as bar:
        client = AsrClient(
            wishes.url,
            protocol=wishes.protocol,
            api_key=wishes.api_key,
            on_partial=lambda sentence: bar.set_description_str(sentence.text[-LIVE:]),
            on_final=None if wishes.quiet else partial(_show, bar),
        )
        with client:
            client.start(**options)
            pieces = _counted(read_file(wishes.file), bar, wishes.realtime)
            _send(client, opus(pieces) if wishes.opus else pieces)
            return client.stop()


def _send(client: AsrClient, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            client.send(piece)
    except AsrError as error:
        if error.code != "no_session":  # the server takes no more: its result says why
            raise
    except KeyboardInterrupt:
        client.cancel()
        raise


def _counted(frames: Iterable[bytes], bar: "tqdm[None]", realtime: bool) -> Iterator[bytes]:
    begun = time.monotonic()
    for number, frame in enumerate(frames):
        if realtime:
            time.sleep(max(0.0, begun + number * FRAME_S - time.monotonic()))
        yield frame
        bar.update(FRAME_S)


def _show(bar: "tqdm[None]", sentence: Sentence) -> None:
    bar.set_description_str("")
    tqdm.write(f"[{clock(sentence.start_ms)}] {sentence.text}", file=sys.stderr)


_LINE = {
    "unreachable": "连不上服务器。 The server cannot be reached.",
    "connection_lost": "连接断了，没有结果。 The connection broke, and there is no result.",
    "no_answer": "服务器没有回应。 The server did not answer.",
}
_ELSEWHERE = {"unauthorized": "缺少 API 密钥，或密钥不对。 An API key is missing, or it is not the right one."}


def _explained(error: AsrError) -> str:
    words = (_LINE | _ELSEWHERE).get(error.code) or f"{error.message} {error.message_en}".strip()
    field = f"（{error.told['field']}）" if "field" in error.told else ""
    return f"{error.code}{field}：{words}"


def _say(words: str, status: int) -> int:
    sys.stderr.write(words + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
