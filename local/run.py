"""`make run`: the gateway, an embedded AWS, a recogniser and two users, until Ctrl-C."""

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from functions import build_openapi
from local.agent import MODEL
from local.children import Child, ChildDied, end
from local.embedded_aws import CREDENTIALS, client_of, create_resources
from local.users import USERS, create_users
from server.listener import HOST, PortInUse, bind
from server.origins import Origins
from server.template import Template

SAMPLE = Path(__file__).parent / "samples" / "speech.wav"
START_SECONDS = 60.0
# Unlike AWS: no integration timeout, one POST takes 25 MB, the recogniser's address is private.
DEFAULTS = {
    "REQUEST_BUDGET_SECONDS": "600",
    "PROVIDER_ONLINE_SECONDS": "120",
    "SINGLE_REQUEST_BYTES": "26214400",
    "ALLOW_PRIVATE_PROVIDERS": "true",
}


class LocalRun:
    """Every part of the local run, in order of dependency."""

    def __init__(self, port: int, directory: Path) -> None:
        self._children: list[Child] = []
        self._stopped = threading.Event()
        self._directory = directory
        self._ready_file = directory / "ready"
        self._gateway = bind(port)
        self._aws = bind(0)
        self._recogniser = bind(0)
        self.url = _url(self._gateway)
        self.aws_url = _url(self._aws)
        self.recogniser_url = _url(self._recogniser)
        self.environment = _environment(self.aws_url, self.url)

    def stop(self) -> None:
        """Makes `run` end; safe in a signal handler."""
        self._stopped.set()

    def run(self) -> None:
        """Starts everything, prints the addresses, and waits. Raises ChildDied."""
        try:
            self._start()
            while not self._stopped.wait(0.5):
                self._check()
        finally:
            # End the gateway first: requests in flight still need the recogniser and the tables.
            callers = [child for child in self._children if child.name in ("agent", "gateway")]
            end(callers)
            end([child for child in self._children if child not in callers])

    def _start(self) -> None:
        from gateway.store.dynamodb.keys import KeyStore

        self._directory.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        build_openapi.write()
        self._launch("embedded_aws", listener=self._aws)
        self._launch("gateway", f"--ready-file={self._ready_file}", listener=self._gateway)
        self._launch("recogniser", listener=self._recogniser)
        # This process's store, like the functions', finds its AWS in the environment.
        os.environ.clear()
        os.environ.update(self.environment)
        self._wait_for(f"{self.aws_url}/moto-api/", lambda _: True)
        template = Template(endpoint=self.aws_url)
        create_resources(template, client_of(self.aws_url))
        create_users(KeyStore(template.physical_name("KeysTable")))
        self._wait_for(f"{self.recogniser_url}/healthz", lambda _: True)
        self._launch(
            "agent",
            f"--gateway={self.url}",
            f"--recogniser={self.recogniser_url}/v1",
            f"--manifest={self._directory / 'manifest.yaml'}",
            variables={"STT_GATEWAY_KEY": USERS["alice"]},
        )
        self._wait_for(f"{self.url}/v1/models", lambda body: bool(json.loads(body)["data"]))
        self._ready_file.touch()
        self._wait_for(f"{self.url}/healthz", lambda _: True)
        if not self._stopped.is_set():
            print(self._announcement(), flush=True)

    def _launch(
        self,
        name: str,
        *arguments: str,
        listener: socket.socket | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        log = self._directory / f"{name}.log"
        environment = {**self.environment, **(variables or {})}
        self._children.append(Child(name, arguments, environment, log, listener))

    def _wait_for(self, url: str, is_ready: Callable[[bytes], bool]) -> None:
        """Polls an address until it is ready, or Ctrl-C. Raises ChildDied."""
        headers = {"Authorization": f"Bearer {USERS['alice']}"}
        deadline = time.monotonic() + START_SECONDS
        while not self._stopped.wait(0.05):
            self._check()
            if time.monotonic() > deadline:
                raise ChildDied(
                    f"{url} was not ready within {START_SECONDS:g} seconds; see {self._directory}"
                )
            try:
                request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own address
                with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                    if is_ready(answer.read()):
                        return
            except (OSError, ValueError):
                continue

    def _check(self) -> None:
        for child in self._children:
            child.check()

    def _announcement(self) -> str:
        sample = SAMPLE.relative_to(Path.cwd()) if SAMPLE.is_relative_to(Path.cwd()) else SAMPLE
        return f"""\
stt-gateway is ready.

  base URL      {self.url}/v1
  API key       {USERS["alice"]}   (alice; bob has {USERS["bob"]})
  playground    {self.url}/playground
  embedded AWS  {self.aws_url}
  logs          {self._directory}/*.log

Transcribe the sample:

  curl {self.url}/v1/audio/transcriptions -H "Authorization: Bearer {USERS["alice"]}" \
-F model={MODEL} -F file=@{sample}

Ctrl-C stops everything."""


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _environment(aws_url: str, url: str) -> dict[str, str]:
    """The shell's variables, without any that could lead to a real AWS account or a proxy."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **DEFAULTS,
        **inherited,
        "PUBLIC_URL": inherited.get("PUBLIC_URL") or url,
        **CREDENTIALS,
        # New at each start: a call that returns here through another gateway carries it and is refused.
        "GATEWAY_ID": secrets.token_hex(16),
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
        "PYTHONUNBUFFERED": "1",
    }


def main() -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 if a part could not start or ended."""
    port = os.environ.get("PORT", "3000")
    try:
        if not port.isdecimal() or int(port) > 65535:
            raise PortInUse(f"'{port}' is not a port.")
        Origins.read(os.environ)
        local_run = LocalRun(int(port), Path(os.environ.get("RUN_DIR", ".run")))
    except PortInUse as error:
        print(f"Cannot start: {error} Set PORT to another one.", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"Cannot start: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: local_run.stop())
    try:
        local_run.run()
    except ChildDied as death:
        print(death, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
