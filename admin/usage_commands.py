"""`usage`: what users were billed, and recovery of records that AWS could not write in time."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from admin.key_commands import User
from admin.target import AsJson, DataDir, Stack, opened, stack_of
from admin.terminal import fail, show_json, show_table
from gateway.errors import InvalidRequest
from gateway.usage import totals
from gateway.usage.totals import GROUPS, Question

app = typer.Typer(name="usage", help="Metered usage.", no_args_is_help=True, rich_markup_mode=None)

Group = StrEnum("Group", {name: name for name in GROUPS})  # type: ignore[misc]
_BY_DAY = Group("day")


@app.command()
def show(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    user: User,
    start: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="First day (UTC). Default: 30 days.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last day. Default: today.")] = None,
    by: Annotated[Group, typer.Option(help="One row for each of these.")] = _BY_DAY,
    operator: Annotated[
        bool, typer.Option("--operator", help="What the user's providers served, not what the user sent.")
    ] = False,
    stack: Stack = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a user's requests and billed seconds, as GET /v1/usage shows them to the user."""
    given = {"start": start, "end": end, "group_by": by.value, "role": "operator" if operator else None}
    try:
        question = Question.read(
            {name: value for name, value in given.items() if value is not None}, time.time()
        )
    except InvalidRequest as refused:
        fail(refused.message)
    with opened(stack, data_dir) as gateway:
        answer = totals.answer(gateway.totals().read(user, question), question.group_by)
    if as_json:
        show_json(answer)
        return
    name = "date" if by is _BY_DAY else by.value
    rows = [*answer["data"], {name: "total", **answer["total"]}] if answer["data"] else []
    nothing = f"{user} has no usage from {question.start} to {question.end}"
    show_table((name, "requests", "failed", "seconds"), rows, nothing=nothing)


@app.command()
def replay(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Log files, as CloudWatch exports them. Use - for standard input.", allow_dash=True
        ),
    ] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Also write the records in the stack's dead-letter queue.")
    ] = False,
    stack: Stack = None,
) -> None:
    """On AWS: write lost records to the table, from log lines with usage_record_unwritten. Existing records stay."""
    if not logs and not dead_letters:
        fail("nothing to replay: give log files or --dead-letters")
    # Only here: loading AWS's client takes longer than any other command.
    from admin import lost_records
    from admin.stack import opened_stack

    chosen = stack_of(stack) or fail("only a gateway on AWS has records to replay: give --stack NAME")
    with opened_stack(chosen) as gateway:
        store = gateway.usage()
        written = 0
        for path in logs or ():
            for record in lost_records.in_file(path):
                store.write(record)
                written += 1
        if dead_letters:
            for record in lost_records.in_queue(gateway.dead_letters()):
                store.write(record)
                written += 1
    typer.echo(f"{written} record{'' if written == 1 else 's'} written or already present")
