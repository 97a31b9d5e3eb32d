"""Renders the comparison: Markdown for docs/benchmarks.md."""

from collections.abc import Iterator, Mapping, Sequence

from bench.peers.disk import SyncCost
from bench.peers.figures import MB, Comparison, Figures, Goal
from bench.peers.slow_providers import SlowProviders


def render_goals(goals: Sequence[Goal]) -> str:
    """Each goal, what was measured, and whether it is met."""
    rows = [
        f"| {goal.name} | {goal.size} | {goal.wanted} | {goal.measured} | {'met' if goal.is_met else 'missed'} |"
        for goal in goals
    ]
    return "\n".join(["| | audio | goal | measured | |", "|---|---|---|---:|---|", *rows])


def render_figures(figures: Sequence[Figures]) -> str:
    """A table for each number of clients."""
    comparison = Comparison(figures)
    tables = []
    for clients in dict.fromkeys(each.clients for each in figures):
        title = "1 client" if clients == 1 else f"{clients} clients"
        rows = [_row(each, comparison) for each in figures if each.clients == clients]
        tables.append("\n".join([f"**{title}**\n", *_HEAD, *rows]))
    return "\n\n".join([*tables, *_failures(figures)])


def render_slow_providers(slow: SlowProviders) -> str:
    """Another caller's times."""
    rows = [f"| `{route}` | {_pair(slow.quiet[route])} | {_pair(slow.busy[route])} |" for route in slow.quiet]
    head = f"| p50, p95, ms | alone | beside {slow.slow_calls} slow calls |"
    return "\n".join([head, "|---|---:|---:|", *rows])


def render_conditions(sync: SyncCost, versions: Mapping[str, str], skipped: Mapping[str, str]) -> str:
    """What must be known beside the figures."""
    with_version = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    lines = [
        f"One fsync of this disk takes {sync.p50:.2f} ms (p95 {sync.p95:.2f}). Compared with: {with_version}."
    ]
    lines += [f"Skipped {name}: {reason}." for name, reason in skipped.items()]
    return "\n".join(lines)


_HEAD = (
    "| audio | | p50, ms | p95, ms | added p50 | added p95 | requests/s | CPU ms/request | peak MB |",
    "|---|---|---:|---:|---:|---:|---:|---:|---:|",
)


def _row(figures: Figures, comparison: Comparison) -> str:
    added = comparison.added(figures)
    values = (
        *(f"{value:.1f}" for value in (figures.p50, figures.p95, *added)),
        f"{figures.per_second:.0f}",
        f"{figures.cpu_ms:.2f}",
        f"{figures.peak_bytes / MB:.0f}",
    )
    return f"| {figures.size} | {figures.gateway} | {' | '.join(values)} |"


def _failures(figures: Sequence[Figures]) -> Iterator[str]:
    for each in figures:
        if each.failures:
            asked = each.requests + each.failures
            yield (
                f"{each.gateway}, {each.size}, {each.clients} clients: {each.failures} of {asked} requests failed; "
                f"the first: {each.first_failure}"
            )


def _pair(times: tuple[float, float]) -> str:
    return ", ".join(f"{value:.1f}" for value in times)
