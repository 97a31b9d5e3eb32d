"""A gateway to administer: one in a data directory of this machine, and one on AWS, in moto."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from gateway.providers.operators import Operator
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws, stores
from gateway.store.dynamodb.totals import totals_store
from gateway.store.dynamodb.usage import item_of
from gateway.store.ports import Stores
from gateway.usage.record import Attempt, Duration, Record
from server.sqlite.stores import open_stores

STACK = "prod"
SETTINGS = CatalogSettings(provider_online_seconds=120, allow_private=False)
_TABLES = ("KEYS_TABLE", "PROVIDERS_TABLE", "USAGE_TABLE", "TOTALS_TABLE")


@dataclass(frozen=True)
class Administered:
    """A gateway that `gateway-admin` finds by its environment.

    `options` name it on a command line, and `record` keeps a usage record and its totals.
    """

    stores: Stores
    options: tuple[str, str]
    record: Callable[[Record], None]

    def publish(
        self, owner: str, name: str, now: float | None = None, url: str = "https://stt.example.com/v1"
    ) -> None:
        """Upload a manifest with one service at `now`."""
        service = {"name": "asr", "type": "stt", "engine": "vllm", "url": url, "models": [{"id": "Whisper"}]}
        parsed = {
            "schema_version": 1,
            "agent": {"name": name},
            "hosts": [{"id": "rig", "services": [service]}],
        }
        Operator(
            owner,
            self.stores.providers(),
            self.stores.credentials(),
            SETTINGS,
            time.time() if now is None else now,
            is_own_key=lambda _: False,
        ).upload_manifest({"parsed": parsed})


def run(*arguments: str, status: int = 0) -> Any:
    """What one command prints."""
    result = CliRunner().invoke(app, list(arguments), terminal_width=200)
    assert result.exit_code == status, result.output
    return result


def listed(*arguments: str) -> Any:
    """What one command prints as JSON."""
    return json.loads(run(*arguments, "--json").stdout)


def usage_record(number: int, user: str = "alice", *, started_at: float) -> Record:
    """A transcription of ten seconds by bob's provider."""
    return Record(
        request_id=f"request-{number}",
        user_id=user,
        key_id="key_0",
        started_at=started_at,
        duration=Duration(10.0, "measured"),
        model="whisper",
        provider="bob/home",
        http_status=200,
        attempts=(Attempt("bob/home", "succeeded", 5),),
    )


def create_stack(
    name: str, parameters: Mapping[str, str] | None = None, outputs: Mapping[str, str] | None = None
) -> None:
    """A stack in moto. Its outputs are the tables of `in_process_aws`, whose names are in the environment, and those
    given."""
    given = dict(parameters or {})
    values = {_output(table): os.environ[table] for table in _TABLES} | dict(outputs or {})
    template = {
        "Parameters": {parameter: {"Type": "String"} for parameter in given},
        "Resources": {"T": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {output: {"Value": value} for output, value in values.items()},
    }
    aws.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )


def _output(variable: str) -> str:
    """KEYS_TABLE -> KeysTable."""
    return variable.title().replace("_", "")


@pytest.fixture(autouse=True)
def no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no gateway."""
    for name in ("STT_GATEWAY_STACK", "DATA_DIR", "GATEWAY_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administered]:
    """The gateway of a data directory that DATA_DIR names, in use by this process."""
    data_dir = tmp_path / "data"
    opened = open_stores(data_dir)
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    yield Administered(opened, ("--data-dir", str(data_dir)), opened.usage().save)
    opened.close()


@pytest.fixture
def on_aws(in_process_aws: object, monkeypatch: pytest.MonkeyPatch) -> Administered:
    """The stack that STT_GATEWAY_STACK names."""
    create_stack(STACK)
    monkeypatch.setenv("STT_GATEWAY_STACK", STACK)

    def record(finished: Record) -> None:
        # In moto no stream brings the record to the totals.
        assert totals_store().count(item_of(finished, retention_days=1))

    return Administered(stores, ("--stack", STACK), record)


@pytest.fixture(params=["here", "on_aws"])
def gateway(request: pytest.FixtureRequest) -> Administered:
    """Each kind of gateway in turn: every command does the same on both."""
    found: Administered = request.getfixturevalue(request.param)
    return found
