"""What `sam build` makes, built once for all test processes, and the parts that building and running need."""

import fcntl
import importlib.metadata
from pathlib import Path

from local import deployment
from local.deployment import ARCHITECTURE, SAM
from tests.missing import PYTHON


def emulator() -> Path:
    """The Runtime Interface Emulator for this machine, from the SAM CLI's wheel."""
    found = SAM.parents[1].glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}")
    return next(found)


def build(architecture: str, folder: Path) -> Path:
    """The folder of the artifacts for an architecture, built below `folder` unless another process has done so."""
    artifacts = folder / architecture
    with (folder / f"{architecture}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (artifacts / "template.yaml").exists():
            deployment.build(architecture, artifacts, "--no-cached", python=PYTHON.parent)
    return artifacts


def runtime_client(folder: Path) -> Path:
    """A folder with AWS's runtime client and what it requires, and nothing else of this environment."""
    folder.mkdir()
    for name in ("awslambdaric", "snapshot-restore-py", "simplejson"):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"__pycache__", ".."}:
            (folder / top).symlink_to(str(distribution.locate_file(top)))
    return folder
