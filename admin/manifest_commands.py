"""`validate` and `publish`: the operator's two commands."""

from pathlib import Path
from typing import Annotated

import typer

from admin.gateway_calls import CallFailed, GatewayCalls
from admin.manifest_file import ManifestFile, Unusable, read_file
from admin.publishing import Publisher, stop_on_signals
from admin.terminal import fail

File = Annotated[Path, typer.Argument(help="The manifest, in YAML.", show_default=False)]


def validate(manifest: File) -> None:
    """Check a manifest without a gateway. Every problem is told, with its line; exit status 1 if there is any."""
    file = _read(manifest)
    services = file.manifest.services
    models = [model.slug for service in services if service.type == "stt" for model in service.models]
    typer.echo(
        f"{file.name}: valid. Provider '{file.manifest.agent_name}', services: {len(services)}, "
        f"speech-to-text models: {', '.join(dict.fromkeys(models)) or 'none'}"
    )


def publish(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    manifest: File,
    gateway: Annotated[str, typer.Option(help="The gateway's URL, with or without /v1.", show_default=False)],
    key: Annotated[
        str,
        typer.Option(
            envvar="STT_GATEWAY_KEY",
            help="Your API key. Better given in the environment: other users of a machine see command lines.",
            show_default=False,
        ),
    ],
    heartbeat: Annotated[
        bool, typer.Option("--heartbeat", help="Stay, and keep the provider online.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between heartbeats.")] = 30.0,
    public_url: Annotated[
        str | None, typer.Option(help="Where the gateway reaches your services, if not at their own URLs.")
    ] = None,
) -> None:
    """Register a provider and upload its manifest; with --heartbeat, keep it online until stopped."""
    file = _read(manifest)
    try:
        calls = GatewayCalls(gateway, key)
    except ValueError as error:
        fail(str(error))
    if calls.in_clear:
        typer.echo(f"warning: {calls.url} is not https, your key travels readable", err=True)
    publisher = Publisher(file, calls, typer.echo, public_url=public_url)
    try:
        if heartbeat:
            _keep_online(publisher, every)
        else:
            publisher.publish()
    except CallFailed as failure:
        fail(*file.locate(failure.problems), str(failure))


def _keep_online(publisher: Publisher, every: float) -> None:
    stop_on_signals()
    try:
        publisher.keep_online(every)
    except KeyboardInterrupt:
        typer.echo("stopped")


def _read(path: Path) -> ManifestFile:
    try:
        return read_file(path)
    except Unusable as unusable:
        fail(*unusable.lines)
