"""Prints what commands return: tables or JSON on stdout, error messages on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_IN_PIPES = 2000


def fail(*lines: str) -> NoReturn:
    """Prints the error and ends with exit status 1."""
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(1)


def show_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, nothing: str) -> None:
    """Prints rows by column name, or the sentence `nothing`. Values are text, not markup: strangers write them."""
    if not rows:
        typer.echo(nothing)
        return
    # A pipe has no width limit, and a wrapped cell would be two lines.
    console = Console(width=None if sys.stdout.isatty() else WIDTH_IN_PIPES)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        # Never wrap the first column: it names the row, and people copy it.
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    console.print(table)


def time_of(epoch_seconds: float | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    if not epoch_seconds:
        return None
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)
