"""A headless Chromium whose microphone plays what it is given."""

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, sync_playwright

from tests.support import RATE, chromium

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def write_wav(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    return path


@contextmanager
def browser(folder: Path, pcm: bytes) -> Iterator[Page]:
    """A page whose microphone plays half a second of silence, ``pcm`` and twenty of silence, from when it is opened.
    Whatever a script of the page throws and nobody catches fails the test."""
    microphone = write_wav(folder / "microphone.wav", bytes(RATE) + pcm + bytes(20 * RATE))
    with sync_playwright() as p:
        context = p.chromium.launch_persistent_context(
            str(folder / "profile"),
            executable_path=chromium(),
            headless=True,
            permissions=["microphone"],
            args=[*ARGUMENTS, f"--use-file-for-fake-audio-capture={microphone}%noloop"],
        )
        page = context.pages[0]
        errors: list[Any] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        context.close()
        assert errors == []


def by(page: Page, id: str) -> Locator:
    return page.locator(f"[data-testid={id}]")


def text_of(page: Page, id: str, length: int) -> str:
    """The text of an element as soon as it is that long. The pages' policy forbids waiting by script."""
    for _ in range(600):
        text = (by(page, id).text_content() or "").strip()
        if len(text) >= length:
            return text
        page.wait_for_timeout(100)
    raise AssertionError(f"{id} still says {text!r}")
