"""`make sam-local`: runs functions in `sam local`'s containers against an embedded AWS that they can reach.

    python -m local.sam_local            tries some events and ends
    python -m local.sam_local --serve    keeps the embedded AWS until Ctrl-C, for `sam local` by hand

Without Docker it says so and exits with 0: `make test-lambda` runs the same functions under the runtime emulator.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from local.embedded_aws import CREDENTIALS, HOST_OF_CONTAINERS, EmbeddedAws, client_of, create_resources
from local.run import create_users
from server.listener import HOST, PortInUse, bind
from server.template import Template

ROOT = Path(__file__).resolve().parent.parent
# Also in events/env.json, as is HOST_OF_CONTAINERS.
PORT = 5000
CASES = {
    "AuthorizerFunction": "authorizer_known_key",
    "ModelsFunction": "models_list",
    "SiteFunction": "site_healthz",
}


def main() -> int:
    """The exit code: 0 if all cases were answered or there is no Docker, else 1."""
    parser = argparse.ArgumentParser(prog="local.sam_local")
    parser.add_argument("--serve", action="store_true", help="keep the embedded AWS until Ctrl-C")
    arguments = parser.parse_args()
    reason = docker_problem()
    if reason:
        print(f"Cannot run sam local: {reason}. `make test-lambda` runs the functions without Docker.")
        return 0
    address = reachable_address()
    try:
        aws = EmbeddedAws(bind(PORT, address))
    except PortInUse as error:
        print(f"Cannot start the embedded AWS: {error}", file=sys.stderr)
        return 1
    aws.start()
    fill(f"http://{address}:{PORT}")
    print(f"embedded AWS on {address}:{PORT}, {HOST_OF_CONTAINERS}:{PORT} in containers", flush=True)
    try:
        if arguments.serve:
            threading.Event().wait()
        return try_cases()
    except KeyboardInterrupt:
        return 0
    finally:
        aws.stop()


def docker_problem() -> str | None:
    """Why containers cannot run here, or None."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)  # noqa: S607
    if asked.returncode:
        return (asked.stderr.strip().splitlines() or ["docker info failed"])[-1].rstrip(".?")
    return None


def reachable_address() -> str:
    """The address that containers see as host.docker.internal.

    On Linux that is the gateway of Docker's bridge, which other machines cannot reach. Docker Desktop
    forwards to 127.0.0.1.
    """
    if sys.platform != "linux":
        return HOST
    inspected = subprocess.run(
        ["docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    return inspected.stdout.strip()


def fill(endpoint: str) -> None:
    """Create the template's resources, and alice and bob."""
    os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint})
    template = Template(endpoint=endpoint)
    create_resources(template, client_of(endpoint))
    create_users(template)


def try_cases() -> int:
    """Build for this machine and invoke every case; 0 if all answers were correct."""
    architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    subprocess.run(["make", "build", f"ARCHITECTURE={architecture}"], cwd=ROOT, check=True)  # noqa: S603, S607
    answered = [invoke(function, case) for function, case in CASES.items()]
    return 0 if all(answered) else 1


def invoke(function: str, case: str) -> bool:
    """Whether `sam local invoke` answers an event correctly; prints the answer."""
    command = [
        *(str(ROOT / ".venv-sam" / "bin" / "sam"), "local", "invoke", function),
        *("--event", f"events/{case}.json", "--env-vars", "events/env.json"),
        *("--add-host", f"{HOST_OF_CONTAINERS}:host-gateway"),
    ]
    answered = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    lines = answered.stdout.strip().splitlines() or answered.stderr.strip().splitlines() or ["nothing"]
    print(f"{function} <- {case}: {lines[-1][:300]}", flush=True)
    try:
        answer = json.loads(lines[-1])
    except ValueError:
        return False
    return answer.get("statusCode") == 200 or "policyDocument" in answer


if __name__ == "__main__":
    sys.exit(main())
