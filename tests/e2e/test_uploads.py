"""Audio up to 25 MB, in parts and in one request, with the official clients of both languages."""

import hashlib
import io
import json
import os
import random
import secrets
import shutil
import subprocess
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
import trustme

from tests import missing
from tests.faults import TEXT
from tests.misbehaving_server import MisbehavingServer

pytestmark = pytest.mark.e2e
MOST = 26_214_400
LARGE = (24_900_000, MOST)
PART = 4_000_000
MODEL = "large-audio"
ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
NODE_SCRIPT = Path(__file__).parent / "node" / "large_audio.mjs"


class Running(Protocol):
    """The local run."""

    url: str
    base_url: str
    keys: dict[str, str]


def base_url(gateway: Running) -> str:
    return f"http://{urlsplit(gateway.url).netloc}/v1"


@pytest.fixture(scope="module")
def client(gateway: Running) -> Iterator[openai.OpenAI]:
    """openai-python as alice; it must not need its retries."""
    with openai.OpenAI(base_url=base_url(gateway), api_key=gateway.keys["alice"], max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def published(gateway: Running) -> Iterator[MisbehavingServer]:
    """A provider that keeps what it was sent, published as alice's by a real manifest."""
    name = f"large-{secrets.token_hex(4)}"
    headers = {"authorization": f"Bearer {gateway.keys['alice']}"}
    root = base_url(gateway).removesuffix("/v1")
    with MisbehavingServer(trustme.CA(), tls=False) as server, httpx2.Client(headers=headers) as http:
        service = {"name": "asr", "type": "stt", "engine": "other", "url": server.url("ok")}
        parsed = {
            "schema_version": 1,
            "agent": {"name": name},
            "hosts": [{"id": "here", "services": [service | {"models": [{"id": MODEL}]}]}],
        }
        reply = http.put(f"{root}/api/inference/agent/manifest/", json={"raw_yaml": "", "parsed": parsed})
        assert reply.status_code == 200, reply.text
        yield server
        http.delete(f"{root}/v1/providers/{name}")


@pytest.fixture
def provider(published: MisbehavingServer) -> MisbehavingServer:
    """The provider, without what earlier tests sent it."""
    published.requests.clear()
    return published


def wav(size: int) -> bytes:
    """A WAV file of exactly `size` bytes whose samples are noise."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(16_000)
        file.writeframes(random.Random(size).randbytes(size - 44))
    audio = written.getvalue()
    # RIFF pads an odd chunk with a byte that belongs to no sample.
    return (audio + b"\0")[:size]


def sent_to(provider: MisbehavingServer) -> str:
    """SHA-256 of the one file that the provider was sent."""
    (request,) = provider.received("ok")
    assert request.file is not None
    return hashlib.sha256(request.file).hexdigest()


def refused(call: Any, *args: Any, **fields: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(openai.APIStatusError) as caught:
        call(*args, **fields)
    assert isinstance(caught.value.body, dict)
    return caught.value.status_code, caught.value.body


@pytest.mark.conformance("openai-python", "uploads.upload_file_chunked of 25 MB, then file_id")
@pytest.mark.parametrize("size", LARGE)
def test_openai_python_uploads_a_large_file_and_transcribes_it(
    client: openai.OpenAI, provider: MisbehavingServer, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(audio := wav(size))
    upload = client.uploads.upload_file_chunked(
        file=path, mime_type="audio/wav", purpose="user_data", part_size=PART
    )
    assert upload.status == "completed"
    assert upload.file is not None
    assert (upload.file.bytes, upload.file.filename, upload.file.object) == (size, "talk.wav", "file")
    transcription = client.audio.transcriptions.create(
        model=MODEL, file=b"", extra_body={"file_id": upload.file.id}
    )
    assert transcription.text == TEXT
    assert sent_to(provider) == hashlib.sha256(audio).hexdigest()


@pytest.mark.conformance("openai-python", "25 MB in one request")
@pytest.mark.parametrize("size", LARGE)
def test_openai_python_sends_a_large_file_in_one_request(
    client: openai.OpenAI, provider: MisbehavingServer, size: int
) -> None:
    audio = wav(size)
    transcription = client.audio.transcriptions.create(model=MODEL, file=("talk.wav", audio, "audio/wav"))
    assert transcription.text == TEXT
    assert sent_to(provider) == hashlib.sha256(audio).hexdigest()


def test_one_byte_over_25_mb_is_refused_before_anything_is_uploaded(client: openai.OpenAI) -> None:
    status, error = refused(
        client.uploads.upload_file_chunked,
        file=wav(MOST + 1),
        filename="talk.wav",
        bytes=MOST + 1,
        mime_type="audio/wav",
        purpose="user_data",
        part_size=PART,
    )
    assert (status, error["type"], error["param"]) == (413, "file_too_large", "bytes")
    assert str(MOST) in error["message"]


@pytest.mark.parametrize("over", [1, 1024 * 1024])
def test_a_file_over_25_mb_in_one_request_is_too_large(
    client: openai.OpenAI, provider: MisbehavingServer, over: int
) -> None:
    file = ("talk.wav", wav(MOST + over), "audio/wav")
    status, error = refused(client.audio.transcriptions.create, model=MODEL, file=file)
    assert (status, error["type"]) == (413, "file_too_large")
    assert not provider.requests


def test_a_request_over_what_one_carries_is_answered_with_the_way_out(client: openai.OpenAI) -> None:
    file = ("talk.wav", bytes(MOST + 1024 * 1024), "audio/wav")
    _, error = refused(client.audio.transcriptions.create, model=MODEL, file=file)
    assert "/v1/uploads" in error["message"]


def test_the_calls_of_an_upload_work_step_by_step_in_any_order_and_twice(
    client: openai.OpenAI, provider: MisbehavingServer
) -> None:
    audio = wav(1_000_000)
    pieces = [audio[at : at + 90_000] for at in range(0, len(audio), 90_000)]
    upload = client.uploads.create(
        bytes=len(audio), filename="talk.wav", mime_type="audio/wav", purpose="user_data"
    )
    assert (upload.status, upload.file) == ("pending", None)
    with ThreadPoolExecutor(6) as pool:
        parts = list(
            pool.map(
                lambda piece: client.uploads.parts.create(upload.id, data=piece), [*pieces[::-1], *pieces]
            )
        )
    ids = [part.id for part in parts[len(pieces) :]]
    assert {part.upload_id for part in parts} == {upload.id}
    assert [part.id for part in parts[: len(pieces)]][::-1] == ids
    md5 = hashlib.md5(audio).hexdigest()
    completed = client.uploads.complete(upload.id, part_ids=ids, md5=md5)
    assert client.uploads.complete(upload.id, part_ids=ids, md5=md5) == completed
    assert completed.file is not None
    client.audio.transcriptions.create(model=MODEL, file=b"", extra_body={"file_id": completed.file.id})
    assert sent_to(provider) == hashlib.sha256(audio).hexdigest()


def test_a_cancelled_upload_is_a_conflict_for_what_follows(client: openai.OpenAI) -> None:
    upload = client.uploads.create(bytes=3, filename="a.wav", mime_type="audio/wav", purpose="user_data")
    part = client.uploads.parts.create(upload.id, data=b"abc")
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        client.uploads.parts.create(upload.id, data=b"abc")
    with pytest.raises(openai.ConflictError):
        client.uploads.complete(upload.id, part_ids=[part.id])


def test_a_file_of_another_user_is_not_found(gateway: Running, client: openai.OpenAI) -> None:
    upload = client.uploads.upload_file_chunked(
        file=b"abc", filename="a.wav", bytes=3, mime_type="audio/wav", purpose="user_data"
    )
    assert upload.file is not None
    extra = {"file_id": upload.file.id}
    with openai.OpenAI(base_url=base_url(gateway), api_key=gateway.keys["bob"], max_retries=0) as bob:
        status, error = refused(
            bob.audio.transcriptions.create, model="pocketsphinx/en-us", file=b"", extra_body=extra
        )
    assert (status, error["type"], error["param"]) == (404, "not_found", "file_id")


def test_speech_that_was_uploaded_is_recognised(client: openai.OpenAI) -> None:
    upload = client.uploads.upload_file_chunked(
        file=ROOT / "local" / "samples" / "speech.wav",
        mime_type="audio/wav",
        purpose="user_data",
        part_size=20_000,
    )
    assert upload.file is not None
    said = client.audio.transcriptions.create(
        model="pocketsphinx/en-us", file=b"", extra_body={"file_id": upload.file.id}
    )
    assert said.text == "we will meet at the station tomorrow morning"


def node(gateway: Running, path: Path, way: str) -> dict[str, Any]:
    """What openai-node got for a file."""
    assert NODE is not None
    arguments = [base_url(gateway), gateway.keys["alice"], MODEL, str(path), way]
    done = subprocess.run(
        [NODE, str(NODE_SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.conformance("openai-node", "25 MB in one request and through uploads")
@pytest.mark.node
@missing.needs(missing.node_package("openai"))
@pytest.mark.parametrize("way", ["upload", "single"])
@pytest.mark.parametrize("size", LARGE)
def test_openai_node_transcribes_a_large_file(
    gateway: Running, provider: MisbehavingServer, tmp_path: Path, size: int, way: str
) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(audio := wav(size))
    answer = node(gateway, path, way)
    assert answer["text"] == TEXT, answer
    assert way == "single" or (answer["status"], answer["bytes"]) == ("completed", size)
    assert sent_to(provider) == hashlib.sha256(audio).hexdigest()


@pytest.mark.node
@missing.needs(missing.node_package("openai"))
@pytest.mark.parametrize("way", ["upload", "single"])
@pytest.mark.parametrize("over", [1, 1024 * 1024])
def test_openai_node_is_told_that_a_file_over_25_mb_is_too_large(
    gateway: Running, provider: MisbehavingServer, tmp_path: Path, way: str, over: int
) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(MOST + over))
    answer = node(gateway, path, way)
    assert (answer["http"], answer["type"]) == (413, "file_too_large")
    assert not provider.requests
