"""`python -m local.gateway --port N`: the handlers of `template.yaml` behind plain HTTP.

A package and not a module, because a fork server imports its parent's main module into every child, unless it
is a package's `__main__`.
"""

import argparse
import asyncio
import logging
import os
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

import gateway
from local.event_sources import feed
from local.lifeline import end_with_parent
from server.app import Gateway, environments_for_providers
from server.environments import Environments
from server.listener import add_arguments, listener_of, serve
from server.origins import Origins, OwnPagesOnly
from server.template import TEMPLATE, Template
from server.worker_process import preload

DEFAULT_BUDGET_SECONDS = "600"
_PRELOADED = ["server.environment", "aws_lambda_powertools.event_handler", "pybase64"]


class Readiness:
    """Passes /healthz to its function once a file shows that all parts of the local run are ready."""

    def __init__(self, app: ASGIApp, ready_file: Path) -> None:
        self._app = app
        self._ready_file: Path | None = ready_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._ready_file is not None and scope["type"] == "http" and scope["path"] == "/healthz":
            if not self._ready_file.exists():
                await JSONResponse({"status": "starting"}, status_code=503)(scope, receive, send)
                return
            self._ready_file = None
        await self._app(scope, receive, send)


def new_app(template: Template, origins: Origins, ready_file: Path | None = None) -> Router:
    """The gateway; it listens after warming its authorizer."""
    functions = template.functions()
    environments = Environments(
        functions, float(os.environ["REQUEST_BUDGET_SECONDS"]), environments_for_providers(template)
    )

    @asynccontextmanager
    async def lifespan(_: Router) -> AsyncIterator[None]:
        authorizer = template.api().authorizer
        if authorizer is not None:
            await environments.start(authorizer.function)
        feeds = [asyncio.create_task(coroutine) for coroutine in feed(template, environments)]
        yield
        for task in feeds:
            task.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)
        environments.stop()

    app: ASGIApp = Gateway(template, environments)
    if ready_file is not None:
        app = Readiness(app, ready_file)
    # Not a Mount: its pattern does not match a path with an encoded line break.
    return Router(default=OwnPagesOnly(app, origins), lifespan=lifespan)


def share_variables(template: Template) -> None:
    """Sets the variables common to all functions in this process, for the fork server's imports."""
    environments = [function.environment for function in template.functions().values()]
    for name, value in environments[0].items():
        if all(other.get(name) == value for other in environments):
            os.environ.setdefault(name, value)


def main() -> None:
    """Serves on 127.0.0.1 until stopped."""
    parser = argparse.ArgumentParser(prog="local.gateway", description=__doc__)
    add_arguments(parser, port=3000)
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    parser.add_argument("--ready-file", type=Path, help="/healthz answers 503 until this file is there")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ.setdefault("REQUEST_BUDGET_SECONDS", DEFAULT_BUDGET_SECONDS)
    template = Template(arguments.template, endpoint=os.environ.get("AWS_ENDPOINT_URL"))
    share_variables(template)
    modules = [module.name for module in pkgutil.walk_packages(gateway.__path__, "gateway.")]
    clients = ["local.gateway.preloaded"] if template.endpoint else []
    preload([*_PRELOADED, *modules, *clients])
    serve(new_app(template, Origins.read(os.environ), arguments.ready_file), listener_of(arguments))


if __name__ == "__main__":
    main()
