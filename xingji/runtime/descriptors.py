"""How many files and sockets this process may have open."""

import logging
import sys

log = logging.getLogger(__name__)

SPARE = 500  # beside one for each connection


def allow(connections: int) -> None:
    """Raise this process's own limit as far as the system lets it; say in the log where that is not enough."""
    if sys.platform == "win32":  # knows no such limit
        return
    import resource

    wanted = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("too few file descriptors for so many connections", extra={"limit": allowed, "wanted": wanted})
