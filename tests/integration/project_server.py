"""The HTTP front with the small application in `project/`, and the AWS that it needs."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.embedded_aws import client_of, create_resources
from server.template import Template
from tests.moto_server import start_moto
from tests.running import Server, start

PROJECT = Path(__file__).parent / "project" / "template.yaml"
GOOD = {"Authorization": "Bearer good"}


@contextmanager
def project_aws() -> Iterator[str]:
    """Its address. It is a separate process, because moto has one state per process."""
    with start_moto() as endpoint:
        create_resources(Template(PROJECT, endpoint=endpoint), client_of(endpoint))
        yield endpoint


@contextmanager
def project_server(directory: Path, aws: str) -> Iterator[Server]:
    """It must end cleanly when asked to."""
    running = start(
        "local.gateway",
        [f"--template={PROJECT}"],
        directory / "server.log",
        AWS_ENDPOINT_URL=aws,
        RECORDS_FILE=str(directory / "records"),
        DEFINED_HERE="process",
        NOT_DECLARED="process",
        REQUEST_BUDGET_SECONDS="5",
        CORS_ORIGINS="https://page.example",
    )
    yield running
    assert running.end() in (0, -signal.SIGTERM)
    assert "Exception in ASGI" not in running.log.read_text()


def error_type(body: bytes) -> str:
    error: dict[str, str] = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["type"]
