"""The link to a worker's agent, against agents that say what no agent says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from penstock_executor.backends.kubernetes.workers.link import AgentLink, LinkLostError, Message

STATE = b'{"event":"state","ready":true}\n'


class Agent:
    """Says each of `says` on a connection of its own, then STATE for ever after; answers a question with `answer`."""

    def __init__(self, *says: bytes, answer: Callable[[Message], Message] = lambda asked: {"event": "pong"}) -> None:
        self._says = list(says)
        self._answer = answer
        self.connections = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Agent]:
        self.connections += 1
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._pieces.put_nowait(self._says.pop(0) if self._says else STATE)
        yield self

    async def send(self, data: bytes) -> None:
        self._pieces.put_nowait(json.dumps(self._answer(json.loads(data))).encode() + b"\n")

    async def receive(self) -> bytes:
        return await self._pieces.get()


def nothing() -> None:
    """Of a stream that is open."""


@pytest.mark.parametrize(
    "said",
    [
        b"[" * 100_000 + b"\n",
        b"no JSON\n",
        b"[]\n",
        b'{"event":7}\n',
        b'{"event":"started"}\n',
        b"\xff\n",
    ],
    ids=["too deep", "no JSON", "no object", "no event", "an answer to nothing", "no text"],
)
async def test_what_is_no_message_costs_a_connection_and_not_the_link(said: bytes) -> None:
    heard = asyncio.Event()
    errors: list[BaseException] = []
    agent = Agent(said)
    working = asyncio.ensure_future(AgentLink(agent.connect, lambda _: heard.set(), nothing, errors.append).work())
    await asyncio.wait_for(heard.wait(), 5)
    assert agent.connections == 2 and len(errors) == 1
    working.cancel()


async def test_what_cannot_be_worked_with_costs_a_connection_and_not_the_link() -> None:
    heard: asyncio.Queue[Message] = asyncio.Queue()
    agent = Agent(b'{"event":"state","ready":{"a":1}}\n')

    def told(message: Message) -> None:
        if message["ready"] is not True:
            raise TypeError("a defect of ours")
        heard.put_nowait(message)

    working = asyncio.ensure_future(AgentLink(agent.connect, told, nothing, lambda error: None).work())
    await asyncio.wait_for(heard.get(), 5)
    assert agent.connections == 2
    working.cancel()


async def test_an_answer_to_another_question_is_none() -> None:
    up = asyncio.Event()
    agent = Agent(answer=lambda asked: {"event": "known", "id": "another"})
    link = AgentLink(agent.connect, lambda _: up.set(), nothing, lambda error: None)
    working = asyncio.ensure_future(link.work())
    await asyncio.wait_for(up.wait(), 5)
    with pytest.raises(LinkLostError):
        await asyncio.wait_for(link.ask({"op": "watch", "id": "this"}), 5)
    working.cancel()


async def test_who_asked_may_be_gone_when_another_question_is_answered() -> None:
    heard: asyncio.Queue[Message] = asyncio.Queue()
    release = asyncio.Event()

    class Late(Agent):
        async def send(self, data: bytes) -> None:
            await super().send(data)
            release.set()

    agent = Late(answer=lambda asked: {"event": "known", "id": "another"})
    link = AgentLink(agent.connect, heard.put_nowait, nothing, lambda error: None)
    working = asyncio.ensure_future(link.work())
    await asyncio.wait_for(heard.get(), 5)
    asking = asyncio.ensure_future(link.ask({"op": "watch", "id": "this"}))
    await release.wait()
    asking.cancel()
    await asyncio.wait_for(heard.get(), 5)
    assert agent.connections == 2
    working.cancel()


async def test_an_agent_that_hangs_up_without_a_word_is_not_called_without_pause() -> None:
    tries = 0

    @asynccontextmanager
    async def connect() -> AsyncIterator[Agent]:
        nonlocal tries
        tries += 1
        agent = Agent()
        agent._pieces = asyncio.Queue()
        agent._pieces.put_nowait(b"")
        yield agent

    working = asyncio.ensure_future(AgentLink(connect, lambda _: None, nothing, lambda error: None).work())
    await asyncio.sleep(1.0)
    assert tries < 8, "the pauses become longer"
    working.cancel()
