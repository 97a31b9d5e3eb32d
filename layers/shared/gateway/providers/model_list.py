"""List the models that a caller can use now."""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from gateway.providers.deployments import TIMESTAMPS, Deployment, provider_id
from gateway.providers.shares import share_out

# Bytes of the entries as JSON, commas included, so that the list stays under a megabyte.
MAX_LIST_BYTES = 900_000
# If a model's deployments declare more features, the list keeps those that most owners declare.
MAX_FEATURES = 32
MAX_DISPLAY_NAME = 128


def callable_models(deployments: Iterable[Deployment]) -> list[str]:
    """The model ids, sorted, each once."""
    return sorted({deployment.model.slug for deployment in deployments})


def list_models(
    deployments: Iterable[Deployment], caller: str = "", *, is_cut: bool = False
) -> dict[str, Any]:
    """Build OpenAI's list from usable deployments. The same slug on several providers is one model.

    Leaves out what exceeds MAX_LIST_BYTES: `caller`'s own models go first, and owners share the rest fairly. Sets
    `truncated` if it left models out, or if `is_cut` says that `deployments` is incomplete.
    """
    pools: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        pools.setdefault(deployment.model.slug, []).append(deployment)
    entries = {slug: model_entry(pools[slug]) for slug in sorted(pools)}
    kept = _within_bytes(entries, pools, caller)
    listed = {"object": "list", "data": [entries[slug] for slug in sorted(kept)]}
    return listed | ({"truncated": True} if is_cut or len(kept) < len(entries) else {})


def _within_bytes(
    entries: dict[str, dict[str, Any]], pools: dict[str, list[Deployment]], caller: str
) -> Collection[str]:
    """Choose the slugs to list."""
    sizes = {slug: len(json.dumps(entry, ensure_ascii=False).encode()) for slug, entry in entries.items()}
    if sum(sizes.values()) <= MAX_LIST_BYTES:
        return entries
    owners = {slug: {each.owner for each in pool} for slug, pool in pools.items()}
    served = Counter(owner for each in owners.values() for owner in each)
    queues: dict[str, list[str]] = {}
    for slug in entries:
        # A model of several owners counts as the caller's if possible, else as that of the owner with the fewest.
        owner = caller if caller in owners[slug] else min(owners[slug], key=lambda each: (served[each], each))
        queues.setdefault(owner, []).append(slug)
    return share_out(queues, sizes.__getitem__, MAX_LIST_BYTES, first=caller)


def model_entry(pool: list[Deployment]) -> dict[str, Any]:
    """Build a model's entry from its usable deployments. `pool` must not be empty."""
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
        "supported_features": _features_of(pool),
        "context_length": max(contexts) if contexts else None,
        "providers": len(pool),
    }
    return entry | ({"display_name": name[:MAX_DISPLAY_NAME]} if name else {})


def _features_of(pool: list[Deployment]) -> list[str]:
    """All deployments' features, sorted; if there are too many, those that most owners declare."""
    declared = {(feature, each.owner) for each in pool for feature in each.model.features}
    owners = Counter(feature for feature, _ in declared)
    if len(owners) > MAX_FEATURES:
        ranked = sorted(owners, key=lambda feature: (feature != TIMESTAMPS, -owners[feature], feature))
        return sorted(ranked[:MAX_FEATURES])
    return sorted(owners)


def pool_of(asked: str, deployments: Iterable[Deployment]) -> list[Deployment]:
    """Sort the deployments that match a name, by slug or served id, so that those of the named model come first.

    The named model is the slug itself, else the slug that most owners serve under this id (ties go by name). An owner
    who publishes a name as a slug joins those who serve it as an id, and does not take over their calls.
    """
    pool = list(deployments)
    # Count owners, not deployments, so that one owner with many services cannot change the model a name means.
    owners: dict[str, set[str]] = {}
    for each in pool:
        owners.setdefault(each.model.slug, set()).add(each.owner)
    first = min(owners, key=lambda slug: (slug != asked, -len(owners[slug]), slug), default="")
    return sorted(pool, key=lambda each: each.model.slug != first)
