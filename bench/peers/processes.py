"""Starts, measures and ends processes with their children. Linux only: it reads /proc."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
END_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of a process and its children: user and system time; resident memory now, and the sum of each one's peak."""

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int


class Child:
    """A process that this one started, with its children."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        sockets: Sequence[int] = (),
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=sockets,
                process_group=0,  # Ctrl-C reaches only the benchmark, and the children are known by their group
            )

    def wait_for(self, url: str) -> None:
        """Wait until an address answers 200. Raises RuntimeError when the process ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        last = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self._process.args!r} did not start; its last lines:\n{last}")

    def footprint(self) -> Footprint:
        """What the processes use."""
        pids = self._pids()
        return Footprint(
            sum(map(_cpu_seconds, pids)),
            sum(_memory(pid, "VmRSS") for pid in pids),
            sum(_memory(pid, "VmHWM") for pid in pids),
        )

    def reset_peak(self) -> None:
        """Set each process's peak to what it uses now (5 in clear_refs, proc(5))."""
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def end(self) -> None:
        """End the processes: politely first."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _pids(self) -> list[str]:
        pids = [folder.name for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
        return [pid for pid in pids if _stat(pid)[2:3] == [str(self._process.pid)]]


def free_port() -> int:
    """A port of this machine that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _stat(pid: str) -> list[str]:
    """The fields of /proc/PID/stat after the name, from the third on (proc(5)); empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_seconds(pid: str) -> float:
    # utime, stime, and those of children that have ended and been waited for.
    return sum(map(int, _stat(pid)[11:15])) / _TICKS


def _memory(pid: str, figure: str) -> int:
    """VmRSS or VmHWM in bytes; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{figure}:"))
