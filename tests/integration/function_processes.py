"""A program that runs every function of the template in a process with only the variables that it declares.

Writes to the file given as its argument, by logical id, the status that each of the function's events got, and the
names of the variables that were read, by anything and by the gateway's own code.
"""

import importlib
import json
import multiprocessing
import os
import sys
import traceback
from collections import UserDict
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws

from tests.lambda_context import LambdaContext
from tests.stack import CREDENTIALS, create_resources
from tests.template import Function, Template

EVENTS = Path(__file__).resolve().parents[2] / "events"
# The events of transcribe whose name does not begin with the function's.
PREFIXES = {"translate": "transcribe"}
# What Lambda's runtime sets; with it a handler makes its clients and settings while it is imported.
RUNTIME = {
    **CREDENTIALS,
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "POWERTOOLS_METRICS_DISABLED": "true",
}
# Modules through which a variable is read: the frame behind them is who asked.
_PASSED_THROUGH = ("collections", "collections.abc", "_collections_abc", "os")


class Recording(UserDict[str, str]):
    """Variables that record each name that is read, set or not; `own` has those that our own code reads."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.read: set[str] = set()
        self.own: set[str] = set()
        super().__init__(variables)

    def __getitem__(self, name: str) -> str:
        self._note(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._note(str(name))
        return super().__contains__(name)

    def copy(self) -> dict[str, str]:  # type: ignore[override]
        """botocore copies all variables to find its own: copying all does not count as reading each."""
        return dict(self.data)

    def _note(self, name: str) -> None:
        self.read.add(name)
        modules = (frame.f_globals["__name__"] for frame, _ in traceback.walk_stack(sys._getframe(2)))
        asking = next(module for module in modules if module not in _PASSED_THROUGH)
        if asking == "app" or asking.partition(".")[0] == "gateway":
            self.own.add(name)


def function_of(event: str) -> str:
    """The folder in `functions/` whose handler takes an event, by the event's name."""
    folders = sorted((path.parent.name for path in EVENTS.parent.glob("functions/*/app.py")), key=len)
    own = PREFIXES.get(event, event)
    return next(folder for folder in reversed(folders) if own.startswith(folder))


def events_of(function: Function) -> Iterator[dict[str, Any]]:
    for path in sorted(EVENTS.glob("*.json")):
        if path.stem != "env" and function_of(path.stem) == function.code.name:
            yield json.loads(path.read_text())


def exercise(function: Function, connection: Connection) -> None:
    """Initialises the function and passes it each of its events; sends the statuses and the names read."""
    variables = Recording({**function.environment, **RUNTIME})
    with patch.object(os, "environ", variables):
        sys.path.insert(0, str(function.code))
        handler = importlib.import_module("app").handler
        answers = [handler(event, LambdaContext(function.name)) for event in events_of(function)]
    statuses = [each.get("statusCode", 200) for each in answers]
    own = variables.own - RUNTIME.keys()
    connection.send({"statuses": statuses, "read": sorted(variables.read), "own": sorted(own)})


def main() -> None:
    template, seen = Template(), {}
    processes = multiprocessing.get_context("fork")
    os.environ.update(CREDENTIALS)
    with mock_aws():
        client: Any = boto3.client  # its stubs know each service by name, not any text
        create_resources(template, client)
        for name, function in template.functions().items():
            receiver, sender = processes.Pipe(duplex=False)
            process = processes.Process(target=exercise, args=(function, sender))
            process.start()
            sender.close()
            try:
                seen[name] = receiver.recv()
            except EOFError:  # its traceback is on standard error
                seen[name] = {"statuses": [], "read": [], "own": []}
            process.join()
    Path(sys.argv[1]).write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
