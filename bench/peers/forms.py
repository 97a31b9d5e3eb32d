"""Transcription requests as an SDK sends them, prepared once."""

import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.peers.client import Job
from bench.peers.http import request_head

BOUNDARY = "bench4ea17170a5e3c9d2"
# openai-python sends the fields first and the file last.
FIELDS = {"language": "en", "response_format": "json", "temperature": "0", "prompt": "A talk about birds."}


@dataclass(frozen=True, slots=True)
class Form:
    """A form in a file, and how large it and its audio are."""

    path: Path
    length: int
    audio_bytes: int


def write_form(path: Path, model: str, audio_bytes: int) -> Form:
    """Write a form with a WAV file of this size."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"model": model, **FIELDS}.items()
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="talk.wav"\r\n'
        "Content-Type: audio/x-wav\r\n\r\n"
    )
    content = "".join(parts).encode() + wav(audio_bytes) + f"\r\n--{BOUNDARY}--\r\n".encode()
    path.write_bytes(content)
    return Form(path, len(content), audio_bytes)


def wav(size: int) -> bytes:
    """A WAV file of `size` bytes: noise, so that nothing on the way can compress it; 16 kHz, 16 bit, mono."""
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    return head + struct.pack("<4sI", b"data", size - 44) + random.Random(1).randbytes(size - 44)


def transcription(form: Form, port: int, headers: Mapping[str, str], clients: int, seconds: float) -> Job:
    """The job of sending this form."""
    head = request_head(
        "POST",
        "/v1/audio/transcriptions",
        {
            "Host": f"127.0.0.1:{port}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(form.length),
            **headers,
        },
    )
    return Job(port, head.decode(), str(form.path), form.audio_bytes, clients, seconds)


def listing(port: int, headers: Mapping[str, str], seconds: float) -> Job:
    """The job of listing the models, by one client."""
    head = request_head("GET", "/v1/models", {"Host": f"127.0.0.1:{port}", **headers})
    return Job(port, head.decode(), "", 0, 1, seconds)
