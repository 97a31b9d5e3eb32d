"""One function in one execution environment: AWS's own emulator and its Python runtime client, without Docker."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.template import Function

HOST = "127.0.0.1"
# What Lambda carries in a synchronous request.
MAX_EVENT_BYTES = 6_291_456
_INVOCATIONS = "/2015-03-31/functions/function/invocations"
_START_SECONDS = 20.0
_INVOKE_SECONDS = 60.0


class Emulator:
    """A built function under the emulator, with nothing on its path but its folder, the layer and the runtime client.

    The emulator crashes when it is invoked twice at once: use it from one thread.
    """

    def __init__(
        self,
        function: Function,
        *,
        layer: Path | None,
        emulator: Path,
        python: Path,
        runtime_client: Path,
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self._log = log
        self.port, runtime_port = _free_port(), _free_port()
        path = [function.code, *([layer / "python"] if layer else []), runtime_client]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    str(emulator),
                    *("--runtime-api-address", f"{HOST}:{runtime_port}"),
                    *("--runtime-interface-emulator-address", f"{HOST}:{self.port}"),
                    # -S: no site-packages, so that what is missing in the layer is missed here.
                    *(str(python), "-S", "-m", "awslambdaric", function.handler),
                ],
                cwd=function.code,
                env={
                    **environment,
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": ":".join(map(str, path)),
                    # Lambda sets these two, the emulator does not.
                    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
                    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
                    "PYTHONDONTWRITEBYTECODE": "1",  # /var/task and /opt are read-only
                    "LAMBDA_TASK_ROOT": str(function.code),
                    "AWS_LAMBDA_FUNCTION_NAME": function.name,
                    "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(function.timeout_seconds)),
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._await_port()

    def invoke(self, event: Mapping[str, Any] | bytes) -> Any:
        """What the function answered: its value, or Lambda's error object, or the emulator's text."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_INVOKE_SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", _INVOCATIONS, payload)
            answer = connection.getresponse().read().decode()
        try:
            return json.loads(answer)
        except ValueError:
            return answer

    def log(self) -> str:
        """What the function and the emulator have written so far."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End the emulator and the function's process, its only child."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _await_port(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the emulator did not start:\n{self.log()}")
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
