"""What happens when Lambda initialises a function or restores one from a snapshot."""

import random
import sys
from types import SimpleNamespace

import pytest

from gateway.lifecycle import prepare


class Recorder:
    """An action that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


@pytest.fixture
def restore(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """Actions registered to run after a restore."""
    registered: list[Recorder] = []
    module = SimpleNamespace(register_after_restore=registered.append)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    return registered


def test_nothing_is_created_at_import_outside_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    make = Recorder()
    prepare(make)
    assert make.calls == 0


@pytest.mark.parametrize("kind", ["on-demand", "provisioned-concurrency", "snap-start"])
def test_it_is_created_once_while_a_function_initialises_on_lambda(
    monkeypatch: pytest.MonkeyPatch, restore: list[Recorder], kind: str
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    make, renew = Recorder(), Recorder()
    prepare(make, renew=[renew])
    assert (make.calls, renew.calls) == (1, 0)


def test_nothing_is_registered_without_snapstart(
    monkeypatch: pytest.MonkeyPatch, restore: list[Recorder]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    prepare(renew=[Recorder()])
    assert restore == []


def test_a_restored_copy_renews_its_state_and_draws_its_own_numbers(
    monkeypatch: pytest.MonkeyPatch, restore: list[Recorder]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    renew = Recorder()
    prepare(renew=[renew])
    snapshot = random.getstate()
    drawn = []
    for _ in range(2):
        random.setstate(snapshot)
        for action in restore:
            action()
        drawn.append(random.random())
    assert renew.calls == 2
    assert drawn[0] != drawn[1]
