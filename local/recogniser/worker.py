"""The recogniser's worker processes: one per core, with one decoder each."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from local.recogniser.process import Worker, WorkerCrashed, WorkerTimeout, receive_message, send_message

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

# A quarter of an hour: more than 25 MB of uncompressed 16 kHz speech, and what a core can process.
MAX_AUDIO_SECONDS = 900.0
# Twice the time of the slowest audio of that length we measured.
ANSWER_SECONDS = 900.0


class RecogniserFailed(Exception):
    """The worker ended or hung; another replaces it."""


class BadAudio(Exception):
    """The worker cannot decode the bytes as audio."""


def serve(connection: socket.socket) -> None:
    """The child's loop: audio bytes in, a transcript out."""
    # Imported here so that the server process loads neither codecs nor a speech model.
    from local.recogniser.audio import SAMPLE_RATE, UndecodableAudio, decode
    from local.recogniser.speech import Recogniser, transcript

    recogniser = Recogniser()
    send_message(connection, b"{}")
    while True:
        _, data = receive_message(connection)
        answer: dict[str, Any]
        try:
            samples = decode(data, MAX_AUDIO_SECONDS)
            answer = transcript(recogniser.recognise(samples), len(samples) / SAMPLE_RATE)
        except UndecodableAudio as error:
            answer = {"error": str(error)}
        send_message(connection, json.dumps(answer).encode())


class Recognisers:
    """A worker per core; a request waits until one is free."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="recogniser")
        self._idle: asyncio.LifoQueue[Worker | None] = asyncio.LifoQueue()

    async def start(self) -> None:
        """Starts all workers at once; returns when all have loaded their model."""
        for worker in await asyncio.gather(*(self._in_thread(_started) for _ in range(self.size))):
            self._idle.put_nowait(worker)

    async def recognise(self, data: bytes | bytearray) -> dict[str, Any]:
        """The transcript of an audio file. Raises BadAudio, RecogniserFailed."""
        worker = await self._idle.get()
        try:
            if worker is None or not worker.is_alive():
                worker = await self._in_thread(_started)
            head, _ = await self._in_thread(worker.exchange, b"", data, ANSWER_SECONDS)
        except (WorkerCrashed, WorkerTimeout) as failure:
            logger.error("a recogniser process ended and will be replaced: %s", type(failure).__name__)
            worker = None
            raise RecogniserFailed from failure
        finally:
            self._idle.put_nowait(worker)
        answer: dict[str, Any] = json.loads(head)
        if "error" in answer:
            raise BadAudio(answer["error"])
        return answer

    async def stop(self) -> None:
        """Ends every idle worker; busy ones are killed with this process."""
        while not self._idle.empty():
            worker = self._idle.get_nowait()
            if worker is not None:
                worker.stop(kill=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _started() -> Worker:
    worker = Worker(serve)
    worker.wait_until_ready()
    return worker
