"""What a cold start costs: `python -m bench.cold_start [--build FOLDER] [--modules]`.

Each function as `sam build` made it (a build of its own unless a folder is given) is initialised in a bare
Python 3.13 with nothing on its path but its folder and the layer: the handler is imported and what Lambda's
initialisation makes is made. Compared with `import boto3; boto3.client("dynamodb")` alone, in alternation. Times
are over the interpreter's own start; CPU time is what a busy machine disturbs least.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.deployment import ARCHITECTURE
from tests import artifacts, missing
from tests.stack import CREDENTIALS
from tests.template import Template

ROUNDS = 15
BASELINE = "boto3"
GOALS = {"AuthorizerFunction": 1.4, "ModelsFunction": 1.4, "TranscribeFunction": 1.2}
MAX_MODULES = 12

_PROGRAM = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{code}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
import json
print(json.dumps([wall * 1000, cpu * 1000]))
"""


@dataclass(frozen=True)
class Case:
    """A program, and the environment in which it is started."""

    code: str
    path: tuple[Path, ...]
    variables: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """The variables for a new process."""
        path = ":".join(map(str, self.path))
        return {**self.variables, **CREDENTIALS, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> None:
    """Print one table; with --modules, also print what each function with a goal imports."""
    parser = argparse.ArgumentParser(prog="bench.cold_start", description=__doc__)
    parser.add_argument("--build", type=Path, help="a folder that `sam build` filled for this machine")
    parser.add_argument("--modules", action="store_true", help="show the slowest imports too")
    arguments = parser.parse_args()
    if reason := missing.for_running():
        sys.exit(f"Cannot measure here: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        build = arguments.build or artifacts.build(ARCHITECTURE, Path(folder))
        cases = cases_of(build.resolve())
        compare(cases)
        if arguments.modules:
            for name in GOALS:
                print_modules(name, cases[name])


def cases_of(build: Path) -> dict[str, Case]:
    """The baseline and every function of the built template."""
    layer = build / "SharedLayer" / "python"
    packages = next(Path(sys.prefix).glob("lib/python3.13/site-packages"))
    functions = Template(path=build / "template.yaml").functions()
    cases = {BASELINE: Case("import boto3; boto3.client('dynamodb')", (packages,), {})}
    for name, function in functions.items():
        variables = {**function.environment, "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
        del variables["AWS_ENDPOINT_URL"]  # empty on AWS; botocore ignores it then
        cases[name] = Case("import app", (function.code, layer), variables)
    return cases


def compare(cases: Mapping[str, Case]) -> None:
    """Print median milliseconds for each, and the ratio to the baseline."""
    rounds = [{name: milliseconds(case) for name, case in cases.items()} for _ in range(ROUNDS + 1)][1:]
    wall, cpu = (
        {name: statistics.median(times[name][column] for times in rounds) for name in cases}
        for column in (0, 1)
    )
    print(f"medians of {ROUNDS}, ms over a bare interpreter\n")
    print(f"{'':22}{'wall':>8}{'ratio':>8}{'CPU':>8}{'ratio':>8}{'goal':>8}")
    for name in cases:
        ratios = wall[name] / wall[BASELINE], cpu[name] / cpu[BASELINE]
        goal = f"{GOALS[name]:8.1f}" if name in GOALS else ""
        print(f"{name:22}{wall[name]:8.0f}{ratios[0]:8.2f}{cpu[name]:8.0f}{ratios[1]:8.2f}{goal}")


def milliseconds(case: Case) -> tuple[float, float]:
    """Wall and CPU time of one start."""
    wall, cpu = json.loads(run(case, "-c", _PROGRAM.format(code=case.code)).stdout)
    return wall, cpu


def print_modules(name: str, case: Case) -> None:
    """Print the slowest packages by their own import time, without what they import from others."""
    own: dict[str, int] = {}
    for line in run(case, "-X", "importtime", "-c", case.code).stderr.splitlines():
        if match := re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line):
            package = match[2].partition(".")[0]
            own[package] = own.get(package, 0) + int(match[1])
    slowest = sorted(own.items(), key=lambda item: -item[1])[:MAX_MODULES]
    print(f"\n{name}: own import time by package, ms, one start")
    print("  " + ", ".join(f"{package} {microseconds / 1000:.0f}" for package, microseconds in slowest))


def run(case: Case, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Start the bare interpreter. Raises CalledProcessError."""
    return subprocess.run(
        [str(missing.PYTHON), "-S", *arguments],
        env=case.environment(),
        capture_output=True,
        text=True,
        check=True,
    )


if __name__ == "__main__":
    main()
