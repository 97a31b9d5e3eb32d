"""`backup` and `restore`: the data directory of a gateway on this machine, in one file."""

from pathlib import Path
from typing import Annotated

import typer

from admin import local_gateway
from admin.target import DataDir
from admin.terminal import fail

_WARNING = (
    "It contains the key that encrypts the operators' credentials. Whoever has this file can read them: "
    "keep it as safe as the data directory itself."
)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, a tar.", show_default=False)],
    data_dir: DataDir = None,
) -> None:
    """Copy everything that the gateway on this machine keeps into one file. The gateway may run meanwhile."""
    from server.sqlite import backup as copies

    directory = local_gateway.existing(data_dir)
    if file.exists():
        fail(f"{file} exists: give another name, so that no older backup is lost")
    if not file.absolute().parent.is_dir():
        fail(f"there is no directory {file.absolute().parent}: create it first")
    with local_gateway.refusals_in_words():
        copies.backup(directory, file)
    typer.echo(f"{file}: a copy of {directory}, {file.stat().st_size / 1e6:.1f} MB")
    typer.echo(f"SECRET: {_WARNING}", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.", show_default=False)],
    data_dir: DataDir = None,
) -> None:
    """Put a backup in place of the data directory's contents. Stop the gateway first."""
    from server.sqlite import backup as copies

    directory = local_gateway.directory(data_dir)
    if not file.is_file():
        fail(f"there is no file {file}")
    with local_gateway.refusals_in_words():
        before = copies.restore(file, directory)
    typer.echo(f"{directory} is as it was when {file} was made: start the gateway again")
    if before:
        typer.echo(f"what was there before is in {before}: delete it when you no longer need it")
