"""Every valid manifest can be stored: the largest ones, as real items, sized by DynamoDB's rules."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway import manifest
from gateway.errors import InvalidRequest
from gateway.manifest import InvalidManifestError
from gateway.manifest.bounds import MAX_BYTES, as_json
from gateway.providers.operators import ManifestRefused, Operator
from gateway.providers.provider import MAX_PROVIDERS, deployments_of, row_count
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.catalog import catalog_store
from gateway.store.dynamodb.credentials import credential_store
from gateway.store.dynamodb.providers import provider_store
from gateway.store.dynamodb.rows import rows_of
from tests.manifests import manifest_of, service

pytestmark = pytest.mark.usefixtures("in_process_aws")
# DynamoDB's limit is 400 KB per item; a twelfth is left.
MAX_ITEM_BYTES = 350_000
UNICORN = "\U0001f984"  # four bytes in UTF-8
USERS = [f"{'u' * 60}{number:04d}" for number in range(2000)]


def size_of(value: Mapping[str, Any]) -> int:
    """Bytes of a typed attribute as DynamoDB counts them: names and texts in UTF-8, numbers at their longest, three
    bytes per list or map and one per entry."""
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner.encode())
    if kind == "N":
        return 21
    if kind == "B":
        return len(inner)
    if kind == "L":
        return 3 + sum(1 + size_of(each) for each in inner)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_of(each) for name, each in inner.items())
    assert kind in ("NULL", "BOOL")
    return 1


def item_sizes() -> dict[str, int]:
    """The largest item under each kind of key."""
    found: dict[str, int] = {}
    pages = aws.client("dynamodb").get_paginator("scan").paginate(TableName=provider_store().table)
    for item in (item for page in pages for item in page["Items"]):
        kind = item["pk"]["S"].partition("#")[0]
        if kind == "owner":
            kind = item["sk"]["S"].partition("#")[0]
        size = sum(len(name.encode()) + size_of(value) for name, value in item.items())
        found[kind] = max(found.get(kind, 0), size)
    return found


def operator(owner: str = "alice") -> Operator:
    settings = CatalogSettings(provider_online_seconds=120, allow_private=False)
    return Operator(
        owner, provider_store(), credential_store(), settings, 1_800_000_000, is_own_key=lambda _: False
    )


def filled(parsed: dict[str, Any]) -> dict[str, Any]:
    """The document with as many notes as fit."""
    notes: list[str] = []
    while (room := MAX_BYTES - len(as_json(parsed | {"x": [*notes, ""]}))) > 0:
        notes.append(UNICORN * min(1024, room // 4) or "x" * room)
    return parsed | {"x": notes}


FEATURES = [f"{number:02d}{'f' * 62}" for number in range(16)]
LONG_URL = f"https://h/{UNICORN * 1014}"


def names(count: int) -> list[str]:
    return [f"{number:04d}{UNICORN * 31}" for number in range(count)]


def worst_manifests() -> dict[str, dict[str, Any]]:
    model = {"id": "a", "hf": "b", "name": UNICORN * 1024, "features": [f"m{each[1:]}" for each in FEATURES]}
    return {
        "credentials": manifest_of(
            *(service(name=f"s{n}", models=[{"id": "m"}], api_key="k" * 500) for n in range(100))
        ),
        "long credentials": manifest_of(
            *(service(name=f"s{n}", models=[{"id": "m"}], api_key="k" * 1024) for n in range(50))
        ),
        "models": manifest_of(
            *(
                service(
                    name=f"s{n}",
                    features=FEATURES,
                    models=[{"id": f"{n}-{m}{'İ' * 40}"} for m in range(200)],
                    access="authenticated",
                )
                for n in range(2)
            )
        ),
        "long everything": manifest_of(
            service(
                url=LONG_URL,
                features=FEATURES,
                models=[model],
                api_key="k" * 1024,
                access="restricted",
                allowed_users=USERS[:100],
            )
        ),
        "users": manifest_of(
            *(
                service(
                    name=names(8)[n],
                    access="restricted",
                    allowed_users=USERS[:100],
                    models=[{"id": f"m-{m}"} for m in range(40)],
                )
                for n in range(8)
            )
        ),
        "small models": manifest_of(
            *(service(name=f"s{n}", models=[{"id": f"{m}"} for m in range(4)]) for n in range(99))
        ),
        "names": manifest_of(*(service(name=name) for name in names(100))),
        "nothing but notes": manifest_of(service()),
    }


@pytest.mark.parametrize("shape", worst_manifests())
def test_the_largest_manifests_are_stored_in_items_far_below_dynamodbs_limit(shape: str) -> None:
    parsed = filled(worst_manifests()[shape])
    assert MAX_BYTES - 8 < len(as_json(parsed)) <= MAX_BYTES
    operator().register({"name": "home", "public_url": f"https://h/{UNICORN * 1014}"})
    operator().upload_manifest({"parsed": parsed})
    sizes = item_sizes()
    assert max(sizes.values()) < MAX_ITEM_BYTES, sizes
    # What others read past is small.
    assert sizes["audience"] < 1000
    assert sizes["head"] < 300
    listed = {each.model.slug for each in catalog_store().listing("alice").deployments}
    slugs = {model.slug for each in manifest.validate(parsed).services for model in each.models}
    assert listed == slugs
    assert operator().delete("home")["deleted"]


def test_a_snapshot_with_every_change_that_can_be_made_is_stored() -> None:
    old, new = names(100), [f"{name[4:]}{number:04d}" for number, name in enumerate(names(100))]
    with_keys = manifest_of(
        *(service(name=name, type="llm", models=[], api_key="k" * 250) for name in old),
    )
    alice = operator()
    alice.upload_manifest({"parsed": filled(manifest_of(*(service(name=name, type="llm") for name in new)))})
    for name in new[:100]:
        alice.change_service("home", name, {"access": "authenticated"})
    alice.upload_manifest({"parsed": filled(with_keys)})
    for number, name in enumerate(old):
        users = USERS[number * 100 : number * 100 + 100]
        alice.change_service(
            "home",
            name,
            {"access": "restricted", "allowed_users": users} if users else {"access": "authenticated"},
        )
    with pytest.raises(InvalidRequest):
        alice.change_service("home", old[50], {"allowed_users": USERS[:1]})
    alice.change_provider("home", {"public_url": LONG_URL})
    nested: Any = ["\x00"] * 200
    for level in range(30):
        nested = {f"{level:02d}{UNICORN * 38}": nested}
    with pytest.raises(ManifestRefused) as refused:
        alice.upload_manifest({"parsed": manifest_of(service()) | {"x": nested}})
    assert len(refused.value.problems) == 101
    sizes = item_sizes()
    assert 200_000 < sizes["version"] < MAX_ITEM_BYTES
    assert sizes["meta"] < MAX_ITEM_BYTES
    assert len(json.dumps(alice.list_providers())) < 1_000_000


@pytest.mark.parametrize("shape", worst_manifests())
def test_the_rows_that_are_counted_are_those_that_are_written(shape: str) -> None:
    operator().upload_manifest({"parsed": worst_manifests()[shape]})
    provider = provider_store().provider("alice", "home")
    assert provider
    rows = list(rows_of(deployments_of(provider, "v")))
    assert len(rows) == row_count(provider) <= manifest.MAX_ROWS
    assert len({(row["pk"], row["sk"]) for row in rows}) == len(rows)


def test_a_manifest_over_the_rows_is_refused_before_anything_is_written() -> None:
    parsed = manifest_of(
        *(service(name=f"s{n}", models=[{"id": f"{m}"} for m in range(200)]) for n in range(3))
    )
    with pytest.raises(InvalidManifestError, match="but need 601"):
        manifest.validate(parsed)
    with pytest.raises(ManifestRefused):
        operator().upload_manifest({"parsed": parsed})
    assert set(item_sizes()) == {"head", "meta", "roster"}


# --- how many providers


def test_two_concurrent_readers_do_not_both_create_the_twentieth() -> None:
    store = provider_store()
    for number in range(MAX_PROVIDERS - 1):
        store.beat("alice", f"box-{number}", 1000, create=True)
    read = (aws.get(store.table, "owner#alice", "roster") or {})["creations"]
    assert store._try_to_create("alice", "first", 1000, read)
    assert not store._try_to_create("alice", "second", 1000, read)


def test_an_owner_with_more_providers_than_are_allowed_keeps_them() -> None:
    rows = [{"pk": "owner#alice", "sk": f"head#old-{number}", "last_seen_at": 1} for number in range(30)]
    provider_store()._put(rows)
    alice = operator()
    alice.register({"name": "old-7", "public_url": "https://box.example"})
    alice.upload_manifest({"parsed": manifest_of(service()) | {"agent": {"name": "old-8"}}})
    with pytest.raises(InvalidRequest, match="at most 20 providers"):
        alice.register({"name": "new"})
    assert len(alice.list_providers()["data"]) == 30
