"""Memory of one transcribe function for 25 MB of audio: `python -m bench.transcribe_memory`. Linux only.

The function is alone in a process, as on Lambda, with moto for its AWS. Its event carries the audio as base64, or
names an upload.
"""

import base64
import json
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from requests_toolbelt import MultipartEncoder

from bench.provider_client import start_sink
from bench.uploads import MODEL, SIZE, wav
from tests.lambda_context import LambdaContext
from tests.moto_server import client_of, start_moto
from tests.stack import CREDENTIALS, create_resources
from tests.template import Template

USER = "alice"
PART_BYTES = 4_000_000
SETTLING = 3
REQUESTS = 50
MIB = 1024 * 1024
GOALS = {"multipart": 4.5, "file_id": 2.5}


class Transcriber:
    """The transcribe function in a process of its own."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        processes = multiprocessing.get_context("spawn")
        self._connection, theirs = processes.Pipe()
        self._process = processes.Process(target=transcribe, args=(theirs, dict(variables)))
        self._process.start()
        theirs.close()

    def invoke(self, body: bytes, content_type: str) -> None:
        """One transcription; it must succeed."""
        self._connection.send(content_type)
        self._connection.send_bytes(body)
        status = self._connection.recv()
        assert status == 200, status

    def resident(self, figure: str) -> float:
        """VmRSS or VmHWM of the process, in MiB."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"{figure}:")]
        return int(line.split()[1]) / 1024

    def forget_peak(self) -> None:
        """Resets the peak to the current resident size (man 5 proc)."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()


def transcribe(connection: Connection, variables: Mapping[str, str]) -> None:
    """Answers events until the connection closes."""
    os.environ.update(variables)
    from functions.transcribe import app

    while True:
        try:
            content_type: str = connection.recv()
        except EOFError:
            return
        event: dict[str, Any] = {
            "resource": "/v1/audio/transcriptions",
            "path": "/v1/audio/transcriptions",
            "httpMethod": "POST",
            "headers": {"Content-Type": content_type},
            "requestContext": {"requestId": "r", "authorizer": {"user_id": USER, "key_id": "key_bench"}},
            "isBase64Encoded": True,
        }
        event["body"] = base64.b64encode(connection.recv_bytes()).decode("ascii")
        answer = app.handler(event, LambdaContext(seconds=60))
        # An idle process must not keep the last caller's audio.
        del event
        connection.send(answer["statusCode"])


def main() -> None:
    """Print one table."""
    with start_moto() as endpoint:
        template = Template(endpoint=endpoint)
        create_resources(template, client_of(endpoint))
        variables: dict[str, str] = {}
        for function in template.functions().values():
            variables |= function.environment
        variables |= {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "ALLOW_PRIVATE_PROVIDERS": "true"}
        variables |= {"LOG_LEVEL": "ERROR", "POWERTOOLS_METRICS_DISABLED": "true"}
        os.environ.update(variables)
        large, small = prepare(f"http://127.0.0.1:{start_sink(None)}/v1")
        print(f"peak memory of the transcribe process over idle, {SIZE / MIB:.0f} MiB of audio\n")
        print(
            f"{'event':12}{'idle MiB':>10}{'growth MiB':>12}{'x body':>8}{'goal':>6}{'stays':>10}{'over 50':>10}"
        )
        for name, body in {
            "multipart": form(file=("talk.wav", wav(SIZE), "audio/wav")),
            "file_id": form(file=("", b"", "audio/wav"), file_id=large),
        }.items():
            print_line(name, *memory(variables, small, *body))


def prepare(provider_url: str) -> tuple[str, str]:
    """Publishes the provider and uploads a large and a small file; the uploads' ids."""
    from functions.agents import app as agents
    from tests.integration.uploads_client import Client, call  # its functions read the environment

    service = {
        "name": "sink",
        "type": "stt",
        "engine": "other",
        "url": provider_url,
        "models": [{"id": MODEL}],
    }
    parsed = {
        "schema_version": 1,
        "agent": {"name": "sink"},
        "hosts": [{"id": "here", "services": [service]}],
    }
    path = "/api/inference/agent/manifest"
    body = json.dumps({"raw_yaml": "", "parsed": parsed})
    status, answer = call(agents.handler, path, body, "application/json", user=USER, method="PUT")
    assert status == 200, answer
    client, audio = Client(USER), wav(SIZE)
    parts = [audio[start : start + PART_BYTES] for start in range(0, SIZE, PART_BYTES)]
    large, small = client.upload(*parts), client.upload(wav(1000))
    return str(large["file"]["id"]), str(small["file"]["id"])


def memory(
    variables: Mapping[str, str], small: str, body: bytes, content_type: str
) -> tuple[float, float, float, float]:
    """Of one process, in MiB: resident when idle; the peak over that, and what stays after a few requests; and the
    growth over fifty more."""
    transcriber = Transcriber(variables)
    try:
        for first in (form(file=("a.wav", wav(1000), "audio/wav")), form(file_id=small)):
            transcriber.invoke(*first)  # clients, connections and anything else a first request creates
        idle = transcriber.resident("VmRSS")
        transcriber.forget_peak()
        transcriber.invoke(body, content_type)
        # glibc maps the first 25 MB separately; after freeing them once, it keeps as much for the next.
        for _ in range(SETTLING):
            transcriber.invoke(body, content_type)
        settled = transcriber.resident("VmRSS")
        for _ in range(REQUESTS):
            transcriber.invoke(body, content_type)
        peak = transcriber.resident("VmHWM")
        return idle, peak - idle, settled - idle, transcriber.resident("VmRSS") - settled
    finally:
        transcriber.stop()


def print_line(name: str, idle: float, growth: float, stays: float, over_fifty: float) -> None:
    """Print one line; all in MiB."""
    times = growth * MIB / SIZE
    print(f"{name:12}{idle:10.1f}{growth:12.1f}{times:8.2f}{GOALS[name]:6.1f}{stays:10.1f}{over_fifty:10.1f}")


def form(**fields: Any) -> tuple[bytes, str]:
    """A transcription's form, and its content type."""
    encoder = MultipartEncoder({"model": MODEL, **fields})
    return encoder.read(), encoder.content_type


if __name__ == "__main__":
    main()
