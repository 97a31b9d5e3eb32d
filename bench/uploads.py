"""Times 25 MB through the local run, with openai-python: `python -m bench.uploads`.

An upload in parts with a transcription by its file_id, and a single POST.
"""

import functools
import io
import json
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

from bench.provider_client import start_sink
from tests.running import Gateway, start_gateway

SIZE = 26_214_400
PART_BYTES = 4_000_000
ROUNDS = 5
MODEL = "sink"


def main() -> None:
    """Print one table."""
    audio = wav(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        gateway = start_gateway(Path(folder))
        try:
            publish(gateway, f"http://127.0.0.1:{start_sink(None)}/v1")
            client = openai.OpenAI(base_url=gateway.base_url, api_key=gateway.keys["alice"], max_retries=0)
            print(f"{SIZE} bytes through the local run, median of {ROUNDS}, seconds\n")
            for name, seconds in timings(client, audio).items():
                print(f"{name:32}{seconds:8.2f}")
        finally:
            gateway.end()


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
