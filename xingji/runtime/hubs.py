"""ModelScope and Hugging Face, each through its own client: what a repository holds, and one file of it.

The clients resume broken files, retry with growing pauses, check what they get and draw the
progress bar. They are imported when first used, in the process that downloads and no other.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .registry import HubName, Source, Store

CONNECT_S = "5"


class HubError(Exception):
    """A hub did not give what it was asked for. Its text is for the operator."""


class Unreachable(HubError):
    """There is no connection to the hub at all."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file in a repository. A digest is None where the hub names none of its kind."""

    name: str
    size: int
    sha256: str | None
    blob: str | None = None  # git's digest


class Hub(Protocol):
    def files(self, source: Source) -> list[Remote]:
        """Everything in the repository. Raises HubError."""

    def fetch(self, source: Source, file: Remote, folder: Path) -> None:
        """Bring ``file`` into ``folder``, continuing what lies there in part. Raises HubError."""


class ModelScope:
    """Obeys ``MODELSCOPE_ENDPOINT`` and the client's other variables."""

    def __init__(self, store: Store) -> None:
        # The client reads these when it is imported.
        os.environ.setdefault("MODELSCOPE_API_CONNECT_TIMEOUT", CONNECT_S)
        os.environ.setdefault("MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS", "2")
        os.environ.setdefault("MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT", "86400")  # it watches the rate as well
        os.environ.setdefault("MODELSCOPE_LOG_LEVEL", "ERROR")
        self._cache = store.modelscope.resolve()  # for its lock files
        os.environ.setdefault("MODELSCOPE_HOME", str(self._cache / ".modelscope"))  # a service may have no home

    def files(self, source: Source) -> list[Remote]:
        from modelscope_hub import HubApi

        with _modelscope_errors():
            found = HubApi().list_repo_files(source.repo, "model", revision=source.revision)
        return [Remote(file.path, file.size, file.sha256) for file in found if not file.is_dir]

    def fetch(self, source: Source, file: Remote, folder: Path) -> None:
        from modelscope_hub import HubApi

        with _modelscope_errors():
            HubApi().download_file(
                source.repo,
                "model",
                file.name,
                revision=source.revision,
                cache_dir=self._cache,
                local_dir=folder,
                expected_sha256=file.sha256,
                file_size=file.size,
            )


class HuggingFace:
    """Obeys ``HF_ENDPOINT`` and the client's other variables."""

    def __init__(self, store: Store) -> None:
        os.environ.setdefault("HF_HOME", str(store.huggingface.resolve()))
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")

    def files(self, source: Source) -> list[Remote]:
        from huggingface_hub import HfApi

        with _huggingface_errors():
            info = HfApi().model_info(
                source.repo, revision=source.revision, timeout=float(CONNECT_S), files_metadata=True
            )
        return [
            Remote(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id)
            for file in info.siblings or []
        ]

    def fetch(self, source: Source, file: Remote, folder: Path) -> None:
        from huggingface_hub import hf_hub_download

        with _huggingface_errors():
            hf_hub_download(source.repo, file.name, revision=source.revision, local_dir=folder)


def hubs(store: Store) -> Mapping[HubName, Hub]:
    return {"modelscope": ModelScope(store), "huggingface": HuggingFace(store)}


@contextlib.contextmanager
def _modelscope_errors() -> Iterator[None]:
    from modelscope_hub import HubError as Failed
    from modelscope_hub import NetworkError

    try:
        yield
    except NetworkError as error:
        raise Unreachable(type(error).__name__) from error
    except (Failed, ValueError) as error:
        raise HubError(_short(error)) from error


@contextlib.contextmanager
def _huggingface_errors() -> Iterator[None]:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except HfHubHTTPError as error:
        raise HubError(_short(error)) from error
    except (httpx2.TransportError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise Unreachable(type(error).__name__) from error
    except (ValueError, OSError) as error:
        raise HubError(_short(error)) from error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
