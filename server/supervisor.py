"""Runs several workers on one socket, and starts another for each that ends by itself."""

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from server.listener import ENDING
from server.metrics import SHARED, forget_worker, registry_of_workers, serve_on
from server.settings import ServerSettings

logger = logging.getLogger(__name__)

# A worker that ends sooner than this has not served: a cause that stays would end the next one too.
BRIEF_SECONDS = 5.0
MAX_BRIEF_LIVES = 5
KILL_SLACK_SECONDS = 5.0


class Supervisor:
    """The parent of the workers. It serves nothing itself."""

    def __init__(
        self, settings: ServerSettings, listener: socket.socket, lock: int, arguments: Sequence[str]
    ) -> None:
        """`lock` is the descriptor that keeps other servers off; the workers inherit it, as they do the socket."""
        self._settings = settings
        self._inherited = (listener.fileno(), lock)
        self._command = [sys.executable, "-m", "server", "--worker", f"--fd={listener.fileno()}", *arguments]
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        self._brief_lives = 0
        self._is_stopped = False  # not an Event: setting one in a signal handler can wait for ever

    def run(self) -> int:
        """Supervise until a signal of ENDING. Returns the exit code: 1 when workers cannot stay alive."""
        for number in ENDING:
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory(prefix="stt-gateway-metrics-") as shared:
            os.environ[SHARED] = shared
            try:
                self._fill()
                if self._settings.metrics_port is not None:
                    serve_on(self._settings.metrics_port, registry_of_workers())
                while not self._is_stopped and self._brief_lives < MAX_BRIEF_LIVES:
                    self._replace()
                    time.sleep(0.1)
            finally:
                self._end()
        return 0 if self._is_stopped else 1

    def _stop(self, *_: object) -> None:
        self._is_stopped = True

    def _fill(self) -> None:
        while len(self._workers) < self._settings.workers:
            worker = subprocess.Popen(  # noqa: S603 - our own module
                [*self._command, "--lifeline"],
                stdin=subprocess.PIPE,
                pass_fds=self._inherited,
                process_group=0,  # Ctrl-C reaches only this process, which then ends the workers
            )
            self._workers[worker] = time.monotonic()

    def _replace(self) -> None:
        for worker, began in list(self._workers.items()):
            if worker.poll() is None:
                continue
            del self._workers[worker]
            forget_worker(worker.pid)
            is_brief = time.monotonic() - began < BRIEF_SECONDS
            self._brief_lives = self._brief_lives + 1 if is_brief else 0
            logger.error("a worker ended with code %s", worker.returncode)
            if is_brief:
                time.sleep(min(0.2 * self._brief_lives, 1.0))
        if not self._is_stopped and self._brief_lives < MAX_BRIEF_LIVES:
            self._fill()

    def _end(self) -> None:
        for worker in self._workers:
            worker.terminate()
        until = time.monotonic() + self._settings.drain_seconds + KILL_SLACK_SECONDS
        for worker in self._workers:
            try:
                worker.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
