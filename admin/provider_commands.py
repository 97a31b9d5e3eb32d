"""`providers`: what operators have published, and whether it can be routed to."""

import time
from typing import Annotated, Any

import typer

from admin.key_commands import user_id_of
from admin.stack import AsJson, Stack, provider_store, refusals_in_words, settings_of
from admin.terminal import show_json, show_table
from gateway.providers.operators import Operator
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.credentials import CredentialStore
from gateway.store.dynamodb.providers import ProviderStore

app = typer.Typer(name="providers", help="Operators' providers.", no_args_is_help=True, rich_markup_mode=None)

# Keep `list` a subcommand: typer collapses a group of one command into that command.
app.callback()(lambda: None)


@app.command("list")
def list_providers(
    owner: Annotated[
        str | None,
        typer.Option(
            help="Only this user's providers.", parser=user_id_of, metavar="USER", show_default=False
        ),
    ] = None,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """List providers as their owners see them. Without --owner this reads the whole table: minutes for thousands."""
    with refusals_in_words():
        store, settings = provider_store(stack), settings_of(stack)
        owners = [owner] if owner else _owners(store)
        found = [provider for each in owners for provider in _of(store, settings, each)]
    if as_json:
        show_json(found)
        return
    columns = ("owner", "name", "online", "last_seen_at", "services", "routed", "models", "problems")
    show_table(columns, [_row(provider) for provider in found], nothing="there are no providers")


def _owners(store: ProviderStore) -> list[str]:
    """Everyone who has a provider. Scans the table: no request needs this, so there is no index for it."""
    pages = (
        aws.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=store.table,
            FilterExpression="begins_with(sk, :head)",
            ExpressionAttributeValues={":head": {"S": "head#"}},
            ProjectionExpression="pk",
        )
    )
    return sorted({item["pk"]["S"].removeprefix("owner#") for page in pages for item in page["Items"]})


def _of(store: ProviderStore, settings: CatalogSettings, owner: str) -> list[dict[str, Any]]:
    """The contract's provider objects, as `GET /v1/providers` returns them to their owner."""
    # A listing accepts no credential: there is none to encrypt or to compare with our keys.
    operator = Operator(owner, store, CredentialStore(""), settings, time.time(), is_own_key=lambda _: False)
    listed: list[dict[str, Any]] = operator.list_providers()["data"]
    return listed


def _row(provider: dict[str, Any]) -> dict[str, Any]:
    services = provider["services"]
    reasons = {service["reason"] for service in services if service["type"] == "stt" and service["reason"]}
    return {
        "owner": provider["owner"],
        "name": provider["name"],
        "online": provider["online"],
        "last_seen_at": provider["last_seen_at"],
        "services": len(services),
        "routed": sum(service["routed"] for service in services),
        "models": sorted({model for service in services if service["routed"] for model in service["models"]}),
        "problems": [*provider["manifest"]["errors"], *sorted(reasons)],
    }
