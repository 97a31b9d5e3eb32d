"""The real template, built and deployed to MiniStack once a session."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import ministack
from local.children import Child, end
from local.deployment import ROOT, STACK, Deployment, deploy
from local.ministack import CREDENTIALS
from server.listener import bind
from tests import missing
from tests.running import START_SECONDS, environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing.for_deploying()
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.deployed)
            item.add_marker(missing.needs(reason))


@dataclass(frozen=True)
class Application:
    """The application in its emulator of AWS."""

    endpoint: str
    deployment: Deployment

    def admin(self, *arguments: str, stack: str = STACK) -> str:
        """What `gateway-admin` prints for this stack."""
        done = subprocess.run(
            [sys.executable, "-m", "admin", *arguments, "--stack", stack],
            env=environment(**CREDENTIALS, AWS_ENDPOINT_URL=self.endpoint),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack, by its address."""
    with bind(0) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("ministack") / "ministack.log"
    process = Child("ministack", [f"--port={port}", "--auth"], environment(), log)
    endpoint = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    try:
        while not ministack.is_ready(endpoint):
            process.check()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield endpoint
    finally:
        end([process])


@pytest.fixture(scope="session")
def application(emulator: str, built: Path) -> Application:
    """The template as it is deployed."""
    return Application(emulator, deploy(emulator, built))
