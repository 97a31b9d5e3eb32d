"""What the end-to-end tests share: published stub providers, and the table of what works with which client."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest
from schemathesis.pytest.plugin import SchemathesisFunction

from tests.e2e import conformance
from tests.e2e.conformance import FAILS, NOT_TRIED, WORKS, Results
from tests.e2e.wire import send, send_json
from tests.running import Gateway
from tests.stub_provider import StubProvider

_RESULTS: Results = {}


@dataclass(frozen=True)
class Published:
    """A stub that callers reach under `model`."""

    model: str
    provider: str
    stub: StubProvider


class Publish(Protocol):
    """Declares a new stub as a provider of its own."""

    def __call__(
        self,
        *,
        model: str | None = None,
        features: Sequence[str] = (),
        access: str = "private",
        api_key: str | None = None,
    ) -> Published: ...


@contextmanager
def publishing(gateway: Gateway) -> Iterator[Publish]:
    """Publishes stubs, and removes them at the end."""
    made: list[Published] = []

    def publish(
        *,
        model: str | None = None,
        features: Sequence[str] = (),
        access: str = "private",
        api_key: str | None = None,
    ) -> Published:
        stub, name = StubProvider(), f"stub-{secrets.token_hex(6)}"
        published = Published(model or f"Stub/{name}", name, stub)
        made.append(published)
        service = {
            "name": "asr",
            "type": "stt",
            "engine": "other",
            "url": stub.url,
            "features": list(features),
            "access": access,
            "models": [{"hf": published.model, "id": f"served-{name}"}],
        } | ({"api_key": api_key} if api_key else {})
        parsed = {
            "schema_version": 1,
            "agent": {"name": name},
            "hosts": [{"id": "here", "services": [service]}],
        }
        reply = send_json(
            gateway, "PUT", "/api/inference/agent/manifest/", {"raw_yaml": "", "parsed": parsed}
        )
        assert reply.status == 200, reply.body
        return published

    yield publish
    for published in made:
        send(gateway, "DELETE", f"/v1/providers/{published.provider}")
        published.stub.stop()


@pytest.fixture
def publish(gateway: Gateway) -> Iterator[Publish]:
    """Declares stubs that live as long as the test, as alice's providers."""
    with publishing(gateway) as publish:
        yield publish


@pytest.fixture(scope="module")
def module_stub(gateway: Gateway) -> Iterator[Published]:
    with publishing(gateway) as publish:
        yield publish()


@pytest.fixture
def published(module_stub: Published) -> Published:
    """A stub that always answers, published once a module; `asked` begins empty."""
    module_stub.stub.asked.clear()
    return module_stub


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives each test of schemathesis an id of its own: it puts the operation into the test's name, of which pytest
    9.2 no longer makes the id."""
    if isinstance(item, SchemathesisFunction) and item.parent is not None:
        item._id = item.parent.id.child(item.name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--conformance",
        action="store_true",
        help="write the table of docs/sdk-conformance.md and of the README",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report: pytest.TestReport = yield
    marker = item.get_closest_marker("conformance")
    if marker and (report.when == "call" or not report.passed):
        # User properties travel from xdist's workers to the process that writes the table.
        report.user_properties.append(("conformance", marker.args))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, marked in report.user_properties:
        if name == "conformance":
            outcome = WORKS if report.passed else NOT_TRIED if report.skipped else FAILS
            client, case = cast("tuple[str, str]", marked)
            conformance.note(_RESULTS, client, case, outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--conformance", False) and not hasattr(session.config, "workerinput"):
        conformance.write(_RESULTS)
