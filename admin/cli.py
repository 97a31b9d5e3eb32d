"""The commands of `gateway-admin`."""

import typer

from admin import (
    backup_commands,
    key_commands,
    manifest_commands,
    provider_commands,
    usage_commands,
    user_commands,
)

# No pretty tracebacks: they print local variables, including keys.
app = typer.Typer(
    name="gateway-admin",
    help="Manage an stt-gateway: manifests for operators, everything else for administrators. "
    "Works on the gateway of this machine (data/ or --data-dir), or with --stack on AWS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(manifest_commands.validate)
app.command()(manifest_commands.publish)
app.command()(provider_commands.unpublish)
app.command()(backup_commands.backup)
app.command()(backup_commands.restore)
for group in (key_commands, user_commands, provider_commands, usage_commands):
    app.add_typer(group.app)


def main() -> None:
    """Entry point of `gateway-admin` and `python -m admin`."""
    app(prog_name="gateway-admin")
