"""Attempts' environments that were left unchanged, kept for later attempts.

Why: most tasks install nothing, and creating and removing a dozen entries for each costs more than starting it, on file
systems that are slow after removals. An environment holds no path of its own place, so it can be moved.

Invariants: an environment is reused only when nothing in it was put there by an attempt, which is checked each time. It
is moved, so two attempts never share one. A bounded number is kept, of the kinds that were given back last, and what an
earlier executor kept is removed.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from penstock_executor.backends.local.attempt_environment import AttemptEnvironment, described, is_untouched, make
from penstock_executor.backends.trees import remove_tree


class EnvironmentPool:
    """`directory` lies in the file system of the attempts; `limit` environments wait in it at most."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._waiting: dict[tuple[Path, Path], list[Path]] = {}

    def open(self) -> None:
        """Raises OSError."""
        remove_tree(self._directory)
        self._directory.mkdir(parents=True, exist_ok=True)

    def take(self, path: Path, cached: Path, seed: Path) -> AttemptEnvironment:
        """An environment at `path`, which may be there already. Raises OSError."""
        waiting = self._waiting.get((cached, seed), [])
        while waiting and not path.exists():
            candidate = waiting.pop()
            try:
                # Looked at again: what an attempt left running may have come here with it.
                if not is_untouched(candidate, cached, seed):
                    remove_tree(candidate)
                    continue
                candidate.rename(path)
            except OSError:
                # Somebody removed it.
                continue
            return described(path, cached, seed)
        return make(path, cached, seed)

    def give_back(self, path: Path, cached: Path, seed: Path) -> None:
        """What is at `path` after the attempt has ended; it stays there unless it can be used again."""
        # The kinds that were given back last are at the end.
        kept = self._waiting[(cached, seed)] = self._waiting.pop((cached, seed), [])
        if len(kept) >= self._limit or not is_untouched(path, cached, seed):
            return
        if sum(map(len, self._waiting.values())) >= self._limit:
            self._drop_oldest()
        target = self._directory / uuid.uuid4().hex
        try:
            path.rename(target)
        except OSError:
            return
        kept.append(target)

    def _drop_oldest(self) -> None:
        for kept in self._waiting.values():
            if kept:
                remove_tree(kept.pop())
                return
