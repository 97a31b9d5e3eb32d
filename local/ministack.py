"""`python -m local.ministack --port N`: MiniStack, an emulator of AWS, until it is told to stop.

MiniStack does not end the processes of its functions. Here they are in one process group with it, which this
process ends, and this process ends with its parent.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from server.lifeline import end_with_parent

ROOT = Path(__file__).resolve().parent.parent
# Its functions run with the `python3.13` that is first on PATH.
PROGRAMS = ROOT / ".venv-ministack" / "bin"
HOST = "127.0.0.1"
REGION = "us-east-1"
# MiniStack accepts any. An account's own would not leave this machine, but must not be read either.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_END_SECONDS = 5.0


def missing_part() -> str | None:
    """What this machine lacks to run MiniStack, with the command that mends it, or None."""
    if not (PROGRAMS / "ministack").exists():
        return "MiniStack is not installed: make .venv-ministack/stamp (with Python 3.13 on PATH)"
    return None


def without_aws(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables without any that could lead to a real AWS account."""
    return {name: value for name, value in variables.items() if not name.startswith("AWS_")}


def is_ready(endpoint: str) -> bool:
    """Whether a MiniStack answers at this address."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5):  # noqa: S310
        return True
    return False


def _start(address: str, port: int, scratch: str, *, auth: bool) -> "subprocess.Popen[bytes]":
    environment = {
        **without_aws(os.environ),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": scratch,
        # Without these two it listens on every interface, and on a second port.
        "BIND_HOST": address,
        "IOT_MTLS_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "AUTH": str(auth).lower(),
        # These may do everything, if there are permissions.
        **{name: CREDENTIALS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }
    environment.pop("PYTHONPATH", None)  # the functions must find only what is deployed
    return subprocess.Popen(  # noqa: S603 - a program of our own environment
        [str(PROGRAMS / "ministack")], cwd=scratch, env=environment, process_group=0
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    """Serves until told to stop. The exit code: 0, or 1 if MiniStack ended by itself."""
    parser = argparse.ArgumentParser(prog="local.ministack", description=__doc__)
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--address", default=HOST)
    parser.add_argument("--auth", action="store_true", help="check credentials and permissions, as IAM does")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    told: list[int] = []  # not an Event: setting one in a signal handler can wait for ever
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))
    if arguments.lifeline:
        end_with_parent()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        process = _start(arguments.address, arguments.port, scratch, auth=arguments.auth)
        try:
            while not told:
                time.sleep(0.1)
                if process.poll() is not None:
                    return 1
        finally:
            _end(process)
    return 0


if __name__ == "__main__":
    sys.exit(main())
