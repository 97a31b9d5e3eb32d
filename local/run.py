"""`make run`: the gateway, a recogniser and two users on this machine, until Ctrl-C."""

import argparse
import json
import os
import secrets
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.agent import MODEL, PROVIDER
from local.children import Child, ChildDied, end
from local.progress import Progress
from local.users import USERS, create_users
from server import lock
from server.listener import ENDING, HOST, PortInUse, bind
from server.origins import Origins
from server.settings import ServerSettings
from server.sqlite.failure import StoreError
from server.sqlite.stores import open_stores

SAMPLE = Path(__file__).parent / "samples" / "speech.wav"
START_SECONDS = 60.0
# The recogniser's address is private. Its requests in flight are short.
DEFAULTS = {
    "ALLOW_PRIVATE_PROVIDERS": "true",
    "PROVIDER_ONLINE_SECONDS": "120",
    "DRAIN_SECONDS": "10",
}
HELP = """\
Settings, from the environment:

  PORT       port of the gateway on 127.0.0.1 (3000)
  DATA_DIR   where keys, providers, usage and uploads are kept (data)
  RUN_DIR    where logs are written (.run)

and those that `python -m server --help` lists, except BIND: the keys of this run are published, so it serves only this
machine. `make serve` serves others.
"""


class LocalRun:
    """Every part of the local run, in order of dependency."""

    def __init__(self, settings: ServerSettings, directory: Path) -> None:
        self._children: list[Child] = []
        self._is_stopped = False  # not an Event: setting one in a signal handler can wait for ever
        self._progress = Progress()
        self._data_dir = settings.data_dir
        self._directory = directory
        self._ready_file = directory / "ready"
        self._gateway = bind(settings.port)
        self._recogniser = bind(0)
        self.url = _url(self._gateway)
        self.recogniser_url = f"{_url(self._recogniser)}/v1"
        self.environment = _environment(self.url)

    def stop(self) -> None:
        """Makes `run` end; safe in a signal handler."""
        self._is_stopped = True

    def run(self) -> None:
        """Starts everything, prints the addresses, and waits. Raises ChildDied, StoreError, OSError."""
        try:
            self._start()
            while not self._is_stopped:
                self._check()
                time.sleep(0.2)
        finally:
            # End the gateway first: requests in flight still need the recogniser.
            callers = [child for child in self._children if child.name in ("agent", "server")]
            end(callers)
            end([child for child in self._children if child not in callers])

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        self._progress.say("Starting the recogniser")
        self._launch("recogniser", listener=self._recogniser)
        self._progress.say("Opening the database")
        self._create_users()
        self._progress.say("Starting the gateway")
        self._launch("server", f"--ready-file={self._ready_file}", listener=self._gateway, module="server")
        self._wait_for(f"{self.url}/openapi.json", lambda _: True)
        self._wait_for(f"{self.recogniser_url.removesuffix('/v1')}/healthz", lambda _: True)
        self._progress.say("Publishing the recogniser")
        self._launch(
            "agent",
            f"--gateway={self.url}",
            f"--recogniser={self.recogniser_url}",
            f"--manifest={self._directory / 'manifest.yaml'}",
            variables={"STT_GATEWAY_KEY": USERS["alice"]},
        )
        self._wait_for(f"{self.url}/v1/providers", self._is_published)
        self._ready_file.touch()
        self._wait_for(f"{self.url}/healthz", lambda _: True)
        self._progress.end()
        if not self._is_stopped:
            print(self._announcement(), flush=True)

    def _create_users(self) -> None:
        stores = open_stores(self._data_dir)
        try:
            create_users(stores.keys())
        finally:
            stores.close()

    def _is_published(self, listing: bytes) -> bool:
        """Whether the provider is online at this start's address. The last start's may still count as online."""
        providers: list[dict[str, Any]] = json.loads(listing)["data"]
        urls = [
            service["url"]
            for provider in providers
            if provider["name"] == PROVIDER and provider["online"]
            for service in provider["services"]
        ]
        return self.recogniser_url in urls

    def _launch(
        self,
        name: str,
        *arguments: str,
        listener: socket.socket | None = None,
        variables: Mapping[str, str] | None = None,
        module: str | None = None,
    ) -> None:
        log = self._directory / f"{name}.log"
        environment = {**self.environment, **(variables or {})}
        self._children.append(Child(name, arguments, environment, log, listener, module))

    def _wait_for(self, url: str, is_ready: Callable[[bytes], bool]) -> None:
        """Polls an address until it is ready, or Ctrl-C. Raises ChildDied."""
        headers = {"Authorization": f"Bearer {USERS['alice']}"}
        deadline = time.monotonic() + START_SECONDS
        while not self._is_stopped:
            time.sleep(0.03)
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
  data          {self._data_dir}   (kept when this ends)
  logs          {self._directory}/*.log

Transcribe the sample:

  curl {self.url}/v1/audio/transcriptions -H "Authorization: Bearer {USERS["alice"]}" \
-F model={MODEL} -F file=@{sample}

For other machines, with keys of their own:

  BIND=0.0.0.0 PUBLIC_URL=http://this-machine:3000 make serve
  PUBLIC_URL=https://stt.example.com make serve   # and, for TLS: caddy reverse-proxy --from stt.example.com --to :3000

Ctrl-C stops everything."""


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _environment(url: str) -> dict[str, str]:
    """The shell's variables, without a proxy for our own addresses."""
    return {
        **DEFAULTS,
        **os.environ,
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or url,
        # New at each start: a call that returns here through another gateway carries it and is refused.
        "GATEWAY_ID": secrets.token_hex(16),
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
        "PYTHONUNBUFFERED": "1",
    }


def main() -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 if a part could not start or ended."""
    argparse.ArgumentParser(
        prog="make run",
        description=__doc__,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        return _run()
    except PortInUse as error:
        return _cannot_start(f"{error} Set PORT to another one.")
    except (ValueError, lock.InUse, StoreError) as error:
        return _cannot_start(str(error))
    except OSError as error:
        return _cannot_start(f"{error.filename}: {error.strerror}.")


def _run() -> int:
    if os.environ.get("BIND", HOST) != HOST:
        raise ValueError(
            "BIND cannot be set here, because the keys of this run are published. Use `make serve`."
        )
    settings = ServerSettings.read()
    Origins.read(os.environ)
    os.close(lock.take(settings.data_dir))  # the server takes it again; this says early that another has it
    local_run = LocalRun(settings, Path(os.environ.get("RUN_DIR", ".run")))
    for number in ENDING:
        signal.signal(number, lambda *_: local_run.stop())
    try:
        local_run.run()
    except ChildDied as death:
        print(death, file=sys.stderr)
        return 1
    return 0


def _cannot_start(reason: str) -> int:
    print(f"Cannot start: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
