"""Blocking calls in threads."""

import asyncio
import contextvars
import threading
import time

import pytest

from server.threads import Threads

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_call_returns_its_result_or_raises_its_error() -> None:
    async def calls() -> int:
        threads = Threads("test")
        with pytest.raises(ValueError, match="from the thread"):
            await threads.run(lambda: int("from the thread"))
        return await threads.run(lambda: 42)

    assert asyncio.run(calls()) == 42


def test_the_thread_that_became_idle_last_is_used_again() -> None:
    async def calls() -> set[int]:
        threads = Threads("test")
        await asyncio.gather(*(threads.run(lambda: time.sleep(0.05)) for _ in range(8)))
        return {await threads.run(threading.get_ident) for _ in range(20)}

    assert len(asyncio.run(calls())) == 1


def test_calls_at_once_each_have_a_thread() -> None:
    barrier = threading.Barrier(32)

    async def calls() -> None:
        threads = Threads("test")
        await asyncio.gather(*(threads.run(lambda: barrier.wait(20)) for _ in range(32)))

    asyncio.run(calls())


def test_a_context_variable_set_in_a_call_is_not_seen_by_the_next() -> None:
    async def calls() -> str:
        threads = Threads("test")
        await threads.run(lambda: VARIABLE.set("leaked"))
        return await threads.run(VARIABLE.get)

    assert asyncio.run(calls()) == "unset"


def test_a_cancelled_call_gives_its_thread_back() -> None:
    release = threading.Event()

    async def calls() -> int:
        threads = Threads("test")
        first = asyncio.ensure_future(threads.run(lambda: release.wait(20)))
        await asyncio.sleep(0)
        first.cancel()
        release.set()
        await asyncio.sleep(0.2)
        return await threads.run(lambda: 1)

    assert asyncio.run(calls()) == 1
