"""What happens when Lambda initialises a function, and when it restores one from a snapshot."""

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
    """What was registered to be called after a restore."""
    registered: list[Recorder] = []
    module = SimpleNamespace(register_after_restore=registered.append)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    return registered


def test_outside_lambda_nothing_is_made_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    make = Recorder()
    prepare(make)
    assert make.calls == 0


@pytest.mark.parametrize("kind", ["on-demand", "provisioned-concurrency", "snap-start"])
def test_on_lambda_it_is_made_once_while_the_function_initialises(
    monkeypatch: pytest.MonkeyPatch, restore: list[Recorder], kind: str
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    make, renew = Recorder(), Recorder()
    prepare(make, renew=[renew])
    assert (make.calls, renew.calls) == (1, 0)


def test_without_snapstart_nothing_is_registered(
    monkeypatch: pytest.MonkeyPatch, restore: list[Recorder]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    prepare(renew=[Recorder()])
    assert restore == []


def test_a_restored_copy_renews_and_draws_numbers_of_its_own(
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
