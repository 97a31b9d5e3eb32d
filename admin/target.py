"""Decide which gateway a command works on: the one of a data directory on this machine, or a stack on AWS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import click
import typer
from click.core import ParameterSource

from admin import local_gateway
from admin.terminal import fail

if TYPE_CHECKING:
    from gateway.settings import CatalogSettings
    from gateway.store.ports import CredentialStore, KeyStore, ProviderStore, TotalsStore

Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar="STT_GATEWAY_STACK",
        help="Work on this CloudFormation stack, on AWS.",
        show_default=False,
        show_envvar=True,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="DATA_DIR",
        help="Work on the gateway of this directory (default: data/ in this checkout).",
        show_default=False,
        show_envvar=True,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Target(Protocol):
    """A gateway, as far as its administrator needs it. Commands do not know where it runs."""

    @property
    def revocation(self) -> str:
        """When a key that was just revoked stops working, as the end of a sentence."""
        ...

    def keys(self) -> "KeyStore": ...

    def providers(self) -> "ProviderStore": ...

    def credentials(self) -> "CredentialStore": ...

    def totals(self) -> "TotalsStore": ...

    def users(self) -> list[str]:
        """The ids of all users that have a key or settings, sorted."""
        ...

    def settings(self) -> "CatalogSettings":
        """When its providers count as online and may be dialled."""
        ...


@contextmanager
def opened(stack: str | None, data_dir: Path | None) -> Iterator[Target]:
    """The gateway that the options and the environment name. Ends the command with one line when it cannot be used."""
    if stack := _stack(stack):
        # Only here: loading AWS's client takes a third of a second.
        from admin.stack import opened_stack

        with opened_stack(stack) as on_aws:
            yield on_aws
    else:
        with local_gateway.opened_directory(data_dir) as here:
            yield here


def only_on_aws(stack: str | None, what: str) -> str:
    """The stack. Ends the command when the options name no stack: `what` needs one."""
    return _stack(stack) or fail(f"{what} exists only on AWS: give --stack NAME")


def _stack(stack: str | None) -> str | None:
    """The stack to use, or None for the data directory. What was typed counts more than a variable."""
    if not _is_typed("data_dir"):
        return stack
    if _is_typed("stack"):
        fail("--stack and --data-dir name two gateways: give one of them")
    return None


def _is_typed(parameter: str) -> bool:
    context = click.get_current_context()
    return context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
