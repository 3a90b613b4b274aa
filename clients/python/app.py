"""AsrClient.py 的用法示例：麦克风或文件，边说边出字。 How AsrClient.py is used: microphone or file.

::

    python app.py                      # 麦克风，回车结束 · the microphone, until Enter
    python app.py meeting.mp3          # 文件 · a file
    python app.py --opus --protocol dashscope --hotwords 林滔
"""

import argparse
import sys
import threading
from collections.abc import Iterable

from AsrClient import AsrClient, AsrError, AudioError, Interruption, Microphone, Result, Sentence, opus, read_file


def main() -> int:
    parser = argparse.ArgumentParser(description="星纪 ASR 客户端示例 · a demo of AsrClient.py")
    parser.add_argument("file", nargs="?", help="不给就用麦克风 · without one, the microphone")
    parser.add_argument("--url", default="http://127.0.0.1:5006")
    parser.add_argument("--protocol", choices=("socketio", "dashscope"), default="socketio")
    parser.add_argument("--hotwords", nargs="*", default=[])
    parser.add_argument("--opus", action="store_true", help="省带宽 · saves bandwidth")
    parser.add_argument("--api-key")
    wishes = parser.parse_args()
    try:
        result = listen(wishes) if wishes.file is None else record(wishes, read_file(wishes.file), 16_000)
    except (AsrError, AudioError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n全文 text：{result.text}")
    return 0


def listen(wishes: argparse.Namespace) -> Result:
    with Microphone() as microphone:
        print("请说话，回车结束。 Speak; Enter ends it.")
        threading.Thread(target=lambda: (sys.stdin.readline(), microphone.stop()), daemon=True).start()
        result = record(wishes, microphone, microphone.sample_rate)
        if microphone.overflows:
            print("这台机器太忙，丢了一些声音。 This machine was too busy and lost some sound.", file=sys.stderr)
        return result


def record(wishes: argparse.Namespace, frames: Iterable[bytes], rate: int) -> Result:
    client = AsrClient(
        wishes.url,
        protocol=wishes.protocol,
        api_key=wishes.api_key,
        on_partial=lambda sentence: print(f"\r… {sentence.text}", end="", flush=True),
        on_final=lambda sentence: print(f"\r{described(sentence)}"),
        on_error=lambda error: print(f"\n{error}", file=sys.stderr),
        on_interrupted=lambda broken: print(f"\n{explained(broken)}", file=sys.stderr),
    )
    with client:
        client.start(hotwords=wishes.hotwords, format="ogg" if wishes.opus else "s16le", sample_rate=rate)
        try:
            for piece in opus(frames, rate) if wishes.opus else frames:
                client.send(piece)
        except AsrError as error:
            print(error, file=sys.stderr)  # no more is taken; the result may still come
        return client.stop()


def described(sentence: Sentence) -> str:
    return f"[{sentence.start_ms / 1000:6.1f} s] {sentence.text}"


def explained(broken: Interruption) -> str:
    lost = sum(map(len, broken.pending))
    return f"断线 connection lost：{broken.accepted_ms} ms 已送达 delivered，{lost} 字节未送达 bytes not"


if __name__ == "__main__":
    sys.exit(main())
