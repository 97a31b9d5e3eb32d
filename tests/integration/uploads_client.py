"""A user who calls the handlers without HTTP."""

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from functions.transcribe import app as transcribe
from functions.uploads import app as uploads_app
from tests.lambda_context import LambdaContext

EVENT = json.loads((Path(__file__).parents[2] / "events" / "uploads_create.json").read_text())


def call(
    handler: Callable[[dict[str, Any], Any], dict[str, Any]],
    path: str,
    body: str | bytes,
    content_type: str,
    *,
    user: str = "ulla",
    method: str = "POST",
) -> tuple[int, dict[str, Any]]:
    """Status and body of a handler's answer, as if API Gateway had called it."""
    event = deepcopy(EVENT)
    segments = path.split("/")
    event["path"], event["httpMethod"], event["headers"]["content-type"] = path, method, content_type
    event["pathParameters"] = {"id": segments[3]} if len(segments) > 3 else None
    event["requestContext"]["authorizer"]["user_id"] = user
    event["isBase64Encoded"] = isinstance(body, bytes)
    event["body"] = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    reply = handler(event, LambdaContext(seconds=60))
    return reply["statusCode"], json.loads(reply["body"])


@dataclass
class Client:
    """A user who calls the handlers."""

    user: str = "ulla"

    def post(self, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        text = body if isinstance(body, str) else json.dumps(body)
        return call(uploads_app.handler, f"/v1/uploads{path}", text, "application/json", user=self.user)

    def create(self, size: int, **changes: Any) -> str:
        body = {"bytes": size, "filename": "talk.wav", "mime_type": "audio/wav", "purpose": "user_data"}
        status, upload = self.post("", body | changes)
        assert status == 200, upload
        return str(upload["id"])

    def add_part(self, upload_id: str, content: bytes) -> tuple[int, dict[str, Any]]:
        body, content_type = urllib3.encode_multipart_formdata({"data": ("blob", content)})
        path = f"/v1/uploads/{upload_id}/parts"
        return call(uploads_app.handler, path, body, content_type, user=self.user)

    def complete(self, upload_id: str, part_ids: list[str], **more: Any) -> tuple[int, dict[str, Any]]:
        return self.post(f"/{upload_id}/complete", {"part_ids": part_ids} | more)

    def upload(self, *contents: bytes, **changes: Any) -> dict[str, Any]:
        upload_id = self.create(sum(map(len, contents)), **changes)
        part_ids = [self.add_part(upload_id, content)[1]["id"] for content in contents]
        status, upload = self.complete(upload_id, part_ids)
        assert status == 200, upload
        return upload

    def transcribe(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        body, content_type = urllib3.encode_multipart_formdata({"model": "m"} | fields)
        return call(transcribe.handler, "/v1/audio/transcriptions", body, content_type, user=self.user)
