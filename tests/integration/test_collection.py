"""No test of a run stays without a result unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import environment

TESTS = """
import pytest


@pytest.mark.parametrize("number", range(3))
def test_a(number):
    pass
"""
# As an id that a plugin makes without the parameter.
CONFTEST = """
import pytest
from tests.collection import Collection

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collection())

def pytest_itemcollected(item):
    {body}
"""
SAME = "item._id = item.parent.id.child('test_a')"


def run(folder: Path, body: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a run of its own."""
    (folder / "conftest.py").write_text(CONFTEST.format(body=body))
    (folder / "test_some.py").write_text(TESTS)
    options = ["-q", "-p", "xdist.plugin", "--rootdir", str(folder), "-c", "/dev/null", *arguments]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_whose_tests_share_an_id_fails_and_names_it(tmp_path: Path, workers: str) -> None:
    code, said = run(tmp_path, SAME, "-n", workers)
    assert code == 1
    assert "1 ids belong to several tests" in said
    assert "test_some.py::test_a" in said


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_that_reports_what_it_collected_tells_both_counts(tmp_path: Path, workers: str) -> None:
    code, said = run(tmp_path, "pass", "-n", workers)
    assert code == 0, said
    assert "3 collected, 3 reported" in said


@pytest.mark.parametrize("workers", ["0", "1"])
def test_tests_that_are_not_selected_are_not_missed(tmp_path: Path, workers: str) -> None:
    code, said = run(tmp_path, "pass", "-n", workers, "--deselect", "test_some.py::test_a[1]")
    assert code == 0, said
    assert "2 collected, 2 reported" in said
