"""Decide which gateway a command works on: the one of a data directory on this machine, or a stack on AWS."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from admin import local_gateway
from admin.terminal import fail

if TYPE_CHECKING:
    from gateway.settings import CatalogSettings
    from gateway.store.ports import CredentialStore, KeyStore, ProviderStore, TotalsStore

Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="Work on this CloudFormation stack, on AWS. Or set STT_GATEWAY_STACK.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Work on the gateway of this directory. Default: DATA_DIR, else data/ in this checkout.",
        show_default=False,
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

    def settings(self) -> "CatalogSettings":
        """When its providers count as online and may be dialled."""
        ...


@contextmanager
def opened(stack: str | None, data_dir: Path | None) -> Iterator[Target]:
    """The gateway that the options and the environment name. Ends the command with one line when it cannot be used."""
    if chosen := stack_of(stack, data_dir):
        # Only here: loading AWS's client takes a third of a second.
        from admin.stack import opened_stack

        with opened_stack(chosen) as on_aws:
            yield on_aws
    else:
        with local_gateway.opened_directory(data_dir) as here:
            yield here


def stack_of(stack: str | None, data_dir: Path | None = None) -> str | None:
    """The stack to work on; None for the gateway of a directory. An option counts more than a variable."""
    if stack and data_dir:
        fail("--stack and --data-dir name two gateways: give one of them")
    return stack or (None if data_dir else os.environ.get("STT_GATEWAY_STACK"))
