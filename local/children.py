"""Processes that the local run starts, watches and ends."""

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Longer than the servers give their requests in flight.
END_SECONDS = 15.0
_TAIL_LINES = 12


class ChildDied(Exception):
    """A part of the local run ended by itself; the message gives its name and last output."""


class Child:
    """One Python module run as its own process, with its output in a log file.

    It has its own process group, so Ctrl-C reaches only the parent, which then ends its children in order. It
    also holds the read end of a pipe, so it ends if the parent is killed.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        listener: socket.socket | None = None,
        module: str | None = None,
    ) -> None:
        """`module` is `local.<name>` if not given. `listener` is passed on and closed here."""
        self.name = name
        self._log = log
        inherited = (listener.fileno(),) if listener is not None else ()
        fd = [f"--fd={inherited[0]}"] if inherited else []
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", module or f"local.{name}", *fd, *arguments, "--lifeline"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=inherited,
                process_group=0,
            )
        if listener is not None:
            listener.close()

    def check(self) -> None:
        """Raises ChildDied if the process has ended."""
        code = self._process.poll()
        if code is None:
            return
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        lines = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        raise ChildDied("\n".join([f"{self.name} ended ({reason}); {self._log} ends with:", *lines]))

    def ask_to_end(self) -> None:
        """Tells the process to stop."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait_for_end(self) -> None:
        """Waits for the process; kills it if it does not stop."""
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def end(children: Sequence[Child]) -> None:
    """Ends independent processes, all at the same time."""
    for child in children:
        child.ask_to_end()
    for child in children:
        child.wait_for_end()
