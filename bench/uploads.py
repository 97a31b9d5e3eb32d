"""Measures the cost of 25 MB: `python -m bench.uploads`.

Times an upload and a single POST against the local run, with openai-python. Then measures the memory of a
separate transcribe process, with the same code and kind of process as the local run's, for an event that
carries the audio and for one that names an upload. Linux only: it reads memory from /proc.
"""

import functools
import io
import json
import os
import random
import statistics
import tempfile
import time
import urllib.request
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
from requests_toolbelt import MultipartEncoder

from bench.provider_client import start_sink
from local.embedded_aws import CREDENTIALS
from server.environment import Code, serve
from server.template import Template
from server.worker_process import Worker
from tests.running import Gateway, start_gateway

SIZE = 26_214_400
PART_BYTES = 4_000_000
ROUNDS = 5
SETTLING = 3
REQUESTS = 50
MODEL = "sink"
MIB = 1024 * 1024
GOALS = {"multipart": 4.5, "file_id": 2.5}


def main() -> None:
    """Print two tables."""
    audio = wav(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        gateway = start_gateway(Path(folder))
        try:
            publish(gateway, f"http://127.0.0.1:{start_sink(None)}/v1")
            client = openai.OpenAI(base_url=gateway.base_url, api_key=gateway.keys["alice"], max_retries=0)
            print(f"{SIZE} bytes through the local run, median of {ROUNDS}, seconds\n")
            for name, seconds in timings(client, audio).items():
                print(f"{name:32}{seconds:8.2f}")
            file_id, small_id = upload(client, audio), upload(client, wav(1000))
            print(f"\npeak memory of the transcribe process over idle, {SIZE / MIB:.0f} MiB of audio\n")
            print(
                f"{'event':12}{'idle MiB':>10}{'growth MiB':>12}{'x body':>8}{'goal':>6}{'stays':>10}{'over 50':>10}"
            )
            for name, (body, content_type) in {
                "multipart": form(file=("talk.wav", audio, "audio/wav")),
                "file_id": form(file=("", b"", "audio/wav"), file_id=file_id),
            }.items():
                with_goal(name, *memory(gateway, small_id, body, content_type))
        finally:
            gateway.end()


def with_goal(name: str, idle: float, growth: float, stays: float, over_fifty: float) -> None:
    """Print one line; all in MiB."""
    times = growth * MIB / SIZE
    print(f"{name:12}{idle:10.1f}{growth:12.1f}{times:8.2f}{GOALS[name]:6.1f}{stays:10.1f}{over_fifty:10.1f}")


def timings(client: openai.OpenAI, audio: bytes) -> dict[str, float]:
    """Median seconds of both ways and of an upload's parts."""
    file = ("talk.wav", audio, "audio/wav")
    single = [
        timed(lambda: client.audio.transcriptions.create(model=MODEL, file=file))[0] for _ in range(ROUNDS)
    ]
    uploads, reads = [], []
    for _ in range(ROUNDS):
        seconds, file_id = timed(lambda: upload(client, audio))
        uploads.append(seconds)
        transcribe = functools.partial(
            client.audio.transcriptions.create, model=MODEL, file=b"", extra_body={"file_id": file_id}
        )
        reads.append(timed(transcribe)[0])
    both = [first + second for first, second in zip(uploads, reads, strict=True)]
    return {
        "one POST": statistics.median(single),
        "upload, then file_id": statistics.median(both),
        "  create, 7 parts, complete": statistics.median(uploads),
        "  transcribe by file_id": statistics.median(reads),
    }


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the action's result."""
    began = time.perf_counter()
    outcome = action()
    return time.perf_counter() - began, outcome


def upload(client: openai.OpenAI, audio: bytes) -> str:
    """Upload in parts, one by one, as openai-python does; returns the file's id."""
    made = client.uploads.upload_file_chunked(
        file=audio,
        filename="talk.wav",
        bytes=len(audio),
        mime_type="audio/wav",
        purpose="user_data",
        part_size=PART_BYTES,
    )
    assert made.file is not None
    return made.file.id


def memory(
    gateway: Gateway, small_id: str, body: bytes, content_type: str
) -> tuple[float, float, float, float]:
    """Memory of one transcribe process, in MiB: resident when idle; the peak over that, and what stays after a
    few requests; and the growth over fifty more."""
    worker = Worker(serve, transcribe_code(gateway))
    try:
        worker.wait_until_ready()
        for small in (form(file=("a.wav", wav(1000), "audio/wav")), form(file_id=small_id)):
            invoke(worker, *small)  # clients, connections and anything else a first request creates
        idle = resident(worker, "VmRSS")
        # 5 resets the peak to the current resident size (man 5 proc).
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
        invoke(worker, body, content_type)
        # glibc maps the first 25 MB separately; after freeing them once, it keeps as much for the next.
        for _ in range(SETTLING):
            invoke(worker, body, content_type)
        settled = resident(worker, "VmRSS")
        for _ in range(REQUESTS):
            invoke(worker, body, content_type)
        peak = resident(worker, "VmHWM")
        return idle, peak - idle, settled - idle, resident(worker, "VmRSS") - settled
    finally:
        worker.stop()


def transcribe_code(gateway: Gateway) -> Code:
    """The transcribe function as the local run starts it."""
    function = Template(endpoint=gateway.aws_endpoint).functions()["TranscribeFunction"]
    local = {
        "AWS_ENDPOINT_URL": gateway.aws_endpoint,
        "ALLOW_PRIVATE_PROVIDERS": "true",
        "LOG_LEVEL": "ERROR",
    }
    variables = {**function.environment, **CREDENTIALS, **local, "POWERTOOLS_METRICS_DISABLED": "true"}
    return Code(function.name, function.arn, function.code, function.handler, function.memory_mb, variables)


def invoke(worker: Worker, body: bytes, content_type: str) -> None:
    """One transcription; it must succeed."""
    event = {
        "resource": "/v1/audio/transcriptions",
        "path": "/v1/audio/transcriptions",
        "httpMethod": "POST",
        "headers": {"Content-Type": content_type},
        "requestContext": {
            "requestId": os.urandom(16).hex(),
            "authorizer": {"user_id": "alice", "key_id": "key_bench"},
        },
        "isBase64Encoded": True,
    }
    call = {"event": event, "request_id": "bench", "seconds": 60, "body": "base64"}
    failure, answer = worker.exchange(json.dumps(call).encode(), body, 60)
    assert json.loads(failure) == {}, failure
    assert json.loads(bytes(answer))["statusCode"] == 200, answer


def resident(worker: Worker, figure: str) -> float:
    """VmRSS or VmHWM of the worker's process, in MiB."""
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{figure}:")]
    return int(line.split()[1]) / 1024


def form(**fields: Any) -> tuple[bytes, str]:
    """A transcription's form, and its content type."""
    encoder = MultipartEncoder({"model": MODEL, **fields})
    return encoder.read(), encoder.content_type


def wav(size: int) -> bytes:
    """A WAV file of `size` bytes (an even number) of noise, so that nothing on the way can compress it."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(random.Random(1).randbytes(size - 44))
    return written.getvalue()


def publish(gateway: Gateway, url: str) -> None:
    """Declare the provider that reads everything and returns three words."""
    service = {"name": "sink", "type": "stt", "engine": "other", "url": url, "models": [{"id": MODEL}]}
    parsed = {
        "schema_version": 1,
        "agent": {"name": "sink"},
        "hosts": [{"id": "here", "services": [service]}],
    }
    request = urllib.request.Request(
        f"{gateway.url}/api/inference/agent/manifest/",
        method="PUT",
        data=json.dumps({"raw_yaml": "", "parsed": parsed}).encode(),
        headers={**gateway.authorization(), "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


if __name__ == "__main__":
    main()
