"""What this caller can call right now, as a list of models."""

from collections.abc import Iterable
from typing import Any

from gateway.deployments import Deployment, provider_id


def callable_models(deployments: Iterable[Deployment]) -> list[str]:
    """The model ids, sorted, each once."""
    return sorted({deployment.model.slug for deployment in deployments})


def list_models(deployments: Iterable[Deployment]) -> dict[str, Any]:
    """OpenAI's list shape over usable deployments; the same slug on several providers is one model."""
    pools: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        pools.setdefault(deployment.model.slug, []).append(deployment)
    return {"object": "list", "data": [model_entry(pools[slug]) for slug in sorted(pools)]}


def model_entry(pool: list[Deployment]) -> dict[str, Any]:
    """One model's entry over the usable deployments of it; `pool` is not empty."""
    pool = sorted(
        pool, key=lambda each: (provider_id(*each.provider_key), each.service, each.model.served_id)
    )
    first = pool[0]
    contexts = [each.model.context_length for each in pool if each.model.context_length]
    name = next((each.model.display_name for each in pool if each.model.display_name), None)
    entry = {
        "id": first.model.slug,
        "object": "model",
        "created": min(each.published_at for each in pool),
        "owned_by": first.provider,
        "service_type": "stt",
        "input_modalities": ["audio"],
        "output_modalities": ["text"],
        "supported_features": sorted({feature for each in pool for feature in each.model.features}),
        "context_length": max(contexts) if contexts else None,
        "providers": len(pool),
    }
    return entry | ({"display_name": name} if name else {})


def pool_of(asked: str, deployments: Iterable[Deployment]) -> list[Deployment]:
    """All that answer to the asked name, by slug or by served id alike; those of the model that it names come first.

    That is the slug itself, else the slug that most owners serve under this id, the first of them by name. Whoever
    publishes a name as a slug joins those who serve it as an id, and does not take their calls.
    """
    pool = list(deployments)
    # By owners, not by deployments: a name must not change because somebody declares many services.
    owners: dict[str, set[str]] = {}
    for each in pool:
        owners.setdefault(each.model.slug, set()).add(each.owner)
    first = min(owners, key=lambda slug: (slug != asked, -len(owners[slug]), slug), default="")
    return sorted(pool, key=lambda each: each.model.slug != first)
