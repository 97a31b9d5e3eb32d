"""moto as a server, for tests whose processes or threads share one AWS: `python -m tests.moto_server FD`.

moto loses updates when two requests run at once (3 of 1500 counter increments), so one lock around its WSGI
application lets in one request at a time. It enforces neither IAM nor TTL nor throttling.
"""

import io
import logging
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session

from tests.running import START_SECONDS, environment
from tests.stack import CREDENTIALS, Client, Clients
from tests.template import REGION

HOST = "127.0.0.1"


class OneAtATime:
    """A WSGI application that serves one request at a time."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH", "")
        if length.isdecimal():
            # Read before taking the lock: a slow sender must not delay the others.
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._lock:
            return list(self._application(environ, start_response))


@contextmanager
def start_moto() -> Iterator[str]:
    """An empty AWS in a process of its own, by its address: moto keeps one world a process, and tests that hold AWS
    in theirs begin by emptying it."""
    with socket.create_server((HOST, 0)) as listener:
        endpoint = f"http://{HOST}:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.moto_server", str(listener.fileno())],
            env=environment(),
            pass_fds=(listener.fileno(),),
        )
    try:
        _wait_for(f"{endpoint}/moto-api/", process)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=START_SECONDS):
                return
        except OSError:
            assert process.poll() is None, "moto's server ended"
            assert time.monotonic() < deadline, "moto's server was not ready in time"
            time.sleep(0.05)


def client_of(endpoint: str) -> Clients:
    """Makes AWS clients for the AWS at an address."""
    session = botocore.session.get_session()

    def client(service: str) -> Client:
        return session.create_client(
            service,
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    return client


def main() -> None:
    """Serves on the listening socket whose descriptor is the argument, until terminated."""
    # Imported here: they take more than a second, and those who call this AWS do not need them.
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listener = socket.socket(fileno=int(sys.argv[1]))
    host, port = listener.getsockname()
    make_server(
        host,
        port,
        OneAtATime(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=MotoRequestHandler,
        fd=listener.detach(),
    ).serve_forever()


if __name__ == "__main__":
    main()
