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

from starlette.applications import Starlette
from starlette.routing import Mount

import gateway
from local.event_sources import feed
from local.lifeline import end_with_parent
from server.app import Gateway
from server.environments import Environments
from server.listener import bind, serve
from server.template import TEMPLATE, Template
from server.worker_process import preload

DEFAULT_BUDGET_SECONDS = "600"
_PRELOADED = ["server.environment", "botocore.session", "aws_lambda_powertools.event_handler", "pybase64"]


def new_app(template: Template) -> Starlette:
    """The gateway, listening only once its keyless function and its authorizer answer."""
    functions = template.functions()
    environments = Environments(functions, float(os.environ["REQUEST_BUDGET_SECONDS"]))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        authorizer = template.api().authorizer
        if authorizer is not None:
            await environments.start(authorizer.function)
        feeds = [asyncio.create_task(coroutine) for coroutine in feed(template, environments)]
        yield
        for task in feeds:
            task.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)
        environments.stop()

    return Starlette(routes=[Mount("/", app=Gateway(template, environments))], lifespan=lifespan)


def share_variables(template: Template) -> None:
    """Puts the variables that every function has alike into this process, for what the fork server imports."""
    environments = [function.environment for function in template.functions().values()]
    for name, value in environments[0].items():
        if all(other.get(name) == value for other in environments):
            os.environ.setdefault(name, value)


def main() -> None:
    """Serves on 127.0.0.1 until it is told to stop."""
    parser = argparse.ArgumentParser(prog="local.gateway", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ.setdefault("REQUEST_BUDGET_SECONDS", DEFAULT_BUDGET_SECONDS)
    template = Template(arguments.template, endpoint=os.environ.get("AWS_ENDPOINT_URL"))
    share_variables(template)
    modules = [f"gateway.{module.name}" for module in pkgutil.iter_modules(gateway.__path__)]
    preload([*_PRELOADED, *modules])
    serve(new_app(template), bind(arguments.port))


if __name__ == "__main__":
    main()
