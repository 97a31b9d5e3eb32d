"""Count the table rows of a manifest, which others pay for when they read, and its operator when publishing."""

from collections.abc import Iterable
from typing import Any

from gateway.manifest.problems import Problems
from gateway.manifest.values import Service, ids_of, objects_in
from gateway.models import Model, slug_of

MAX_ROWS = 500


def count_rows(services: Iterable[Service], owner: str = "") -> int:
    """Count the rows of the stt services with their `access` and `allowed_users`: one per name of each model (its slug,
    and its served id if different), and one per audience of the provider (owner, each listed user, everyone)."""
    by_model, everyone = 0, False
    users: set[str] = set()
    for service in services:
        if service.type != "stt" or not service.models:
            continue
        by_model += sum(len({model.slug, slug_of(model.served_id)}) for model in service.models)
        if service.access == "restricted":
            users.update(service.allowed_users)
        everyone = everyone or service.access == "authenticated"
    return by_model + len(users | {owner}) + everyone if by_model else 0


def check_rows(services: Iterable[dict[str, Any]], problems: Problems) -> None:
    """Add a problem when unchecked services take more rows than a manifest may. Ignores their other problems."""
    if (rows := count_rows(map(_countable, services))) > MAX_ROWS:
        problems.add("hosts[].services", too_many_rows(rows))


def _countable(service: dict[str, Any]) -> Service:
    ids = (ids_of(model) for _, model in objects_in(service, "models", ""))
    users = service.get("allowed_users")
    return Service(
        name="",
        type=str(service.get("type")),
        engine="",
        url="",
        access=str(service.get("access")),
        allowed_users=tuple(user for user in users if isinstance(user, str))
        if isinstance(users, list)
        else (),
        models=tuple(Model(slug, served_id) for slug, served_id in ids if served_id),
    )


def too_many_rows(rows: int) -> str:
    """The operator's message for too many rows."""
    return (
        f"may need at most {MAX_ROWS} rows, but need {rows}: one for each id of each stt model, "
        "one for each user who may see one, and one for everyone"
    )
