"""Writes the table of tested clients from the results of the tests marked `conformance(client, case)`."""

import importlib.metadata
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.running import ROOT

BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"
WORKS, FAILS, NOT_TRIED = "works", "**fails**", "not tried"
TABLE, SUMMARY = ROOT / "docs" / "sdk-conformance.md", ROOT / "README.md"

# By client and case.
Results = dict[tuple[str, str], str]


def note(results: Results, client: str, case: str, outcome: str) -> None:
    """A test's outcome; of several tests of one case, the worst counts."""
    severity = (WORKS, NOT_TRIED, FAILS)
    results[client, case] = max(results.get((client, case), WORKS), outcome, key=severity.index)


def table(results: Results) -> str:
    rows = [f"| {client} | {case} | {outcome} |" for (client, case), outcome in sorted(results.items())]
    return "\n".join(["| Client | What | Result |", "|---|---|---|", *rows])


def summary(results: Results, versions: Mapping[str, str]) -> str:
    """A line for each client: its version, and how many of its cases work."""
    tried = Counter(client for client, _ in results)
    working = Counter(client for (client, _), outcome in results.items() if outcome == WORKS)
    rows = [
        f"| {client} {versions[client]} | {working[client]} of {tried[client]} cases work |"
        for client in sorted(tried)
    ]
    return "\n".join(["| Client | Result |", "|---|---|", *rows])


def versions() -> dict[str, str]:
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    said = subprocess.run(
        [shutil.which("curl") or "curl", "--version"], capture_output=True, text=True, check=False
    )
    return {
        "curl": said.stdout.split()[1],
        "openai-node": lock["packages"]["node_modules/openai"]["version"],
        "openai-python": importlib.metadata.version("openai"),
    }


def replace_between(path: Path, text: str) -> None:
    """Writes `text` between the markers of a file; a file without them is left alone."""
    page = path.read_text("utf-8")
    if BEGIN in page:
        before, rest = page.split(BEGIN)
        path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", "utf-8")


def write(results: Results) -> None:
    replace_between(TABLE, table(results))
    replace_between(SUMMARY, summary(results, versions()))
