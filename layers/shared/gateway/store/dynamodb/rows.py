"""Deployments as rows of the providers table, and back.

What others read past is small or bounded by provider: a listing's partition holds one row of under a KB for each
provider, and what it lists is one item beside; of a model's rows the first of every provider come first.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.providers.deployments import EVERYONE, DeployedModel, Deployment, audiences
from gateway.slugs import slug_of

Row = dict[str, Any]

# In listings a longer name is cut; it is decoration.
MAX_DISPLAY_NAME = 128


def rows_of(deployments: Sequence[Deployment]) -> Iterator[Row]:
    """The rows that a provider's deployments stand in: by model, and the provider by audience for listings."""
    seen: dict[str, int] = {}
    for deployment in deployments:
        for name in _names(deployment):
            # How many the provider has before it under this name. It leads the sort key, so that a reader who
            # stops early has read a row of each provider, and of none five hundred.
            rank = seen.get(name, 0)
            seen[name] = rank + 1
            yield _model_row(deployment, name, rank)
    if deployments:
        yield from _audience_rows(deployments)


def listing_of(deployments: Sequence[Deployment]) -> Row | None:
    """The one item that says what the provider lists, for all audiences; None when it lists nothing."""
    if not deployments:
        return None
    first = deployments[0]
    return {
        "pk": f"listing#{first.owner}",
        "sk": f"{first.provider}#{first.version}",
        "published_at": first.published_at,
        # A public URL is that of all services, and once it may take 4 KB.
        "base_url": first.base_url,
        # One JSON text: it is read faster than typed attributes, and takes fewer bytes.
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
        # User ids hold no space.
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
                # The owner's own listing is read without everyone's, in which there may not be room for all.
                service.owner,
            )
        ):
            seen_by.setdefault(audience, []).append(str(number))
    listing = listing_of(deployments) or {}
    for audience, numbers in seen_by.items():
        yield {
            "pk": f"audience#{audience}",
            # Names hold no #. They stand here alone: each attribute more is 10 us for each provider that is read.
            "sk": f"{first.owner}#{first.provider}#{first.version}",
            # Which services of the provider's listing this audience sees, and how many bytes it has to read for it.
            "services": " ".join(numbers),
            "bytes": len(listing["base_url"].encode()) + len(listing["services"].encode()),
        }


def _by_service(deployments: Sequence[Deployment]) -> list[list[Deployment]]:
    services: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        services.setdefault(deployment.service, []).append(deployment)
    return list(services.values())


def _listed_service(members: list[Deployment], base_url: str) -> Row:
    """A service in a listing: what all its models can stands once, and with a model what only it can."""
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


def _optional(model: DeployedModel) -> Row:
    name = model.display_name[:MAX_DISPLAY_NAME] if model.display_name else None
    optional = {"context_length": model.context_length, "display_name": name}
    return {key: value for key, value in optional.items() if value is not None}


def _names(deployment: Deployment) -> tuple[str, ...]:
    return tuple(dict.fromkeys((deployment.model.slug, slug_of(deployment.model.served_id))))


def deployment_of(row: Row) -> Iterator[Deployment]:
    """The deployment that a row of a model's partition holds."""
    users = row["allowed_users"]
    yield Deployment(
        owner=row["owner"],
        provider=row["provider"],
        version=row["version"],
        service=row["service"],
        base_url=row["base_url"],
        model=_model(row["model"], ()),
        access=row["access"],
        # A list in rows of before listings had an item of their own.
        allowed_users=tuple(users.split() if isinstance(users, str) else users),
        credential=row.get("credential"),
        published_at=row["published_at"],
    )


def names_in(row: Row) -> tuple[str, str, str]:
    """Owner, provider and version of an audience's row."""
    owner, provider, version, *_ = row["sk"].split("#")
    return owner, provider, version


def listed_deployments(row: Row, listing: Row | None, audience: str) -> Iterator[Deployment]:
    """What an audience sees by one of its rows, with the provider's `listing` item."""
    owner, provider, version = names_in(row)
    if "models" in row:
        # Written before listings had an item of their own: a row for each service, whole.
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
                # Whom the row stands for is all that a listing needs to know of the list.
                allowed_users=() if audience in (EVERYONE, owner) else (audience,),
                published_at=item["published_at"],
            )


def _model(row: Row, common: tuple[str, ...]) -> DeployedModel:
    own = row.get("features", ())
    return DeployedModel(
        slug=row["slug"],
        served_id=row.get("served_id") or row["slug"],
        features=(*common, *own) if own else common,
        context_length=row.get("context_length"),
        display_name=row.get("display_name"),
    )


def keys_before_listings(deployments: Sequence[Deployment]) -> Iterator[tuple[str, str]]:
    """The keys that a version stood under which was written before listings had an item of their own."""
    services: dict[str, Deployment] = {}
    for number, deployment in enumerate(deployments):
        services.setdefault(deployment.service, deployment)
        for name in _names(deployment):
            yield f"model#{name}", _old_sort_key(deployment, number)
    for number, first in enumerate(services.values()):
        for audience in audiences(first.owner, first.access, first.allowed_users):
            yield f"audience#{audience}", _old_sort_key(first, number)


def _old_sort_key(deployment: Deployment, number: int) -> str:
    return f"{deployment.owner}#{deployment.provider}#{deployment.version}#{number:04d}"


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
