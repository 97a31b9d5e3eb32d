"""Measures the cost of 25 MB: `python -m bench.uploads`.

Times an upload and a single POST against the server, with openai-python. Then measures the memory of the server for
requests that carry the audio and for ones that name an upload. Linux only: it reads memory from /proc.
"""

import functools
import io
import random
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
from requests_toolbelt import MultipartEncoder

from bench.provider_client import start_sink
from tests.running import Server, create_key, publish, start_server

SIZE = 26_214_400
PART_BYTES = 4_000_000
ROUNDS = 5
SETTLING = 3
REQUESTS = 50
MODEL = "sink"
MIB = 1024 * 1024
GOALS = {"multipart": 1.5, "file_id": 1.5}
KEY = "sk-bench-operator-000000000000"


def main() -> None:
    """Print two tables."""
    audio = wav(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        create_key(Path(folder), "operator", KEY)
        server = start_server(Path(folder), ALLOW_PRIVATE_PROVIDERS="true")
        try:
            publish(server, KEY, f"http://127.0.0.1:{start_sink(None)}/v1", MODEL)
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)
            print(f"{SIZE} bytes through the server, median of {ROUNDS}, seconds\n")
            for name, seconds in timings(client, audio).items():
                print(f"{name:32}{seconds:8.2f}")
            file_id, small_id = upload(client, audio), upload(client, wav(1000))
            print(f"\npeak memory of the server over idle, {SIZE / MIB:.0f} MiB of audio\n")
            print(
                f"{'event':12}{'idle MiB':>10}{'growth MiB':>12}{'x body':>8}{'goal':>6}{'stays':>10}{'over 50':>10}"
            )
            for name, (body, content_type) in {
                "multipart": form(file=("talk.wav", audio, "audio/wav")),
                "file_id": form(file=("", b"", "audio/wav"), file_id=file_id),
            }.items():
                with_goal(name, *memory(server, small_id, body, content_type))
        finally:
            server.end()


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
    server: Server, small_id: str, body: bytes, content_type: str
) -> tuple[float, float, float, float]:
    """The server's memory, in MiB: resident when idle; the peak over that, and what stays after a few requests; and
    the growth over fifty more."""
    for small in (form(file=("a.wav", wav(1000), "audio/wav")), form(file_id=small_id)):
        transcribe(server, *small)  # connections and anything else a first request creates
    idle = resident(server, "VmRSS")
    # 5 resets the peak to the current resident size (man 5 proc).
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    # glibc maps the first 25 MB separately; after freeing them once, it keeps as much for the next.
    for _ in range(1 + SETTLING):
        transcribe(server, body, content_type)
    settled = resident(server, "VmRSS")
    for _ in range(REQUESTS):
        transcribe(server, body, content_type)
    peak = resident(server, "VmHWM")
    return idle, peak - idle, settled - idle, resident(server, "VmRSS") - settled


def transcribe(server: Server, body: bytes, content_type: str) -> None:
    """One transcription; it must succeed."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
    answer = server.call("POST", "/v1/audio/transcriptions", body, headers)
    assert answer.status == 200, answer.body


def resident(server: Server, figure: str) -> float:
    """VmRSS or VmHWM of the server's process, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
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


if __name__ == "__main__":
    main()
