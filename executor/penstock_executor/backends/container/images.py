"""Images of tasks: found on this machine, or pulled once for all attempts that wait for them.

Invariants: a pull ends within its deadline. One that failed is not tried again for half a minute, so that the tasks of
a loop do not each wait for an image that does not exist. A name without a registry is one of docker.io.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.errors import TaskSpecError

_REMEMBERED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Image:
    """`name` is its id. `entrypoint`, `cmd` and `user` are those of its configuration; each may be empty."""

    name: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    user: str
    architecture: str


class Images:
    """`deadline` in seconds bounds a pull."""

    def __init__(self, runtime: ContainerRuntime, deadline: float) -> None:
        self._runtime = runtime
        self._deadline = deadline
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, tuple[float, str]] = {}

    async def get(self, name: str, policy: str) -> Image:
        """`policy` as Kubernetes has it, empty for IfNotPresent. Raises TaskSpecError, RuntimeFailedError."""
        if policy != "Always":
            image = await self._inspected(name) or await self._inspected(qualified(name))
            if image is not None:
                return image
            if policy == "Never":
                raise TaskSpecError(
                    f"the image {name!r} is not on this machine, and the task says that it is never pulled"
                )
        await self._pulled(name)
        image = await self._inspected(qualified(name))
        if image is None:
            raise RuntimeFailedError(f"the image {name!r} was pulled and is not there")
        return image

    async def _inspected(self, name: str) -> Image | None:
        try:
            text = await self._runtime.call("image", "inspect", name)
        except RuntimeFailedError as error:
            if error.timed_out:
                raise
            return None
        [document] = json.loads(text)
        config = document.get("Config") or {}
        return Image(
            name=str(document["Id"]),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            cmd=tuple(config.get("Cmd") or ()),
            user=str(config.get("User") or ""),
            architecture=str(document.get("Architecture") or ""),
        )

    async def _pulled(self, name: str) -> None:
        at, text = self._failures.get(name, (0.0, ""))
        if text and time.monotonic() - at < _REMEMBERED_SECONDS:
            raise TaskSpecError(text)
        pull = self._pulls.get(name)
        if pull is None:
            pull = self._pulls[name] = asyncio.ensure_future(self._pull(name))
            pull.add_done_callback(lambda done: self._over(name, done))
        # Whoever waits may leave; the others go on waiting.
        await asyncio.shield(pull)

    def _over(self, name: str, done: asyncio.Task[None]) -> None:
        del self._pulls[name]
        # Those who wait are told; when nobody waits any more, nobody has to be.
        if not done.cancelled() and isinstance(done.exception(), TaskSpecError):
            self._failures[name] = (time.monotonic(), str(done.exception()))

    async def _pull(self, name: str) -> None:
        try:
            await self._runtime.lasting("pull", "--quiet", qualified(name), timeout=self._deadline)
        except RuntimeFailedError as error:
            raise TaskSpecError(f"the image {name!r} cannot be pulled: {error}") from error


def qualified(name: str) -> str:
    """With its registry: the first part is one when it has a dot or a colon, or is localhost."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
