"""Convert deployments to rows of the providers table, and back.

Other owners' rows cost a reader little. A listing's partition has one row of under 1 KB per provider; the listed
content is a separate item. In a model's partition, every provider's first row sorts before any second.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.models import Model
from gateway.providers.deployments import EVERYONE, Deployment, audiences
from gateway.providers.model_list import MAX_DISPLAY_NAME

Row = dict[str, Any]


def rows_of(deployments: Sequence[Deployment]) -> Iterator[Row]:
    """Build the rows of a provider's deployments: one per model name, and one per audience for listings."""
    seen: dict[str, int] = {}
    for deployment in deployments:
        for name in deployment.names:
            # The number of the provider's earlier rows under this name. It leads the sort key, so that a reader who
            # stops early has read a row of each provider, not five hundred of one.
            rank = seen.get(name, 0)
            seen[name] = rank + 1
            yield _model_row(deployment, name, rank)
    if deployments:
        yield from _audience_rows(deployments)


def listing_of(deployments: Sequence[Deployment]) -> Row | None:
    """Build the item with everything the provider lists, for all audiences; None when it lists nothing."""
    if not deployments:
        return None
    first = deployments[0]
    return {
        "pk": f"listing#{first.owner}",
        "sk": f"{first.provider}#{first.version}",
        "published_at": first.published_at,
        # A public URL, of up to 4 KB, applies to all services, so it is stored once.
        "base_url": first.base_url,
        # One JSON text is faster to read than typed attributes, and smaller.
        "services": _as_json(
            [_listed_service(members, first.base_url) for members in _by_service(deployments)]
        ),
    }


def _model_row(deployment: Deployment, name: str, rank: int) -> Row:
    model = deployment.model
    return {
        "pk": f"model#{name}",
        "sk": f"{rank:04d}#{deployment.owner}#{deployment.provider}#{deployment.version}",
        "owner": deployment.owner,
        "provider": deployment.provider,
        "version": deployment.version,
        "service": deployment.service,
        "base_url": deployment.base_url,
        "access": deployment.access,
        # User ids contain no space.
        "allowed_users": " ".join(deployment.allowed_users),
        "published_at": deployment.published_at,
        "model": {
            "slug": model.slug,
            "served_id": model.served_id,
            "features": model.features,
            **_optional(model),
        },
        "credential": deployment.credential,
    }


def _audience_rows(deployments: Sequence[Deployment]) -> Iterator[Row]:
    first = deployments[0]
    seen_by: dict[str, list[str]] = {}
    for number, members in enumerate(_by_service(deployments)):
        service = members[0]
        for audience in dict.fromkeys(
            (
                *audiences(service.owner, service.access, service.allowed_users),
                # Everyone's listing may be cut, so the owner's own listing includes these too.
                service.owner,
            )
        ):
            seen_by.setdefault(audience, []).append(str(number))
    listing = listing_of(deployments) or {}
    for audience, numbers in seen_by.items():
        yield {
            "pk": f"audience#{audience}",
            # Names contain no #. They are not attributes too, because each attribute costs 10 us per provider read.
            "sk": f"{first.owner}#{first.provider}#{first.version}",
            # The services of the provider's listing that this audience sees, and the listing's size in bytes.
            "services": " ".join(numbers),
            "bytes": len(listing["base_url"].encode()) + len(listing["services"].encode()),
        }


def _by_service(deployments: Sequence[Deployment]) -> list[list[Deployment]]:
    services: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        services.setdefault(deployment.service, []).append(deployment)
    return list(services.values())


def _listed_service(members: list[Deployment], base_url: str) -> Row:
    """A service in a listing. Features of all its models are stored once, the others with each model."""
    first = members[0]
    common = [
        feature for feature in first.model.features if all(feature in each.model.features for each in members)
    ]
    models = []
    for member in members:
        model = member.model
        listed: Row = {"slug": model.slug, **_optional(model)}
        if model.served_id != model.slug:
            listed["served_id"] = model.served_id
        if own := [feature for feature in model.features if feature not in common]:
            listed["features"] = own
        models.append(listed)
    service: Row = {"name": first.service, "access": first.access, "features": common, "models": models}
    return service if first.base_url == base_url else service | {"base_url": first.base_url}


def _optional(model: Model) -> Row:
    name = model.display_name[:MAX_DISPLAY_NAME] if model.display_name else None
    optional = {"context_length": model.context_length, "display_name": name}
    return {key: value for key, value in optional.items() if value is not None}


def deployment_of(row: Row) -> Iterator[Deployment]:
    """Read the deployment in a row of a model's partition."""
    users = row["allowed_users"]
    yield Deployment(
        owner=row["owner"],
        provider=row["provider"],
        version=row["version"],
        service=row["service"],
        base_url=row["base_url"],
        model=_model(row["model"], ()),
        access=row["access"],
        # Rows written before listings had their own item hold a list.
        allowed_users=tuple(users.split() if isinstance(users, str) else users),
        credential=row.get("credential"),
        published_at=row["published_at"],
    )


def names_in(row: Row) -> tuple[str, str, str]:
    """Owner, provider and version of an audience's row."""
    owner, provider, version, *_ = row["sk"].split("#")
    return owner, provider, version


def listed_deployments(row: Row, listing: Row | None, audience: str) -> Iterator[Deployment]:
    """Read the deployments that an audience sees from its row and the provider's `listing` item."""
    owner, provider, version = names_in(row)
    if "models" in row:
        # Written before listings had their own item: one complete row per service.
        services, item = [row], row
    elif listing is None:
        return
    else:
        item = listing
        every = json.loads(listing["services"])
        services = [every[int(number)] for number in row["services"].split()]
    for service in services:
        common = tuple(service.get("features", ()))
        for model in service["models"]:
            yield Deployment(
                owner=owner,
                provider=provider,
                version=version,
                service=service.get("name") or service["service"],
                base_url=service.get("base_url") or item["base_url"],
                model=_model(model, common),
                access=service["access"],
                # A listing needs only this audience of the allowed users.
                allowed_users=() if audience in (EVERYONE, owner) else (audience,),
                published_at=item["published_at"],
            )


def _model(row: Row, common: tuple[str, ...]) -> Model:
    own = row.get("features", ())
    return Model(
        slug=row["slug"],
        served_id=row.get("served_id") or row["slug"],
        features=(*common, *own) if own else common,
        context_length=row.get("context_length"),
        display_name=row.get("display_name"),
    )


def keys_before_listings(deployments: Sequence[Deployment]) -> Iterator[tuple[str, str]]:
    """The keys of a version that was written before listings had their own item."""
    services: dict[str, Deployment] = {}
    for number, deployment in enumerate(deployments):
        services.setdefault(deployment.service, deployment)
        for name in deployment.names:
            yield f"model#{name}", _old_sort_key(deployment, number)
    for number, first in enumerate(services.values()):
        for audience in audiences(first.owner, first.access, first.allowed_users):
            yield f"audience#{audience}", _old_sort_key(first, number)


def _old_sort_key(deployment: Deployment, number: int) -> str:
    return f"{deployment.owner}#{deployment.provider}#{deployment.version}#{number:04d}"


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
