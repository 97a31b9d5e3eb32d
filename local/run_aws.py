"""`make run-aws`: template.yaml deployed to MiniStack, with a recogniser and two users, until Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local import ministack
from local.agent import MODEL
from local.children import Child, ChildDied, end
from local.deployment import ARCHITECTURE, ROOT, STACK, CommandFailed, Deployment, build, deploy
from local.ministack import CREDENTIALS, HOST, without_aws
from local.users import USERS, create_users
from server.listener import PortInUse, bind

SAMPLE = Path(__file__).parent / "samples" / "speech.wav"
START_SECONDS = 60.0
ONLINE_SECONDS = "120"  # the template's default


class Stopped(Exception):
    """Ctrl-C came before everything had started."""


class AwsRun:
    """Every part of the run, in order of dependency."""

    def __init__(self, port: int, directory: Path) -> None:
        self._children: list[Child] = []
        self._is_stopped = False  # not an Event: setting one in a signal handler can wait for ever
        self._directory = directory
        # MiniStack binds its port itself. Both tell now, and not after a minute, if a port is not free.
        with bind(port) as free:
            self._port: int = free.getsockname()[1]
        self._recogniser = bind(0)
        self.endpoint = f"http://{HOST}:{self._port}"

    def stop(self) -> None:
        """Makes `run` end; safe in a signal handler."""
        self._is_stopped = True

    def run(self) -> None:
        """Starts everything, prints the addresses, and waits. Raises ChildDied and CommandFailed."""
        try:
            deployment = self._deploy()
            self._serve(deployment)
            print(announcement(deployment, self.endpoint, self._directory), flush=True)
            self._wait_until(lambda: False, "Ctrl-C", seconds=float("inf"))
        except Stopped:
            pass
        finally:
            for child in reversed(self._children):
                end([child])

    def _deploy(self) -> Deployment:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._launch("ministack", f"--port={self._port}", "--auth")
        self._wait_until(lambda: ministack.is_ready(self.endpoint), "MiniStack")
        print("Building the functions (half a minute the first time) ...", flush=True)
        artifacts = self._directory / "built"
        cache = ("--cached", "--cache-dir", str(self._directory / "cache"))
        build(ARCHITECTURE, artifacts, *cache, run=self._sam)
        print("Deploying template.yaml (10 seconds) ...", flush=True)
        return deploy(self.endpoint, artifacts, run=self._sam)

    def _serve(self, deployment: Deployment) -> None:
        from gateway.store.dynamodb.keys import KeyStore

        # This process's store, like the functions', finds its AWS in the environment.
        os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint})
        create_users(KeyStore(deployment.outputs["KeysTable"]))
        recogniser_url = f"http://{HOST}:{self._recogniser.getsockname()[1]}/v1"
        self._launch("recogniser", listener=self._recogniser)
        self._launch(
            "agent",
            f"--gateway={deployment.url}",
            f"--recogniser={recogniser_url}",
            f"--manifest={self._directory / 'manifest.yaml'}",
            variables={"STT_GATEWAY_KEY": USERS["alice"], "PROVIDER_ONLINE_SECONDS": ONLINE_SECONDS},
        )
        self._wait_until(lambda: _lists_models(deployment.url), "The recogniser's model")

    def _launch(
        self,
        name: str,
        *arguments: str,
        listener: socket.socket | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        environment = {**without_aws(os.environ), "PYTHONUNBUFFERED": "1", **(variables or {})}
        log = self._directory / f"{name}.log"
        self._children.append(Child(name, arguments, environment, log, listener))

    def _wait_until(self, is_so: Callable[[], bool], name: str, seconds: float = START_SECONDS) -> None:
        """Raises ChildDied, also if it takes too long, and Stopped."""
        deadline = time.monotonic() + seconds
        while not is_so():
            for child in self._children:
                child.check()
            if time.monotonic() > deadline:
                raise ChildDied(f"{name} was not ready within {seconds:g} seconds; see {self._directory}")
            if self._is_stopped:
                raise Stopped
            time.sleep(0.1)

    def _sam(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Runs a command of SAM; Ctrl-C ends it. Raises CommandFailed and Stopped."""
        log = self._directory / "sam.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - SAM's, with our own arguments
                command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output, process_group=0
            )
        try:
            self._wait_until(lambda: process.poll() is not None, "SAM", seconds=float("inf"))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise CommandFailed(f"{' '.join(command[:2])} failed; {log} has its output:\n{log.read_text()}")


def _lists_models(url: str) -> bool:
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/v1/models", headers={"Authorization": f"Bearer {USERS['alice']}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bool(json.loads(answer.read())["data"])
    except OSError:
        return False


def announcement(deployment: Deployment, endpoint: str, directory: Path) -> str:
    """What is printed when all is ready."""
    sample = SAMPLE.relative_to(Path.cwd()) if SAMPLE.is_relative_to(Path.cwd()) else SAMPLE
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    access = " ".join([*(f"{name}={CREDENTIALS[name]}" for name in names), f"AWS_ENDPOINT_URL={endpoint}"])
    return f"""\
stt-gateway is deployed to MiniStack.

  base URL      {deployment.url}/v1
  API key       {USERS["alice"]}   (alice; bob has {USERS["bob"]})
  playground    {deployment.url}/playground
  AWS           {endpoint}, stack {STACK}
  logs          {directory}/*.log

Transcribe the sample:

  curl {deployment.url}/v1/audio/transcriptions -H "Authorization: Bearer {USERS["alice"]}" \
-F model={MODEL} -F file=@{sample}

Look after the stack:

  {access} ./gateway-admin keys list alice --stack {STACK}

MiniStack does not have all of API Gateway: it refuses unknown keys, requests without a key and unknown routes in
words of its own (401 and 403), and answers CORS preflights without headers. docs/sam-local.md has the list.

Ctrl-C stops everything. Nothing is kept."""


def main() -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 if a part could not start or ended."""
    if reason := ministack.missing_part():
        print(f"Cannot start: {reason}", file=sys.stderr)
        return 1
    port = os.environ.get("PORT", "4566")
    try:
        if not port.isdecimal() or int(port) > 65535:
            raise PortInUse(f"'{port}' is not a port.")
        aws_run = AwsRun(int(port), Path(os.environ.get("RUN_DIR", ".run/aws")).absolute())
    except PortInUse as error:
        print(f"Cannot start: {error} Set PORT to another one.", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: aws_run.stop())
    try:
        aws_run.run()
    except (ChildDied, CommandFailed) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
