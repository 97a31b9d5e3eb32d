"""Execution environments: a few processes per function, each serving one event at a time, as on Lambda."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from server.environment import Code, serve
from server.template import REGION, Function
from server.worker_process import Bytes, Worker, WorkerCrashed, WorkerTimeout

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

# Per function, so that many slow transcriptions cannot keep out heartbeats. An environment is 14 MB and is kept.
MAX_ENVIRONMENTS = 16
# A new process costs more than this wait for a busy one, so a burst of quick calls shares a few.
PATIENCE_SECONDS = 0.05
# More parallel starts than cores only slow down each other and the calls in flight.
STARTS_AT_ONCE = os.cpu_count() or 1
# The function's deadline comes after the request's budget, as on Lambda; the kill comes after both.
DEADLINE_SLACK_SECONDS = 1.5
KILL_SLACK_SECONDS = 2.0


class FunctionFailed(Exception):
    """The handler raised, or its process ended. The message is the handler's; it is logged, never sent."""


class FunctionTimedOut(Exception):
    """The handler did not answer before its deadline; its process was killed."""


class Environments:
    """Every function's environments. Each is its own process with its own variables, so a function's caches and
    undeclared variables show here as they would on Lambda."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        budget_seconds: float,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """`limits`: how many environments a function may have, if not MAX_ENVIRONMENTS."""
        self._seconds = budget_seconds + DEADLINE_SLACK_SECONDS
        limits = dict.fromkeys(functions, MAX_ENVIRONMENTS) | dict(limits or {})
        self._threads = ThreadPoolExecutor(sum(limits.values()), thread_name_prefix="invoke")
        starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._pools = {
            name: _Pool(_code(function), limits[name], self._threads, starts)
            for name, function in functions.items()
        }

    async def invoke(
        self,
        function: str,
        event: dict[str, Any],
        request_id: str,
        *,
        body: Bytes = b"",
        encoding: Literal["base64", "text", "none"] = "none",
    ) -> Any:
        """The handler's answer to an event. `body` becomes `event["body"]` inside the environment, base64 or text,
        so this process neither copies nor encodes a large one.

        Raises FunctionFailed, FunctionTimedOut.
        """
        call = {"event": event, "request_id": request_id, "seconds": self._seconds, "body": encoding}
        head = json.dumps(call).encode()
        try:
            status, answer = await self._pools[function].exchange(
                head, body, self._seconds + KILL_SLACK_SECONDS
            )
        except WorkerTimeout as timeout:
            logger.error("%s: killed at its deadline, request %s", function, request_id)
            raise FunctionTimedOut from timeout
        except WorkerCrashed as crash:
            logger.error("%s: its process ended, request %s", function, request_id)
            raise FunctionFailed("the process ended") from crash
        failure = json.loads(status).get("error")
        if failure is not None:
            raise FunctionFailed(failure)
        return json.loads(bytes(answer))

    async def start(self, function: str) -> None:
        """Prepares one environment before the first call."""
        await self._pools[function].warm()

    def stop(self) -> None:
        """Ends every environment."""
        for pool in self._pools.values():
            pool.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _code(function: Function) -> Code:
    # This process's variables win over the template's, but only those that the template declares.
    declared = {key: os.environ.get(key, value) for key, value in function.environment.items()}
    return Code(
        name=function.name,
        arn=function.arn,
        directory=function.code,
        handler=function.handler,
        memory_mb=function.memory_mb,
        variables={
            **declared,
            "AWS_REGION": REGION,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "LAMBDA_TASK_ROOT": str(function.code),
        },
    )


class _Pool:
    """One function's environments. It picks the last one used first, so sequential callers stay on a warm
    process. It grows a few at a time while callers wait. A caller waits if all are busy."""

    def __init__(
        self, code: Code, limit: int, threads: ThreadPoolExecutor, starts: asyncio.Semaphore
    ) -> None:
        self._code = code
        self._limit = limit
        self._threads = threads
        self._starts = starts
        self._idle: list[Worker] = []
        self._alive: set[Worker] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._failed_starts = 0
        self._changed = asyncio.Condition()

    async def exchange(self, head: bytes, body: Bytes, timeout_seconds: float) -> tuple[bytes, bytearray]:
        """One event and its answer. Raises WorkerCrashed, WorkerTimeout."""
        worker = await self._acquire()
        try:
            answer = await self._in_thread(worker.exchange, head, body, timeout_seconds)
        except (WorkerCrashed, WorkerTimeout):
            async with self._changed:
                self._alive.discard(worker)
                self._changed.notify_all()
            raise
        await self._release(worker)
        return answer

    async def warm(self) -> None:
        """Starts an environment if there is none. Raises WorkerCrashed if its handler cannot be imported."""
        await self._release(await self._acquire())

    def stop(self) -> None:
        """Ends all of them; kills those in the middle of an event."""
        for worker in self._alive:
            worker.stop(kill=True)
        self._alive.clear()
        self._idle.clear()

    async def _acquire(self) -> Worker:
        async with self._changed:
            self._waiting += 1
            try:
                while True:
                    worker = self._pick()
                    if worker is not None:
                        return worker
                    if self._failed_starts:
                        self._failed_starts -= 1
                        raise WorkerCrashed
                    self._grow()
                    await self._changed.wait()
            finally:
                self._waiting -= 1

    def _pick(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive():
                return worker
            self._alive.discard(worker)
            worker.stop()
        return None

    def _grow(self) -> None:
        wanted = self._waiting - len(self._starting)
        room = self._limit - len(self._alive) - len(self._starting)
        for _ in range(min(wanted, room)):
            task = asyncio.create_task(self._start())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _start(self) -> None:
        async with self._starts:
            if self._alive:
                await asyncio.sleep(PATIENCE_SECONDS)
            if self._waiting <= 0:
                return
            try:
                worker = await self._in_thread(_start, self._code)
            except (WorkerCrashed, WorkerTimeout, OSError):
                logger.exception("%s: an environment did not start", self._code.name)
                async with self._changed:
                    self._failed_starts += 1
                    self._changed.notify_all()
            else:
                self._alive.add(worker)
                await self._release(worker)

    async def _release(self, worker: Worker) -> None:
        async with self._changed:
            self._idle.append(worker)
            self._changed.notify_all()

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _start(code: Code) -> Worker:
    worker = Worker(serve, code)
    worker.wait_until_ready()
    return worker
