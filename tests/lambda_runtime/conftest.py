"""Built functions under the real Lambda Runtime Interface Emulator, with an embedded AWS and a stub provider."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.accounts.keys import Limits
from local.deployment import ROOT
from local.users import USERS
from tests import artifacts, missing
from tests.lambda_runtime.emulator import Emulator
from tests.misbehaving_server import MisbehavingServer
from tests.moto_server import client_of, start_moto
from tests.stack import CREDENTIALS, create_resources
from tests.template import Template

EVENTS = ROOT / "events"

Start = Callable[..., Emulator]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing.for_running()
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.lambda_runtime)
            item.add_marker(missing.needs(reason))


def event(name: str) -> dict[str, Any]:
    """A case from events/."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def provider() -> Iterator[MisbehavingServer]:
    """A provider over plain HTTP."""
    with MisbehavingServer(trustme.CA(), tls=False) as server:
        yield server


@pytest.fixture(scope="session")
def template(built: Path) -> Iterator[Template]:
    """The built template; its resources are in an embedded AWS, with the keys of alice and bob."""
    with start_moto() as endpoint:
        parameters = {"AllowPrivateProviders": "true"}
        template = Template(path=built / "template.yaml", parameters=parameters, endpoint=endpoint)
        create_resources(template, client_of(endpoint))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
                patch.setenv(name, value)
            create_users(template)
        yield template


def create_users(template: Template) -> None:
    from gateway.store.dynamodb import aws  # its clients are made for the environment of their first use
    from gateway.store.dynamodb.keys import KeyStore

    aws._made.cache_clear()
    store = KeyStore(template.physical_name("KeysTable"))
    for user, key in USERS.items():
        store.set_user(user, "any", Limits())
        store.create(user, key=key)
    aws._made.cache_clear()


@pytest.fixture(scope="session")
def runtime_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AWS's Python runtime client, alone."""
    return artifacts.runtime_client(tmp_path_factory.mktemp("runtime") / "client")


@pytest.fixture(scope="session")
def start(
    template: Template, built: Path, runtime_client: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts a new execution environment of a function, by logical id; all are ended after the tests."""
    logs = tmp_path_factory.mktemp("logs")
    emulators: list[Emulator] = []

    def starter(
        name: str,
        *,
        layer: Path | None = built / "SharedLayer",
        seconds: float | None = None,
        **variables: str,
    ) -> Emulator:
        function = template.functions()[name]
        if seconds is not None:
            function = replace(function, timeout_seconds=seconds)
        endpoint = {"AWS_ENDPOINT_URL": template.endpoint or ""}
        emulators.append(
            Emulator(
                function,
                layer=layer,
                emulator=artifacts.emulator(),
                python=missing.PYTHON,
                runtime_client=runtime_client,
                environment={**function.environment, **CREDENTIALS, **endpoint, **variables},
                log=logs / f"{len(emulators)}-{name}.log",
            )
        )
        return emulators[-1]

    yield starter
    for emulator in emulators:
        emulator.stop()


@pytest.fixture(scope="session")
def functions(start: Start) -> Mapping[str, Emulator]:
    """One warm execution environment for each function, started when it is first asked for."""

    class Warm(dict[str, Emulator]):
        def __missing__(self, name: str) -> Emulator:
            self[name] = start(name)
            return self[name]

    return Warm()


@pytest.fixture(scope="session")
def published(functions: Mapping[str, Emulator], provider: MisbehavingServer) -> Callable[[str], None]:
    """Publishes the stub as alice's provider `local`, through the agents function, under one of its faults.

    A warm transcribe function remembers the one before for some seconds: start a new one for another fault.
    """

    def publish(fault: str) -> None:
        upload = event("agents_manifest")
        body = json.loads(upload["body"])
        body["parsed"]["hosts"][0]["services"][0]["url"] = provider.url(fault)
        answer = functions["AgentsFunction"].invoke({**upload, "body": json.dumps(body)})
        assert answer["statusCode"] == 200, answer

    return publish
