"""`providers`: what operators have published, and whether it can be routed to. `unpublish` removes a provider."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from admin.key_commands import user_id_of
from admin.target import AsJson, DataDir, Stack, Target, opened
from admin.terminal import fail, show_json, show_table
from gateway import manifest
from gateway.providers.operators import Operator

app = typer.Typer(name="providers", help="Operators' providers.", no_args_is_help=True, rich_markup_mode=None)


@dataclass(frozen=True)
class ProviderName:
    """A provider as listings and `x-provider` name it: OWNER/NAME."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def provider_of(text: str) -> ProviderName:
    """For typer. Raises BadParameter."""
    owner, _, name = text.partition("/")
    if not (manifest.is_url_safe(owner) and manifest.is_url_safe(name)):
        raise typer.BadParameter("a provider is OWNER/NAME, for example alice/my-box")
    return ProviderName(owner, name)


OneProvider = Annotated[
    ProviderName,
    typer.Argument(
        metavar="OWNER/NAME", help="For example alice/my-box.", parser=provider_of, show_default=False
    ),
]


@app.command("list")
def list_providers(
    user: Annotated[
        str | None,
        typer.Argument(help="Only this user's providers.", parser=user_id_of, show_default=False),
    ] = None,
    stack: Stack = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List providers as their owners see them in GET /v1/providers. On AWS, without USER, this reads all users."""
    with opened(stack, data_dir) as gateway:
        owners = [user] if user else gateway.keys().users()
        found = [provider for owner in owners for provider in _of(gateway, owner)]
    if as_json:
        show_json(found)
        return
    columns = ("provider", "online", "last_seen_at", "services", "routed", "models", "problems")
    show_table(columns, [_row(provider) for provider in found], nothing="there are no providers")


@app.command()
def show(
    provider: OneProvider, stack: Stack = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show one provider: each service, whether it is routed, and why not."""
    with opened(stack, data_dir) as gateway:
        listed = _of(gateway, provider.owner)
    found = next((each for each in listed if each["name"] == provider.name), None)
    if found is None:
        fail(f"there is no provider {provider}: `providers list` shows them")
    if as_json:
        show_json(found)
        return
    about = _row(found) | {"public_url": found["public_url"], "uploaded_at": found["manifest"]["uploaded_at"]}
    show_table(("provider", "online", "last_seen_at", "uploaded_at", "public_url"), [about], nothing="")
    services = [{**service, "problems": _problems([service])} for service in found["services"]]
    columns = ("name", "type", "engine", "routed", "access", "models", "url", "problems")
    typer.echo()
    show_table(columns, services, nothing="it has published no services")
    for error in found["manifest"]["errors"]:
        typer.echo(f"last upload: {error}")


def unpublish(provider: OneProvider, stack: Stack = None, data_dir: DataDir = None) -> None:
    """Remove any user's provider with its deployments and credentials, at once. Needs no key."""
    with opened(stack, data_dir) as gateway:
        was_there = gateway.providers().delete(provider.owner, provider.name)
    if not was_there:
        fail(f"there is no provider {provider}: `providers list` shows them")
    typer.echo(
        f"{provider} is removed. If its agent still runs, it publishes the provider again: "
        f"stop it, or revoke {provider.owner}'s keys"
    )


def _of(gateway: Target, owner: str) -> list[dict[str, Any]]:
    """The contract's provider objects, as `GET /v1/providers` returns them to their owner."""
    operator = Operator(
        owner,
        gateway.providers(),
        gateway.credentials(),
        gateway.settings(),
        time.time(),
        is_own_key=lambda _: False,
    )
    listed: list[dict[str, Any]] = operator.list_providers()["data"]
    return listed


def _row(provider: dict[str, Any]) -> dict[str, Any]:
    services = provider["services"]
    return {
        "provider": f"{provider['owner']}/{provider['name']}",
        "online": provider["online"],
        "last_seen_at": provider["last_seen_at"],
        "services": len(services),
        "routed": sum(service["routed"] for service in services),
        "models": sorted({model for service in services if service["routed"] for model in service["models"]}),
        "problems": [*provider["manifest"]["errors"], *_problems(services)],
    }


def _problems(services: Sequence[dict[str, Any]]) -> list[str]:
    """Why stt services are not routed; others never are."""
    return sorted(
        {service["reason"] for service in services if service["type"] == "stt" and service["reason"]}
    )
