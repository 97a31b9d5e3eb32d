"""Deployments as rows of the providers table, and back."""

from collections.abc import Iterator
from typing import Any

from gateway.deployments import EVERYONE, Deployment, Model, audiences, slug_of

Row = dict[str, Any]


def rows_of(deployments: list[Deployment]) -> Iterator[Row]:
    """The rows that deployments stand in: by model, and by service for listings."""
    services: dict[str, list[Deployment]] = {}
    for number, deployment in enumerate(deployments):
        services.setdefault(deployment.service, []).append(deployment)
        for name in dict.fromkeys((deployment.model.slug, slug_of(deployment.model.served_id))):
            yield {
                **_common(deployment),
                "pk": f"model#{name}",
                "sk": _sort_key(deployment, number),
                "model": _model_row(deployment.model),
                "credential": deployment.credential,
            }
    for number, (_, members) in enumerate(services.items()):
        first = members[0]
        for audience in audiences(first.owner, first.access, first.allowed_users):
            yield {
                **_common(first),
                "pk": f"audience#{audience}",
                "sk": _sort_key(first, number),
                # Whom the row stands for is all it needs to know of the list; a thousand copies of it are not.
                "allowed_users": [] if audience in (EVERYONE, first.owner) else [audience],
                "models": [_model_row(member.model) for member in members],
            }


def _sort_key(deployment: Deployment, number: int) -> str:
    return f"{deployment.owner}#{deployment.provider}#{deployment.version}#{number:04d}"


def _common(deployment: Deployment) -> Row:
    return {
        "owner": deployment.owner,
        "provider": deployment.provider,
        "version": deployment.version,
        "service": deployment.service,
        "base_url": deployment.base_url,
        "access": deployment.access,
        "allowed_users": deployment.allowed_users,
        "published_at": deployment.published_at,
    }


def _model_row(model: Model) -> Row:
    row = {
        "slug": model.slug,
        "served_id": model.served_id,
        "features": model.features,
        "context_length": model.context_length,
        "display_name": model.display_name,
    }
    return {name: value for name, value in row.items() if value is not None}


def deployment_of(row: Row) -> Iterator[Deployment]:
    yield _from_row(row, row["model"])


def service_deployments_of(row: Row) -> Iterator[Deployment]:
    for model in row["models"]:
        yield _from_row(row, model)


def _from_row(row: Row, model: Row) -> Deployment:
    return Deployment(
        owner=row["owner"],
        provider=row["provider"],
        version=row["version"],
        service=row["service"],
        base_url=row["base_url"],
        model=Model(
            slug=model["slug"],
            served_id=model["served_id"],
            features=tuple(model["features"]),
            context_length=model.get("context_length"),
            display_name=model.get("display_name"),
        ),
        access=row["access"],
        allowed_users=tuple(row["allowed_users"]),
        credential=row.get("credential"),
        published_at=row["published_at"],
    )
