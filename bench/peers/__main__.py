"""`make bench-peers`: this server beside LiteLLM, Portkey and nginx, in front of the same stub provider.

`--quick` is a smoke run of some seconds. `--json FILE` writes the figures. `--without-ours` measures only the others.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench.peers.client import Client
from bench.peers.comparison import PLAN, QUICK, Plan, compare
from bench.peers.disk import SyncCost, measure_sync
from bench.peers.figures import SIZES, Comparison, Figures
from bench.peers.forms import write_form
from bench.peers.gateways import MODEL, PEERS, ROOT, Gateway, Missing, start_ours, start_stub
from bench.peers.report import render_conditions, render_figures, render_goals, render_slow_providers
from bench.peers.slow_providers import SlowProviders, measure_slow_providers


def main() -> None:
    """Measure and print the report."""
    options = _options()
    # Without this, a SIGTERM would leave the processes behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        # Not in /tmp, which may be memory: the records' syncs must reach a disk.
        (ROOT / ".peers").mkdir(exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT / ".peers")))
        stub = start_stub(folder)
        stack.callback(stub.process.end)
        sync = measure_sync(folder)
        slow = None if options.without_ours else _measure_slow(stub, folder)
        gateways, skipped = _start(stub, folder, stack, with_ours=not options.without_ours)
        figures = _compare([stub, *gateways], folder, QUICK if options.quick else PLAN)
    versions = {gateway.name: gateway.version for gateway in gateways}
    _print_report(figures, slow, render_conditions(sync, versions, skipped))
    if options.json:
        _write(options.json, figures, slow, sync, versions)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("--quick", action="store_true", help="one size, a few seconds")
    parser.add_argument("--without-ours", action="store_true", help="measure only the peers")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def _measure_slow(stub: Gateway, folder: Path) -> SlowProviders:
    own = folder / "slow-providers"
    own.mkdir()
    return measure_slow_providers(stub.port, own)


def _start(
    stub: Gateway, folder: Path, stack: ExitStack, *, with_ours: bool
) -> tuple[list[Gateway], dict[str, str]]:
    """The gateways that run, and why others are skipped."""
    gateways, skipped = [], {}
    if with_ours:
        # One user sends everything: 64 at once need a higher limit in flight, which is still counted.
        ours = start_ours(stub.port, folder, MAX_IN_FLIGHT_PER_USER="1000")
        stack.callback(ours.process.end)
        gateways.append(ours)
    for name, start in PEERS.items():
        try:
            peer = start(stub.port, folder)
        except Missing as missing:
            skipped[name] = str(missing)
            continue
        stack.callback(peer.process.end)
        gateways.append(peer)
    return gateways, skipped


def _compare(gateways: Sequence[Gateway], folder: Path, plan: Plan) -> list[Figures]:
    forms = {size: write_form(folder / size, MODEL, SIZES[size]) for size in plan.sizes}
    figures = []
    with Client() as client:
        for each in compare(gateways, forms, plan, client):
            figures.append(each)
            print(
                f"{each.size:>7}, {each.clients:2} clients, {each.gateway:8} {each.p50:8.1f} ms, "
                f"{each.per_second:6.1f}/s, {each.failures} failures",
                file=sys.stderr,
            )
    return figures


def _print_report(figures: Sequence[Figures], slow: SlowProviders | None, conditions: str) -> None:
    goals = Comparison(figures).goals()
    parts = [conditions, render_figures(figures)]
    if slow:
        parts[1:1] = [render_goals([*goals, *slow.goals()]), render_slow_providers(slow)]
    print("\n\n".join(parts))


def _write(
    path: Path,
    figures: Sequence[Figures],
    slow: SlowProviders | None,
    sync: SyncCost,
    versions: dict[str, str],
) -> None:
    content = {
        "fsync_ms": asdict(sync),
        "versions": versions,
        "slow_providers": asdict(slow) if slow else None,
        "figures": [asdict(each) for each in figures],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
