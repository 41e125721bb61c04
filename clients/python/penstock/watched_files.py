"""Files that are replaced while a program runs: certificates, secrets, roles.

Why: what a file holds lives for weeks and a program for months. What replaces files writes them one after the other
(certbot, a person) or all at once, by a symbolic link that points elsewhere (Kubernetes' Secrets).

Invariants: what is in use has been read whole and fits together; new files that do not are logged and counted once, and
never used in part. Files are looked at when somebody asks and at most once an interval; nothing runs in the background.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
RETRY_SECONDS = 10.0
_Loaded = TypeVar("_Loaded")
_Signature = tuple[tuple[int, ...], ...]


class Watched(Generic[_Loaded]):
    """What `load` makes of the files at `paths`, made anew when they are others. May be used by any thread.

    `load` is called by the constructor too, which raises what it raises. Later on the exceptions `refused` mean that
    the files cannot be used: with `keep` what was made before stays in use, else `current` raises them. Files that
    stay as they are are tried again after `retry` seconds, since the reason may be the machine's (too many open
    files). `what` they hold is for the log, in the plural; `interval` is in seconds.
    """

    def __init__(
        self,
        what: str,
        paths: Sequence[Path],
        load: Callable[[], _Loaded],
        *,
        refused: tuple[type[Exception], ...] = (OSError, ValueError),
        keep: bool = True,
        interval: float = INTERVAL_SECONDS,
        retry: float = RETRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._paths = list(paths)
        self._load = load
        self._refused = refused
        self._keep = keep
        self._interval = interval
        self._retry = retry
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = _signature(self._paths)
        self._loaded = load()
        self._looked = clock()
        # Of files that cannot be used: which ones, since when they are not tried again, and why.
        self._bad: _Signature | None = None
        self._tried = 0.0
        self._error: Exception | None = None
        self.reloads = 0
        """How often other files were taken."""
        self.failures = 0
        """How often other files could not be used; those that stay as they are count once."""

    def current(self) -> _Loaded:
        """The same object until files changed. Raises one of `refused` without `keep`."""
        if self._clock() - self._looked >= self._interval:
            with self._lock:
                if self._clock() - self._looked >= self._interval:
                    self._look()
                    self._looked = self._clock()
        error = self._error
        if error is not None and not self._keep:
            raise error.with_traceback(None)
        return self._loaded

    def _look(self) -> None:
        seen = _signature(self._paths)
        if seen == self._bad and self._clock() - self._tried < self._retry:
            return
        if seen == self._seen:
            # Also those from before others that could not be used.
            self._bad = self._error = None
            return
        try:
            loaded = self._load()
        except self._refused as error:
            if seen != self._bad:
                self.failures += 1
                stay = "; those before stay in use" if self._keep else ""
                log.error("%s in %s cannot be used%s: %s", self._what, self._names(), stay, error)
            self._bad, self._tried, self._error = seen, self._clock(), error
            return
        if _signature(self._paths) != seen:
            # Replaced while they were read: parts of two sets, perhaps.
            return
        self._seen, self._loaded = seen, loaded
        self._bad = self._error = None
        self.reloads += 1
        log.info("new %s are in use: %s", self._what, self._names())

    def _names(self) -> str:
        return ", ".join(map(str, self._paths))


def _signature(paths: Sequence[Path]) -> _Signature:
    """Changes with the content of any of the files, also behind a symbolic link."""
    return tuple(_identity(path) for path in paths)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
