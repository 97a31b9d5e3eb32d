"""`make sam-local`: runs functions in `sam local`'s containers against a MiniStack that they can reach.

    python -m local.sam_local            tries some events and ends
    python -m local.sam_local --serve    keeps MiniStack until Ctrl-C, for `sam local` by hand

Without Docker it says so and exits with 0: `make test-lambda` runs the same functions under the runtime emulator.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from local import ministack
from local.children import Child, ChildDied, end
from local.deployment import ARCHITECTURE, ROOT, STACK, CommandFailed, build, client, deploy, resource
from local.ministack import CREDENTIALS, HOST
from local.users import create_users

# Also in events/env.json.
PORT = 5000
HOST_OF_CONTAINERS = "host.docker.internal"
# What `sam local` reads if it is not told otherwise.
ARTIFACTS = ROOT / ".aws-sam" / "build"
LOGS = Path(".run") / "sam-local"
START_SECONDS = 60.0
CASES = {
    "AuthorizerFunction": "authorizer_known_key",
    "ModelsFunction": "models_list",
    "SiteFunction": "site_healthz",
}


def main() -> int:
    """The exit code: 0 if all cases were answered or there is no Docker, else 1."""
    parser = argparse.ArgumentParser(prog="local.sam_local")
    parser.add_argument("--serve", action="store_true", help="keep MiniStack until Ctrl-C")
    arguments = parser.parse_args()
    reason = docker_problem() or ministack.missing_part()
    if reason:
        print(f"Cannot run sam local: {reason}. `make test-lambda` runs the functions without Docker.")
        return 0
    address = reachable_address()
    endpoint = f"http://{address}:{PORT}"
    LOGS.mkdir(parents=True, exist_ok=True)
    flags = (f"--port={PORT}", f"--address={address}")
    emulator = Child("ministack", flags, dict(os.environ), LOGS / "ministack.log")
    try:
        await_ready(emulator, endpoint)
        build(ARCHITECTURE, ARTIFACTS)
        fill(endpoint)
        print(f"MiniStack on {address}:{PORT}, {HOST_OF_CONTAINERS}:{PORT} in containers", flush=True)
        if arguments.serve:
            threading.Event().wait()
        answered = [invoke(function, case) for function, case in CASES.items()]
        return 0 if all(answered) else 1
    except (ChildDied, CommandFailed) as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        end([emulator])


def await_ready(emulator: Child, endpoint: str) -> None:
    """Waits for MiniStack. Raises ChildDied."""
    deadline = time.monotonic() + START_SECONDS
    while not ministack.is_ready(endpoint):
        emulator.check()
        if time.monotonic() > deadline:
            raise ChildDied(f"MiniStack was not ready within {START_SECONDS:g} seconds; see {LOGS}")
        time.sleep(0.2)


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
    """Deploys the template, and creates alice and bob, and what events/env.json has other names for."""
    from gateway.store.dynamodb.keys import KeyStore

    deployment = deploy(endpoint, ARTIFACTS)
    os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint})
    create_users(KeyStore(deployment.outputs["KeysTable"]))
    # The names that the stack gives these two are different in every deployment.
    client("s3", endpoint).create_bucket(Bucket=f"{STACK}-uploads")
    key = resource(endpoint, STACK, "CredentialsKey")
    client("kms", endpoint).create_alias(AliasName=f"alias/{STACK}-CredentialsKey", TargetKeyId=key)


def invoke(function: str, case: str) -> bool:
    """Whether `sam local invoke` answers an event correctly; prints the answer."""
    command = [
        *(str(ROOT / ".venv-sam" / "bin" / "sam"), "local", "invoke", function),
        *("--event", f"events/{case}.json", "--env-vars", "events/env.json"),
        *("--parameter-overrides", f"Architecture={ARCHITECTURE}"),
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
