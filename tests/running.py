"""Starts the project's own processes for tests, and ends them by their process ids."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from local.users import USERS
from server.listener import bind
from server.sqlite.stores import open_stores

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "local" / "samples" / "speech.wav"
SENTENCE = "we will meet at the station tomorrow morning"
START_SECONDS = 120.0


def environment(**variables: str) -> dict[str, str]:
    """The shell's variables without any AWS account, with the project on the path."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "shared")])
    return {**inherited, "PYTHONPATH": path, **variables}


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    chunked: bool = False,
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, fields, answer.read())
    finally:
        connection.close()


def error_type(body: bytes) -> str:
    """The type of an error in the contract's envelope."""
    error: dict[str, str] = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["type"]


@dataclass
class Server:
    """A server process that listens on a port of this machine."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """One request on a connection of its own."""
        return call(self.port, method, path, body, headers, chunked=chunked)

    def wait_until_ready(self) -> None:
        """Waits for /healthz."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.call("GET", "/healthz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready in time:\n{self.log.read_text()}")

    def end(self) -> int:
        """Stops the process as an operator would; its exit code."""
        self.process.terminate()
        return self.process.wait(60)


def start(module: str, arguments: Sequence[str], log: Path, **variables: str) -> Server:
    """Starts `python -m module` on a free port and waits for it."""
    listener = bind(0)
    port = listener.getsockname()[1]
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, f"--fd={listener.fileno()}", *arguments],
            cwd=ROOT,
            env=environment(**variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(listener.fileno(),),
            text=True,
        )
    listener.close()
    server = Server(process, port, log)
    server.wait_until_ready()
    return server


def start_server(directory: Path, **variables: str) -> Server:
    """Starts the server, with its data and its log in `directory`."""
    return start("server", [], directory / "server.log", **{"DATA_DIR": str(directory / "data"), **variables})


def create_key(directory: Path, user_id: str, key: str) -> None:
    """Gives a user of the server with this directory a key."""
    stores = open_stores(directory / "data")
    try:
        stores.keys().create(user_id, key=key)
    finally:
        stores.close()


def usage_records(data_dir: Path) -> list[tuple[str, str, int]]:
    """User, request id and HTTP status of each usage record, in the database itself, by time."""
    with closing(apsw.Connection(str(data_dir / "gateway.db"))) as database:
        found = database.execute("SELECT user_id, request_id, http_status FROM usage ORDER BY time")
        return [(str(user), str(request), int(str(status))) for user, request, status in found]


def recorded_requests(data_dir: Path) -> "Counter[str]":
    """How many usage records each request has."""
    return Counter(request for _, request, _ in usage_records(data_dir))


def publish(server: Server, key: str, url: str, model: str, access: str = "authenticated") -> None:
    """Publishes a provider with one service."""
    service = {"name": "asr", "type": "stt", "engine": "other", "url": url, "access": access}
    parsed = {
        "schema_version": 1,
        "agent": {"name": "stub"},
        "hosts": [{"id": "here", "services": [{**service, "models": [{"id": model}]}]}],
    }
    body = json.dumps({"raw_yaml": "", "parsed": parsed})
    answer = server.call("PUT", "/api/inference/agent/manifest/", body, {"Authorization": f"Bearer {key}"})
    assert answer.status == 200, answer.body


@dataclass
class Gateway(Server):
    """The whole local run, as `make run` starts it."""

    directory: Path
    keys: Mapping[str, str] = field(default_factory=lambda: dict(USERS))
    model: str = "pocketsphinx/en-us"

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK is given."""
        return f"{self.url}/v1"

    def authorization(self, user: str = "alice") -> dict[str, str]:
        """The header that a user's requests carry."""
        return {"Authorization": f"Bearer {self.keys[user]}"}


def start_gateway(directory: Path, **variables: str) -> Gateway:
    """Starts the local run on free ports; `directory` receives its logs."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "run.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.run"],
            cwd=ROOT,
            env=environment(
                **{"PORT": "0", "RUN_DIR": str(directory), "DATA_DIR": str(directory / "data"), **variables}
            ),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    said = _announced(process, log)
    gateway = Gateway(process, int(said["base URL"].split(":")[-1].split("/")[0]), log, directory)
    gateway.wait_until_ready()
    return gateway


def _announced(process: "subprocess.Popen[str]", log: Path) -> dict[str, str]:
    """What the local run says when it is ready, by label."""
    deadline = time.monotonic() + START_SECONDS
    while "Ctrl-C stops everything." not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    pairs = (line.strip().split("  ", 1) for line in log.read_text().splitlines() if line.startswith("  "))
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def multipart(
    fields: Sequence[tuple[str, str]], audio: bytes | None, filename: str = "a.wav"
) -> tuple[bytes, dict[str, str]]:
    """A form with its content type header."""
    boundary = "a-boundary-of-the-tests"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    if audio is not None:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        parts += [head.encode(), b"Content-Type: audio/wav\r\n\r\n", audio, b"\r\n"]
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
