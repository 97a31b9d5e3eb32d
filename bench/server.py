"""Measures the server alone against a stub provider: `python -m bench.server`.

One line for each size and number of clients: requests per second, what the server adds to the stub's own time, its
processor time per request, and its memory. Client and stub share the machine's cores with it. Linux only: it reads
/proc. `bench.peers` compares it with other gateways.
"""

import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.peers.client import Client, Outcome
from bench.peers.forms import Form, transcription, write_form
from bench.peers.gateways import start_stub
from tests.running import Server, create_key, publish, start_server

SIZES = {"100 KB": 100_000, "1 MB": 1_000_000, "4 MB": 4_000_000, "20 MB": 20_000_000}
CLIENTS = (1, 8, 64)
SECONDS = 5.0
MODEL = "m"
KEY = "sk-bench-operator-000000000000"
MIB = 1024
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """What the server's process has used: seconds of user and system time."""

    user: float
    system: float


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stub = start_stub(folder)
        create_key(folder, "operator", KEY)
        server = start_server(folder, ALLOW_PRIVATE_PROVIDERS="true", MAX_IN_FLIGHT_PER_USER="0")
        try:
            publish(server, KEY, f"http://127.0.0.1:{stub.port}/v1", MODEL)
            heads = f"{'added p50':>11}{'p95':>9}{'user':>8}{'system':>8}{'peak MiB':>10}"
            print(f"{'size':>7}{'clients':>9}{'per s':>8}{heads}")
            with Client() as client:
                for label, size in SIZES.items():
                    form = write_form(folder / "form", MODEL, size)
                    direct = client.run(transcription(form, stub.port, {}, 1, 1.0))
                    for clients in CLIENTS:
                        print(line(label, clients, direct, client, form, server), flush=True)
        finally:
            server.end()
            stub.process.end()


def line(label: str, clients: int, direct: Outcome, client: Client, form: Form, server: Server) -> str:  # noqa: PLR0913, PLR0917
    """Measure one case, in milliseconds. Raises RuntimeError when a request fails."""
    headers = {"Authorization": f"Bearer {KEY}"}
    process = Path(f"/proc/{server.process.pid}")
    (process / "clear_refs").write_text("5")  # the peak starts from here (proc(5))
    before = used(process)
    outcome = client.run(transcription(form, server.port, headers, clients, SECONDS))
    after = used(process)
    if outcome.failures:
        raise RuntimeError(outcome.first_failure)
    times = sorted(outcome.milliseconds)
    added = statistics.median(times) - statistics.median(direct.milliseconds)
    user, system = (
        1000 * (late - early) / len(times)
        for early, late in ((before.user, after.user), (before.system, after.system))
    )
    return (
        f"{label:>7}{clients:>9}{len(times) / outcome.seconds:>8.0f}{added:>11.1f}"
        f"{times[int(len(times) * 0.95)]:>9.1f}{user:>8.2f}{system:>8.2f}{peak(process) / MIB:>10.0f}"
    )


def used(process: Path) -> Use:
    """The processor time so far (proc(5), stat)."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return Use(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def peak(process: Path) -> int:
    """The most memory that was resident, in KiB."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
