"""The life of a Lambda execution environment: what it prepares before requests, and renews after a restore."""

import os
import random
from collections.abc import Callable, Iterable

Action = Callable[[], object]


def prepare(*make: Action, renew: Iterable[Action] = ()) -> None:
    """Call `make` while Lambda initialises the function, when it has a full CPU at any memory size. Elsewhere do
    nothing: each object is then created at its first use.

    SnapStart restores one initialised process many times. Each copy calls `renew` and reseeds `random`, so that copies
    draw different numbers. (`secrets` and TLS use the system's, which are different already.)
    """
    kind = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if kind is None:
        return
    for action in make:
        action()
    if kind == "snap-start":
        # Available only in Lambda's Python runtime.
        from snapshot_restore_py import register_after_restore

        for action in (random.seed, *renew):
            register_after_restore(action)
