"""Fails a run that reports fewer tests than it collected: xdist reports tests with one id once.

A plugin of the process that reports; the workers of xdist, which also collect, are left alone.
"""

from collections import Counter

import pytest


class Collection:
    """The ids that were collected, as often as they were, and those that were reported."""

    def __init__(self) -> None:
        self.collected: Counter[str] = Counter()
        self.reported: set[str] = set()

    def problem(self) -> str | None:
        """What is wrong with the ids, in one sentence, or None."""
        if repeated := sorted(name for name, times in self.collected.items() if times > 1):
            return f"{len(repeated)} ids belong to several tests, such as {repeated[0]}: give each its own."
        if unseen := sorted(self.collected.keys() - self.reported):
            return f"{len(unseen)} of {len(self.collected)} tests have no result, such as {unseen[0]}."
        return None
