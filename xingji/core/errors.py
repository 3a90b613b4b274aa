"""One family of errors that a client may be shown. Each wire has one table to its own dialect.

``code`` is stable and documented; ``zh`` and ``en`` are for people. ``fault`` says who has to
act; ``retryable`` says whether the same request may succeed later, ``fatal`` that the connection
ends with it.
"""

from dataclasses import dataclass
from typing import Literal

Fault = Literal["client", "server", "engine"]


@dataclass(frozen=True, slots=True)
class Meaning:
    zh: str
    en: str
    fault: Fault = "client"
    retryable: bool = False
    fatal: bool = False


CODES: dict[str, Meaning] = {
    "unauthorized": Meaning("缺少 API 密钥，或密钥不对。", "The API key is missing or wrong."),
    "no_session": Meaning("还没有开始录音，请先发送 start_recording。", "No recording is running; send start_recording first."),
    "already_recording": Meaning("正在录音，请先停止当前录音。", "A recording is already running; stop it first."),
    "bad_config": Meaning("录音选项的值不对。", "A recording option has a bad value."),
    "unknown_model": Meaning("没有这个模型，或者这里没有配置它。", "There is no such model, or it is not set up here."),
    "bad_audio": Meaning("收到的不是约定格式的音频。", "This is not audio in the agreed format."),
    "audio_gap": Meaning("音频序号不连续，中间有数据包丢失。", "The audio sequence has a gap; packets were lost."),
    "bad_json": Meaning("消息不是一个 JSON 对象。", "The message is no JSON object."),
    "unknown_event": Meaning("没有这个事件。", "There is no such event."),
    "busy": Meaning("服务器已满，请稍后再试。", "The server is full; try again later.", "server", True),
    "connection_timeout": Meaning("连接太久没有录音，也没有事件，现在关闭；需要时请重新连接。", "The connection had no recording and no event for too long and is closed; connect again when needed.", "client", True, True),
    "overloaded": Meaning("识别暂时跟不上，音频已排队，不会丢失。", "Recognition lags; audio is queued and nothing is lost.", "server", True),
    "backend_failed": Meaning("识别引擎出错，部分结果可能缺失。", "A recogniser failed; part of the result may be missing.", "engine", True),
    "not_supported": Meaning("这个服务器不支持此功能。", "This server does not support that."),
    "not_ready": Meaning("模型还在加载，请稍后再试。", "Models are still loading; try again later.", "server", True),
    "internal": Meaning("服务器内部错误。", "Internal server error.", "server", True),
    "no_file": Meaning("请求里没有名为 file 的文件字段。", "The request has no file field named “file”."),
    "empty_filename": Meaning("文件名为空。", "The file name is empty."),
    "empty_file": Meaning("文件是空的。", "The file is empty."),
    "unsupported_format": Meaning("不认识的音频格式。", "The audio format is not supported."),
    "bad_parameter": Meaning("参数的值不对。", "A parameter has a bad value."),
    "too_large": Meaning("文件太大或音频太长。", "The file is too large or the audio too long."),
    "not_streamable": Meaning("这个 MP4 的索引（moov）在音频之后，不能边收边解码；请作为文件上传，或录成分段的 MP4。", "This MP4 has its index (moov) after the audio and cannot be decoded as it arrives; upload it as a file, or record fragmented MP4."),
    "decode_failed": Meaning("音频无法解码，文件可能已损坏。", "The audio cannot be decoded; the file may be damaged."),
    "invalid_hotwords": Meaning("热词表不合规则。", "The hotword table is not valid."),
    "version_conflict": Meaning("热词表已被别人改过，请重新读取后再改。", "The hotword table has changed; read it again first."),
    "not_found": Meaning("没有找到。", "Not found."),
    "upgrade_required": Meaning("这个地址只接受 WebSocket 连接。", "This address takes WebSocket connections only."),
    "method_not_allowed": Meaning("此地址不支持这种请求方法。", "This address does not allow that method."),
}  # fmt: skip


class XingjiError(Exception):
    """An error that a client may see. ``field`` names the offending option, ``detail`` adds bilingual facts.

    >>> str(XingjiError("busy"))
    'busy'
    """

    def __init__(self, code: str, *, field: str | None = None, detail: dict[str, object] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.detail = detail or {}

    @property
    def meaning(self) -> Meaning:
        return CODES[self.code]


class EngineError(Exception):
    """A recogniser failed on one job. Its text is for the log, never for a client."""
