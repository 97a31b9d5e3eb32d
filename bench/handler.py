"""Measures the transcribe handler's overhead over a direct provider call: `python -m bench.handler`.

This calls Lambda's handler warm, with events as Lambda passes them, against a stub provider in another process. It
alternates with a direct call that sends the same form to the stub over a bare socket. The deployment comes from a
warm lookup. Overhead is the handler's time less the direct call's, less what the goals exclude: base64 decoding,
the probe and the write of the usage record (none here).
"""

import base64
import json
import os
import secrets
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pybase64

from bench.provider_client import ANSWER, milliseconds, start_sink
from functions.transcribe import app
from gateway import audio, compose, http, multipart
from gateway.models import Model
from gateway.observability import metrics
from gateway.providers.deployments import Deployment
from gateway.settings import TranscribeSettings
from gateway.store.dynamodb.catalog import CatalogStore
from gateway.store.dynamodb.limits import LimitStore
from gateway.store.dynamodb.usage import item_of
from gateway.transcription import failover, service
from gateway.transcription.service import Dependencies
from gateway.upstream.client import ProviderClient
from gateway.usage.metrics import report
from gateway.usage.record import Record

EVENT = Path(__file__).parent.parent / "events" / "transcribe.json"
SIZES = {"100 KB": 100_000, "1 MB": 1_000_000, "4 MB": 4_000_000, "25 MB": 25_000_000}
GOALS = {"100 KB": 0.45, "1 MB": 0.6, "4 MB": 1.2, "25 MB": 3.0}
PHASES = ("base64", "multipart", "probe", "lookup", "provider", "read", "render", "record")
LEFT_OUT = ("base64", "probe", "record")
MODEL = "pocketsphinx/en-us"
MEMORY_GOAL = 4.5
MEMORY_REQUESTS = 12


@dataclass
class Stopwatch:
    """Milliseconds by phase of the current call."""

    spent: dict[str, float] = field(default_factory=dict)

    def watch(self, owner: Any, name: str, phase: str) -> None:
        """Time every call of `owner.name` under a phase."""
        timed = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return timed(*arguments, **named)
            finally:
                self.spent[phase] = self.spent.get(phase, 0.0) + (time.perf_counter() - began) * 1000

        setattr(owner, name, watched)


class Context:
    """What the handler reads from Lambda's context."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


def main() -> None:
    """Print the table of times and the memory figures."""
    if sys.argv[1:2] == ["--memory"]:
        print(json.dumps(memory_of_requests(Path(sys.argv[2]))))
        return
    port, stopwatch = start_sink(None), Stopwatch()
    prepare(port)
    watch_phases(stopwatch)
    print("transcribe handler, warm, medians in alternation, ms\n")
    print(f"{'':8}{'direct':>9}{'handler':>9}{'overhead':>10}{'goal':>7}   of the handler's time:")
    for name, size in SIZES.items():
        print_row(name, *compare(port, size, stopwatch))
    print_memory(*memory())


def print_row(name: str, direct: float, handler: float, phases: dict[str, float]) -> None:
    """One size: the totals, then each phase; `rest` is not in any phase."""
    overhead = handler - direct - sum(phases[each] for each in LEFT_OUT)
    rest = handler - sum(phases.values())
    parts = "  ".join(f"{phase} {took:.2f}" for phase, took in {**phases, "rest": rest}.items())
    print(f"{name:8}{direct:9.2f}{handler:9.2f}{overhead:10.2f}{GOALS[name]:7.2f}   {parts}")


def print_memory(peaks: list[float], resting: list[float]) -> None:
    """Print each request's growth over idle, in multiples of the body."""
    print(f"\nmemory over idle for a 25 MB body, in bodies (goal: a peak of at most {MEMORY_GOAL})")
    print(f"  peak of each request     {' '.join(f'{value:.2f}' for value in peaks)}")
    print(f"  resting after each       {' '.join(f'{value:.2f}' for value in resting)}")


def prepare(port: int) -> None:
    """Give the handler a gateway that keeps no records and whose one deployment is the stub, as after a warm lookup."""
    metrics.namespace = metrics.service = "bench"
    deployment = Deployment(
        owner="alice",
        provider="local",
        version="1",
        service="asr",
        base_url=f"http://127.0.0.1:{port}/v1",
        model=Model(MODEL, MODEL),
        last_seen_at=time.time() + 3600,
    )
    catalog = CatalogStore("none")
    catalog._recent._keep((MODEL, "alice"), time.monotonic() + 3600, [deployment])
    dependencies = Dependencies(
        settings=TranscribeSettings.read({"ALLOW_PRIVATE_PROVIDERS": "true", "MAX_IN_FLIGHT_PER_USER": "0"}),
        catalog=catalog,
        client=ProviderClient(allow_private=True),
        open_upload=lambda _: no_upload,
        decrypt=lambda _: None,
        limits=LimitStore("none"),
        save=keep,
    )
    compose.transcription = lambda: dependencies  # type: ignore[assignment]


def no_upload(file_id: str) -> tuple[memoryview, str | None]:
    """Replaces opening an upload; here all audio comes in the request."""
    raise NotImplementedError(file_id)


def keep(record: Record) -> None:
    """Does what the handler does with a record, except the write."""
    item_of(record, 400)
    report(record)


def watch_phases(stopwatch: Stopwatch) -> None:
    """Time the handler's phases where it calls them."""
    stopwatch.watch(http, "take_body", "base64")
    stopwatch.watch(multipart, "read", "multipart")
    stopwatch.watch(audio, "probe", "probe")
    stopwatch.watch(CatalogStore, "deployments", "lookup")
    stopwatch.watch(ProviderClient, "transcribe", "provider")
    stopwatch.watch(failover, "read_transcript", "read")
    stopwatch.watch(service, "_render", "render")
    stopwatch.watch(sys.modules[__name__], "item_of", "record")


def compare(port: int, size: int, stopwatch: Stopwatch) -> tuple[float, float, dict[str, float]]:
    """Median milliseconds of the direct call, the handler, and each of its phases."""
    event, form = event_of(wav(size))
    ask = direct_call(port, form)
    rounds = 200 if size < 1_000_000 else 60 if size < 10_000_000 else 25
    times: list[tuple[float, float, dict[str, float]]] = []
    with quiet():
        for _ in range(rounds + 3):
            direct = milliseconds(ask)
            stopwatch.spent = dict.fromkeys(PHASES, 0.0)
            handler = milliseconds(partial(transcribe, {**event}))
            times.append((direct, handler, stopwatch.spent))
    times = times[3:]
    phases = {phase: statistics.median(spent[phase] for _, _, spent in times) for phase in PHASES}
    return statistics.median(each[0] for each in times), statistics.median(each[1] for each in times), phases


def transcribe(event: dict[str, Any]) -> None:
    """Send one request through the handler."""
    answer = app.handler(event, Context())
    assert answer["statusCode"] == 200, answer


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the metrics lines. Opened once, outside what is timed."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


def direct_call(port: int, form: bytes) -> Callable[[], None]:
    """A function that posts a prepared form over one connection."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(form)

    def call() -> None:
        sock.sendall(head)
        sock.sendall(form)
        assert sock.recv(65536).endswith(ANSWER)

    return call


def event_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """An upload's event and its form."""
    boundary = secrets.token_hex(16)
    form = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{MODEL}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    ).encode() + content
    form += f"\r\n--{boundary}--\r\n".encode()
    event = json.loads(EVENT.read_text())
    event["headers"]["content-type"] = f"multipart/form-data; boundary={boundary}"
    return {**event, "body": base64.b64encode(form).decode()}, form


def wav(size: int) -> bytes:
    """`size` bytes of noise: 16 kHz, 16 bit, mono."""
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    return head + struct.pack("<4sI", b"data", size - 44) + secrets.token_bytes(size - 44)


def memory() -> tuple[list[float], list[float]]:
    """Peak and resting growth of each 25 MB request, measured in a new process that did not make the audio."""
    event, form = event_of(wav(SIZES["25 MB"]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "form").write_bytes(form)
        Path(folder, "event.json").write_text(json.dumps({**event, "body": None}))
        command = [sys.executable, "-m", "bench.handler", "--memory", folder]
        peaks, resting = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return peaks, resting


def memory_of_requests(folder: Path) -> tuple[list[float], list[float]]:
    """Peak and resting memory over idle after each request, in multiples of the audio."""
    prepare(start_sink(None))
    with quiet():
        transcribe(event_of(wav(10_000))[0])
    event = json.loads((folder / "event.json").read_text())
    idle, peaks, resting = resident("VmRSS"), [], []
    for _ in range(MEMORY_REQUESTS):
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        serve({**event}, bytearray((folder / "form").read_bytes()))
        peaks.append((resident("VmHWM") - idle) / SIZES["25 MB"])
        resting.append((resident("VmRSS") - idle) / SIZES["25 MB"])
    return peaks, resting


def serve(event: dict[str, Any], form: bytearray) -> None:
    """One request as in server/environment.py, the only place that takes 25 MB at once: Lambda takes 6 MB."""
    event["body"] = pybase64.b64encode_as_string(form)
    form.clear()
    with quiet():
        transcribe(event)


def resident(figure: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    line = next(
        each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(figure)
    )
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
