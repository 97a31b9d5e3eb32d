"""What a machine may lack for some tests: each reason says what is missing, and the command that mends it."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from local import ministack
from local.deployment import ROOT, SAM

# The interpreter that the environment was made from, without the environment's packages.
PYTHON = Path(sys.base_prefix) / "bin" / "python3.13"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def program(name: str, command: str, *others: str) -> str | None:
    """The reason if none of the programs is on PATH."""
    found = any(shutil.which(each) for each in (name, *others))
    return None if found else f"{name} is not installed: {command}"


def node_package(name: str) -> str | None:
    """The reason if Node or one of its packages is not there."""
    there = (ROOT / "node_modules" / name).is_dir()
    return NODE or (None if there else f"Node's package {name} is not installed: make node_modules")


def for_building() -> str | None:
    """What `sam build` needs."""
    if sys.version_info[:2] != (3, 13) or not PYTHON.exists():
        return ".venv is not of Python 3.13, which Lambda runs: make clean test (with python3.13 on PATH)"
    return SAM_CLI or program("make", "apt-get install make")


def for_running() -> str | None:
    """What running built functions under the emulator needs."""
    if reason := for_building():
        return reason
    if importlib.util.find_spec("awslambdaric") is None:
        return "awslambdaric is not installed: make .venv/dev.stamp"
    if not list(SAM.parents[1].glob("lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-*")):
        return "the SAM CLI has no Lambda Runtime Interface Emulator: make clean test"
    return None


def for_deploying() -> str | None:
    """What deploying to the emulator of AWS needs."""
    return for_building() or ministack.missing_part()


def needs(reason: str | None) -> pytest.MarkDecorator:
    """Skips a test for a reason, if there is one."""
    return pytest.mark.skipif(reason is not None, reason=str(reason))


CURL = program("curl", "apt-get install curl")
NODE = program("node", "apt-get install nodejs npm")
PROC = None if Path("/proc/self/fd").is_dir() else "there is no /proc: run this test on Linux"
CHROMIUM = program("chromium", "apt-get install chromium", *BROWSERS)
SAM_CLI = None if SAM.exists() else "the SAM CLI is not installed: make .venv-sam/stamp"
