"""Manifests, and providers that publish them through the ports of a store."""

from dataclasses import replace
from typing import Any

from gateway.providers.deployments import Deployment
from gateway.providers.provider import Provider
from gateway.store.ports import Stores


def document(*services: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "agent": {"name": "home"},
        "hosts": [{"id": "h", "services": list(services)}],
    }


def service(name: str = "asr", models: Any = ("M",), **changes: Any) -> dict[str, Any]:
    url, entries = f"https://{name}.example/v1", [{"id": each} for each in models]
    return {"name": name, "type": "stt", "engine": "vllm", "url": url, "models": entries} | changes


def publish(
    stores: Stores, *services: dict[str, Any], owner: str = "alice", name: str = "home", **changes: Any
) -> Provider:
    """Publish a manifest with these services. Returns the provider as it was read before."""
    store = stores.providers()
    assert store.beat(owner, name, 1000, create=True)
    provider = store.provider(owner, name)
    assert provider is not None
    provider = replace(provider, document=document(*services), uploaded_at=1000, **changes)
    assert store.publish(provider)
    return provider


def found(stores: Stores, model: str, user: str = "alice") -> list[Deployment]:
    stores.catalog().forget()
    return stores.catalog().deployments(model, user)


def listed(stores: Stores, user: str = "alice") -> list[str]:
    """The slugs of a user's listing, sorted."""
    stores.catalog().forget()
    return sorted(each.model.slug for each in stores.catalog().listing(user).deployments)
