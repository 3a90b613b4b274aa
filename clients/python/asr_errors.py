"""出错时的样子。 What goes wrong, as one kind of error with the server's own code."""

from collections.abc import Mapping
from typing import Any


class AsrError(Exception):
    """``code`` 是服务器的错误码，或这一侧的 ``unreachable``、``unauthorized``、``connection_lost``、``no_answer``、
    ``already_recording``、``no_session``。 The server's code, or one of these on this side."""

    def __init__(self, code: str, told: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.told: Mapping[str, Any] = told or {}  # 其余字段，如 field、retry_after_ms · all that the server said
        super().__init__(f"{code}: {self.told['message']}" if self.told.get("message") else code)

    @property
    def message(self) -> str:
        """给人看的中文；这一侧的错误没有。 For people; errors of this side have none."""
        return str(self.told.get("message", ""))

    @property
    def message_en(self) -> str:
        return str(self.told.get("message_en", ""))

    @property
    def retryable(self) -> bool:
        """稍后重试可能成功。 Trying again later may succeed."""
        return bool(self.told.get("retryable", self.code in ("unreachable", "connection_lost", "no_answer")))

    @property
    def fatal(self) -> bool:
        """连接随即关闭。 The connection closes."""
        return bool(self.told.get("fatal", False))
