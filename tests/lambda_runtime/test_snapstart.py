"""What a function restored from a snapshot renews: the real hooks of the runtime, called on built artifacts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lambda_runtime.test_artifacts import bare_python
from tests.stack import CREDENTIALS
from tests.template import Template

HOOKED = ["AuthorizerFunction", "TranscribeFunction", "ModelsFunction", "AgentsFunction", "UploadsFunction"]

# The module under test is imported as Lambda does before it takes a snapshot; then every hook is called, as in a
# restored copy. `seen` is what the program prints.
RESTORE = """
import json, random, snapshot_restore_py
import app
from gateway.store.dynamodb import aws
hooks = snapshot_restore_py.get_after_restore()
def restore():
    for hook, arguments, named in hooks:
        hook(*arguments, **named)
"""


def restored(template: Template, name: str, program: str, ric: Path) -> Any:
    """What a program prints as JSON that runs after RESTORE in a bare interpreter, as in the snapshot."""
    function = template.functions()[name]
    environment = {
        **function.environment,
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": template.endpoint or "",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
    }
    layer = function.code.parent / "SharedLayer" / "python"
    return json.loads(bare_python(RESTORE + program, function.code, layer, ric, **environment))


@pytest.mark.parametrize("name", HOOKED)
def test_the_snapshot_holds_a_client_and_the_hooks_leave_it_usable(
    template: Template, runtime_client: Path, name: str
) -> None:
    program = """
before = aws.dynamodb()
before.list_tables()
pool = before._endpoint.http_session._manager.pools
opened = len(pool)
restore()
closed = len(pool)
before.list_tables()
print(json.dumps({"same": aws.dynamodb() is before, "opened": opened, "closed": closed, "hooks": len(hooks)}))
"""
    seen = restored(template, name, program, runtime_client)
    assert seen == {"same": True, "opened": 1, "closed": 0, "hooks": seen["hooks"]}
    assert seen["hooks"] >= 2


def test_two_restored_copies_draw_different_numbers(template: Template, runtime_client: Path) -> None:
    program = """
state, drawn = random.getstate(), []
for _ in range(2):
    random.setstate(state)
    restore()
    drawn.append(random.random())
print(json.dumps(drawn))
"""
    first, second = restored(template, "TranscribeFunction", program, runtime_client)
    assert first != second


def test_lookups_credentials_and_connections_of_the_snapshot_are_forgotten(
    template: Template, runtime_client: Path
) -> None:
    program = """
import socket
from gateway import compose
from gateway.upstream.client import Connection
here, there = socket.socketpair()
client = compose.transcription().client
client._idle.append((("http", "stub", 80), Connection(here, "127.0.0.1")))
stores = [compose.catalog(), compose.credentials()]
for store in stores:
    store._recent.get("key", list, keep_empty=True)
restore()
left = [len(store._recent._entries) for store in stores]
print(json.dumps({"lookups": left, "idle": len(client._idle), "peer": there.recv(1).decode()}))
"""
    seen = restored(template, "TranscribeFunction", program, runtime_client)
    assert seen == {"lookups": [0, 0], "idle": 0, "peer": ""}
