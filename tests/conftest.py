"""Fixtures that more than one test file uses: an AWS with the template's resources, and the whole local run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import deployment
from tests import artifacts
from tests.collection import Collection
from tests.moto_server import client_of, start_moto
from tests.running import Gateway, start_gateway
from tests.stack import CREDENTIALS, create_resources
from tests.template import Template


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collection())


@dataclass(frozen=True)
class TestAws:
    """An AWS of this test session, and how a function's environment points to it."""

    __test__ = False

    endpoint: str
    template: Template
    client: Callable[[str], Any]

    def environment(self, function: str) -> dict[str, str]:
        """What a function's process would see, by the function's logical id."""
        declared = self.template.functions()[function].environment
        return {**declared, **CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint}


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[TestAws]:
    """moto's server with the resources of template.yaml; tests share it, so each uses names of its own."""
    with start_moto() as endpoint:
        template = Template(endpoint=endpoint)
        client = client_of(endpoint)
        create_resources(template, client)
        yield TestAws(endpoint, template, client)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for all test processes of this run."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


@pytest.fixture(scope="session")
def built(shared_folder: Path) -> Path:
    """Artifacts that this machine can run."""
    return artifacts.build(deployment.ARCHITECTURE, shared_folder)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """What `make run` starts, on free ports. It must end cleanly when it is told to."""
    running = start_gateway(tmp_path_factory.mktemp("local-run"))
    yield running
    assert running.end() == 0
    assert "Traceback" not in running.log.read_text()
