"""Runs blocking calls of the event loop in threads."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """As many threads as there are calls at once; their number is for the caller to limit. They end with the process.

    The thread that became idle last runs the next call, so that few threads, with what each of them keeps open, do
    the work of a quiet server.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Thread] = []
        self._started = 0

    async def run(self, function: Callable[[], Result]) -> Result:
        """Call the function in a thread, in a context of its own, and return its result or raise its error."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()
        thread = self._idle.pop() if self._idle else self._start()

        def settle(value: Any, error: BaseException | None) -> None:
            self._idle.append(thread)
            if result.cancelled():
                return
            if error is None:
                result.set_result(value)
            else:
                result.set_exception(error)

        thread.call(function, lambda value, error: loop.call_soon_threadsafe(settle, value, error))
        return await result

    def _start(self) -> "_Thread":
        self._started += 1
        thread = _Thread(name=f"{self._name}-{self._started}", daemon=True)
        thread.start()
        return thread


Settle = Callable[[Any, BaseException | None], object]


class _Thread(threading.Thread):
    """Makes one call at a time."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Settle]] = queue.SimpleQueue()

    def call(self, function: Callable[[], Any], settle: Settle) -> None:
        self._calls.put((function, settle))

    def run(self) -> None:
        while True:
            function, settle = self._calls.get()
            value = error = None
            try:
                value = contextvars.Context().run(function)
            except BaseException as raised:
                error = raised
            try:
                settle(value, error)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return
            # An idle thread must not keep the last caller's audio.
            del function, settle, value, error
