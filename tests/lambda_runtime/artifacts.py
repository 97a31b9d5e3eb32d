"""What `sam build` makes, built once for all test processes, and the parts that building and running need."""

import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
# The interpreter that the environment was made from, without the environment's packages.
PYTHON = Path(sys.base_prefix) / "bin" / "python3.13"


def missing_part() -> str | None:
    """What this machine lacks for the real Lambda runtime, or None."""
    if sys.version_info[:2] != (3, 13):
        return f"Lambda runs Python 3.13, and this is {platform.python_version()}"
    if not PYTHON.exists():
        return f"there is no {PYTHON}, which `sam build` calls"
    if not SAM.exists():
        return "there is no .venv-sam: `make .venv-sam/stamp` creates it"
    if shutil.which("make") is None:
        return "there is no make, which `sam build` calls"
    if importlib.util.find_spec("awslambdaric") is None:
        return "awslambdaric is not installed"
    if not list(SAM.parents[1].glob("lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-*")):
        return "the SAM CLI carries no Lambda Runtime Interface Emulator"
    return None


def emulator() -> Path:
    """The Runtime Interface Emulator for this machine, from the SAM CLI's wheel."""
    found = SAM.parents[1].glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}")
    return next(found)


def build(architecture: str, folder: Path, *resources: str) -> Path:
    """The folder of the artifacts for an architecture, built below `folder` unless another process has done so."""
    artifacts = folder / architecture
    with (folder / f"{architecture}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (artifacts / "template.yaml").exists():
            _sam_build(architecture, artifacts, resources)
    return artifacts


def _sam_build(architecture: str, artifacts: Path, resources: tuple[str, ...]) -> None:
    environment = {
        **os.environ,
        "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    built = subprocess.run(
        [
            *(str(SAM), "build", *resources, "--parameter-overrides", f"Architecture={architecture}"),
            *("--build-dir", str(artifacts), "--no-cached"),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise RuntimeError(f"sam build failed:\n{built.stdout}\n{built.stderr}")


def runtime_client(folder: Path) -> Path:
    """A folder with AWS's runtime client and what it requires, and nothing else of this environment."""
    folder.mkdir()
    for name in ("awslambdaric", "snapshot-restore-py", "simplejson"):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"__pycache__", ".."}:
            (folder / top).symlink_to(str(distribution.locate_file(top)))
    return folder
