"""Client secrets: a key that opens connections for a minute, for programs that should not have the real one."""

import secrets
import threading
import time
from dataclasses import dataclass, field

from ..core.errors import XingjiError

VALID_S = 60
MOST = 1000  # at a time


@dataclass(frozen=True, slots=True)
class Secret:
    session: object  # what it was made for
    expires_at: int  # seconds since 1970
    value: str = field(default_factory=lambda: f"ek_{secrets.token_hex(16)}", repr=False)


class Secrets:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: dict[str, Secret] = {}  # by value, oldest first

    def make(self, session: object) -> Secret:
        """Raises XingjiError("busy")."""
        now = time.time()
        secret = Secret(session, int(now) + VALID_S)
        with self._lock:
            self._secrets = {value: one for value, one in self._secrets.items() if now < one.expires_at}
            if len(self._secrets) >= MOST:
                raise XingjiError("busy", detail={"retry_after_ms": VALID_S * 1000})
            self._secrets[secret.value] = secret
        return secret

    def find(self, shown: tuple[str, ...]) -> Secret | None:
        """One of those that were shown, where it is still valid; it may open any number of connections."""
        found = (self._secrets.get(value) for value in shown)
        return next((secret for secret in found if secret is not None and time.time() < secret.expires_at), None)
