"""The shell script `gateway-admin` at the top of the repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "gateway-admin"


def test_without_an_environment_it_says_what_to_run(tmp_path: Path) -> None:
    copy = tmp_path / "checkout" / SCRIPT.name
    copy.parent.mkdir()
    shutil.copy(SCRIPT, copy)
    done = subprocess.run([copy], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"gateway-admin: nothing is installed yet: run 'make run' or 'make serve' in {copy.parent} first\n"
    )


@pytest.mark.parametrize("environment", [".venv", ".venv-server"])
def test_it_works_from_any_directory_and_through_a_link(tmp_path: Path, environment: str) -> None:
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    (checkout / environment / "bin").mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(SCRIPT, checkout)
    python = checkout / environment / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH $*"\n')
    python.chmod(0o755)
    (elsewhere / "gateway-admin").symlink_to(checkout / SCRIPT.name)
    done = subprocess.run(
        ["./gateway-admin", "keys", "list"], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{checkout}:{checkout}/layers/shared -m admin keys list\n"
