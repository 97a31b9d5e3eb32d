"""Fails a run that reports fewer tests than it collected: xdist reports tests with one id once."""

from collections import Counter
from collections.abc import Sequence

import pytest


class Collection:
    """A plugin of the process that reports: what was collected there or by the workers of xdist, and what has a
    result."""

    def __init__(self) -> None:
        self.collected: Counter[str] = Counter()
        self.reported: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist."""
        if session.items:
            self.collected = Counter(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """With xdist, whose workers all collect the same."""
        self.collected = Counter(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reported.add(report.nodeid)

    def problem(self) -> str | None:
        """What is wrong with the ids, in one sentence, or None."""
        if repeated := sorted(name for name, times in self.collected.items() if times > 1):
            return (
                f"{len(repeated)} ids belong to several tests: give each its own. The first is {repeated[0]}"
            )
        if unseen := sorted(self.collected.keys() - self.reported):
            return f"{len(unseen)} of {len(self.collected)} tests have no result. The first is {unseen[0]}"
        return None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run that ended early has failed already."""
        if session.exitstatus == pytest.ExitCode.OK and ran(session.config) and self.problem():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not ran(terminalreporter.config):
            return
        terminalreporter.write_line(
            f"{sum(self.collected.values())} collected, {len(self.reported)} reported"
        )
        if problem := self.problem():
            terminalreporter.write_line(problem, red=True)


def ran(config: pytest.Config) -> bool:
    """Whether tests were to run, and not only to be listed."""
    return not config.getoption("collectonly")
