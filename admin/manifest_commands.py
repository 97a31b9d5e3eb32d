"""`validate` and `publish`: the operator's two commands."""

from pathlib import Path
from typing import Annotated

import typer

from admin import local_gateway
from admin.gateway_calls import CallFailed, GatewayCalls
from admin.manifest_file import ManifestFile, Unusable, read_file
from admin.publishing import Publisher, stop_on_signals
from admin.target import DataDir
from admin.terminal import fail

File = Annotated[Path, typer.Argument(help="The manifest, a YAML file.", show_default=False)]


def validate(manifest: File) -> None:
    """Check a manifest without a gateway. Prints every problem with its line; the exit status is 1 if there is one."""
    file = _read(manifest)
    services = file.manifest.services
    models = [model.slug for service in services if service.type == "stt" for model in service.models]
    typer.echo(
        f"{file.name}: valid. Provider '{file.manifest.agent_name}', services: {len(services)}, "
        f"speech-to-text models: {', '.join(dict.fromkeys(models)) or 'none'}"
    )


def publish(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    manifest: File,
    key: Annotated[
        str,
        typer.Option(
            envvar="STT_GATEWAY_KEY",
            help="Your API key. Prefer the environment variable: other users of the machine can see command lines.",
            show_default=False,
        ),
    ],
    gateway: Annotated[
        str | None,
        typer.Option(
            envvar="GATEWAY_URL",
            help="The gateway's URL, with or without /v1. Default: the one that runs on this machine.",
            show_default=False,
        ),
    ] = None,
    heartbeat: Annotated[
        bool, typer.Option("--heartbeat", help="Keep running and keep the provider online.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between heartbeats.")] = 30.0,
    public_url: Annotated[
        str | None,
        typer.Option(help="The URL at which the gateway reaches your services, if not their own URLs."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Register a provider and upload its manifest. With --heartbeat, keep it online until you stop the command."""
    file = _read(manifest)
    try:
        calls = GatewayCalls(gateway or local_gateway.url_of(data_dir), key)
    except ValueError as error:
        fail(str(error))
    if calls.in_clear:
        typer.echo(f"warning: {calls.url} is not https: others can read your key on the way", err=True)
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
