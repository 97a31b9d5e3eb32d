"""The life of an execution environment on Lambda: what is made before its first request, what a restore renews."""

import os
import random
from collections.abc import Callable, Iterable

Action = Callable[[], object]


def prepare(*make: Action, renew: Iterable[Action] = ()) -> None:
    """Call `make` while Lambda initialises the function, which has a whole CPU then whatever its memory; anywhere
    else what they make is made at its first use.

    With SnapStart one initialised process is restored many times: each copy calls `renew`, and draws other random
    numbers than its siblings (`secrets` and TLS take theirs from the system, which sees to it itself).
    """
    kind = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if kind is None:
        return
    for action in make:
        action()
    if kind == "snap-start":
        # Part of Lambda's Python runtime, and of nothing else.
        from snapshot_restore_py import register_after_restore

        for action in (random.seed, *renew):
            register_after_restore(action)
