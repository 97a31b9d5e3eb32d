"""HTTP and forms by hand: what no SDK would send, and answers as they came."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.running import SAMPLE, Gateway

WAV = SAMPLE.read_bytes()
MODEL = "pocketsphinx/en-us"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
BOUNDARY = "------------------------a1b2c3d4e5f6"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Part:
    """One part of a form that was received."""

    name: str
    filename: str | None
    media_type: str | None
    content: bytes


def send(
    gateway: Gateway,
    method: str,
    path: str,
    *,
    key: str | None = "alice",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """One request on a connection of its own. `key` is a local user's name; None sends no key."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    authorization = {} if key is None else {"authorization": f"Bearer {gateway.keys[key]}"}
    try:
        connection.request(method, path, body, {**authorization, **(headers or {})})
        answer = connection.getresponse()
        received = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, received, answer.read())
    finally:
        connection.close()


def send_json(gateway: Gateway, method: str, path: str, body: Any, *, key: str | None = "alice") -> Reply:
    content = json.dumps(body).encode()
    return send(gateway, method, path, key=key, headers={"content-type": "application/json"}, body=content)


def part(
    name: str, content: bytes | str, *, filename: str | None = None, content_type: str | None = None
) -> bytes:
    """One part of a form, delimiter first."""
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    lines = [f"--{BOUNDARY}", f"Content-Disposition: {disposition}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    data = content.encode() if isinstance(content, str) else content
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


def file_part(content: bytes = WAV, *, content_type: str | None = "audio/wav") -> bytes:
    return part("file", content, filename="speech.wav", content_type=content_type)


def fields(*pairs: tuple[str, str]) -> bytes:
    return b"".join(part(name, value) for name, value in pairs)


def form(*parts: bytes) -> bytes:
    """A whole form, closed."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post_form(
    gateway: Gateway,
    body: bytes,
    *,
    key: str | None = "alice",
    content_type: str | None = f"multipart/form-data; boundary={BOUNDARY}",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """A body to the transcriptions route."""
    labelled = {} if content_type is None else {"content-type": content_type}
    return send(gateway, "POST", TRANSCRIPTIONS, key=key, headers={**labelled, **(headers or {})}, body=body)


def transcribe(
    gateway: Gateway,
    *pairs: tuple[str, str],
    model: str | None = MODEL,
    file: bytes | None = None,
    key: str = "alice",
) -> Reply:
    """A form with the sample (or the part `file`) and these fields."""
    asked = pairs if model is None else (("model", model), *pairs)
    return post_form(gateway, form(file or file_part(), fields(*asked)), key=key)


def read_form(content_type: str, body: bytes) -> list[Part]:
    """The parts of a form, by the standard library's reader of mail."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    found = []
    for each in message.iter_parts():
        name = each.get_param("name", header="content-disposition")
        media_type = each.get_content_type() if "content-type" in each else None
        content = each.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append(Part(str(name), each.get_filename(), media_type, content))
    return found


def assert_error(
    reply: Reply, status: int, kind: str, *, param: str | object | None = ..., code: str | None = None
) -> str:
    """The contract's envelope and headers; returns the message. `param` is not looked at unless given."""
    assert reply.status == status, reply.body
    assert_headers(reply)
    body = reply.json()
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == (kind, code), error
    if param is not ...:
        assert error["param"] == param, error
    message = error["message"]
    assert isinstance(message, str) and message
    for secret in ("sk-local", "Traceback", "speech.wav", "127.0.0.1", "localhost"):
        assert secret not in reply.body.decode()
    return message


def assert_headers(reply: Reply) -> None:
    """What every answer of the API carries to a caller that is no page."""
    assert reply.headers["content-type"].split(";")[0] == "application/json"
    assert reply.headers["x-request-id"]
    assert "access-control-allow-origin" not in reply.headers
    exposed = {name.strip() for name in reply.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {
        "x-request-id",
        "x-provider",
        "x-attempts",
        "x-downgraded-response-format",
        "x-should-retry",
        "retry-after",
    }
