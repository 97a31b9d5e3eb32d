"""The child's side of an execution environment: calls one function's handler, one event at a time."""

import importlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.worker_process import receive_message, send_message

# Lambda's limit for a synchronous answer; a handler that exceeds it would fail there.
MAX_ANSWER_BYTES = 6_291_556


@dataclass(frozen=True)
class Code:
    """What an environment runs, in a form that can be sent to a new process."""

    name: str
    arn: str
    directory: Path
    handler: str
    memory_mb: int
    variables: Mapping[str, str]


@dataclass(frozen=True)
class LambdaContext:
    """What the Lambda runtime passes to a handler besides the event."""

    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    aws_request_id: str
    deadline: float
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None
    log_group_name: str = field(init=False)
    log_stream_name: str = "local"

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_group_name", f"/aws/lambda/{self.function_name}")

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until this environment is killed."""
        return max(int((self.deadline - time.monotonic()) * 1000), 0)


def serve(connection: socket.socket, code: Code) -> None:
    """Imports the handler the way Lambda does and answers until the parent hangs up."""
    os.environ.update(code.variables)
    sys.path.insert(0, str(code.directory))
    module, _, name = code.handler.rpartition(".")
    handler = getattr(importlib.import_module(module), name)
    send_message(connection, b"{}")
    while True:
        head, body = receive_message(connection)
        send_message(connection, *_answer(code, handler, json.loads(head), body))
        # An idle environment must not keep the last caller's audio.
        del head, body


def _answer(code: Code, handler: Any, call: dict[str, Any], body: bytearray) -> tuple[bytes, bytes]:
    event = call["event"]
    if call["body"] == "base64":
        # Imported here: this process has it for the handlers, the parent does not need it.
        import pybase64

        event["body"] = pybase64.b64encode_as_string(body)
    elif call["body"] == "text":
        event["body"] = body.decode("utf-8", "replace")
    body.clear()
    context = LambdaContext(
        function_name=code.name,
        invoked_function_arn=code.arn,
        memory_limit_in_mb=str(code.memory_mb),
        aws_request_id=call["request_id"],
        deadline=time.monotonic() + call["seconds"],
    )
    try:
        result = json.dumps(handler(event, context), separators=(",", ":")).encode()
    except Exception as error:
        traceback.print_exc()
        return json.dumps({"error": str(error)}).encode(), b""
    if len(result) > MAX_ANSWER_BYTES:
        sys.stderr.write(f"{code.name}: an answer of {len(result)} bytes is over Lambda's limit\n")
        return b'{"error": "Function.ResponseSizeTooLarge"}', b""
    return b"{}", result
