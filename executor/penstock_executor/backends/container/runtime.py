"""Calls of podman or docker: a process each, bounded in time and in number.

Invariants: a call outlives this program when that dies, so that a container is made whole or not at all; one that is
given up is ended; what the runtime says of a failure is kept in its own words.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from penstock_executor.backends.container.probe import PODMAN, DetectedRuntime
from penstock_executor.backends.container.state import ContainerState, states_of

_AT_ONCE = 8
_SECONDS = 120.0
_MAX_WORDS = 2000


class RuntimeFailedError(Exception):
    """The runtime could not do it; the text is its own. `timed_out`: it did not answer."""

    def __init__(self, text: str, *, timed_out: bool = False) -> None:
        super().__init__(text)
        self.timed_out = timed_out


class ContainerRuntime:
    """`environ` is what the runtime's program is given: its own configuration may lie there. `directory` is where it
    runs: what watches a container for podman leaves a file there when the container runs out of memory."""

    def __init__(self, detected: DetectedRuntime, environ: Mapping[str, str], directory: Path) -> None:
        self.detected = detected
        self._environ = dict(environ)
        self._directory = directory
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def is_podman(self) -> bool:
        return self.detected.kind == PODMAN

    async def call(self, *arguments: str, timeout: float = _SECONDS) -> str:
        """What it printed. Raises RuntimeFailedError."""
        async with self._slots:
            return await self._called(arguments, timeout)

    async def inspect(self, name: str) -> ContainerState | None:
        """None when there is no such container. Raises RuntimeFailedError."""
        try:
            [state] = states_of(await self.call("container", "inspect", name))
        except RuntimeFailedError as error:
            if "no such container" in str(error).lower():
                return None
            raise
        return state

    async def lasting(self, *arguments: str, timeout: float) -> str:
        """As `call`, for what waits for something else than the runtime and must not keep others from their turn."""
        return await self._called(arguments, timeout)

    async def lines(self, *arguments: str) -> AsyncIterator[str]:
        """What it prints, line by line, until it ends or the caller leaves. Raises RuntimeFailedError."""
        process = await self._start(arguments, asyncio.subprocess.DEVNULL)
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                yield line.decode("utf-8", "replace").strip()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _called(self, arguments: Sequence[str], timeout: float) -> str:
        process = await self._start(arguments, asyncio.subprocess.PIPE)
        try:
            out, errors = await asyncio.wait_for(process.communicate(), timeout)
        except (asyncio.TimeoutError, asyncio.CancelledError) as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
            if isinstance(error, asyncio.CancelledError):
                raise
            text = f"{self.detected.kind} {arguments[0]} did not end within {timeout:g} seconds"
            raise RuntimeFailedError(text, timed_out=True) from None
        if process.returncode:
            words = last_words(errors.decode("utf-8", "replace"))
            raise RuntimeFailedError(words or f"{self.detected.kind} {arguments[0]} ended with {process.returncode}")
        return out.decode("utf-8", "replace").strip()

    async def _start(self, arguments: Sequence[str], errors: int) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self.detected.program,
                *self.detected.options,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environ,
                cwd=self._directory,
                start_new_session=True,
            )
        except OSError as error:
            raise RuntimeFailedError(f"{self.detected.program} cannot be called: {error.strerror or error}") from error


def last_words(text: str) -> str:
    """The line that says what is wrong, of what a runtime printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "docker:"))] or lines[-1:]
    return errors[-1].removeprefix("Error: ").removeprefix("docker: ")[:_MAX_WORDS] if errors else ""
