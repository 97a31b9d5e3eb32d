"""Listings and lookups among a thousand hostile providers: bounded, and fair to the others."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.providers.deployments import Deployment
from gateway.store.ports import Stores
from server.sqlite import catalog
from server.sqlite.stores import SqliteStores, open_stores
from tests.integration.store.published import publish, service

OWNERS, PROVIDERS = 50, 20


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """A thousand providers of fifty owners, each with forty models under long names, open to everyone."""
    stores = open_stores(tmp_path_factory.mktemp("crowd") / "data")
    for owner in range(OWNERS):
        for box in range(PROVIDERS):
            models = [f"aaa-{owner}/{box}-{number:03d}-{'m' * 200}" for number in range(39)]
            manifest = service("asr", [*models, "whisper"], access="authenticated", features=["f" * 60])
            publish(stores, manifest, owner=f"aaa-{owner:02d}", name=f"box-{box:02d}")
    publish(stores, service("asr", ["zed/1", "zed/2", "whisper"], access="authenticated"), owner="zed")
    publish(stores, service("asr", ["victim/1", "whisper"]), owner="victim")
    return stores


def owners_in(deployments: list[Deployment]) -> set[str]:
    return {each.owner for each in deployments}


def test_a_listing_is_bounded_and_crowds_out_nobody(crowd: Stores) -> None:
    listing = crowd.catalog().listing("victim")
    assert listing.is_cut
    assert len(listing.deployments) <= 2 * catalog.MAX_DEPLOYMENTS
    seen = {each.model.slug for each in listing.deployments}
    assert {"zed/1", "zed/2", "victim/1"} <= seen
    assert len(owners_in(listing.deployments)) == OWNERS + 2


def test_a_lookup_draws_a_hundred_with_every_owner_among_them(crowd: Stores) -> None:
    found = crowd.catalog().deployments("whisper", "victim")
    assert len(found) == catalog.MAX_CANDIDATES
    assert len(owners_in(found)) == OWNERS + 2


def test_lookups_and_listings_take_a_fraction_of_a_second(crowd: Stores) -> None:
    began = time.process_time()
    crowd.catalog().listing("victim")
    crowd.catalog().deployments("whisper", "victim")
    # Twenty times what a quiet machine needs.
    assert time.process_time() - began < 2


def test_a_model_of_many_services_is_read_up_to_a_bound_after_one_of_each_provider(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "MAX_ROWS", 50)
    monkeypatch.setattr(catalog, "MAX_CANDIDATES", 10_000)
    stores: SqliteStores = open_stores(data_dir)
    for owner in ("ann", "ben"):
        many = (service(f"s{number}", ["m"], access="authenticated") for number in range(60))
        publish(stores, *many, owner=owner)
    publish(stores, service("asr", ["m"], access="authenticated"), owner="zed")
    found = stores.catalog().deployments("m", "victim")
    stores.close()
    assert len(found) == 50
    assert owners_in(found) == {"ann", "ben", "zed"}


def test_a_change_is_visible_to_the_next_call(stores: SqliteStores) -> None:
    publish(stores, service())
    (before,) = stores.catalog().deployments("m", "alice")
    stores.providers().beat("alice", "home", 5000)
    assert stores.catalog().deployments("m", "alice") == [replace(before, last_seen_at=5000)]
    stores.providers().delete("alice", "home")
    assert stores.catalog().deployments("m", "alice") == []


def test_a_change_by_another_process_is_seen_within_five_seconds(data_dir: Path) -> None:
    ours, theirs = open_stores(data_dir), open_stores(data_dir)
    publish(theirs, service("asr", ["m"]), owner="alice")
    assert ours.catalog().deployments("m", "alice")
    assert theirs.providers().delete("alice", "home")
    began = time.monotonic()
    while ours.catalog().deployments("m", "alice"):
        time.sleep(0.05)
    assert time.monotonic() - began < 5
    for stores in (ours, theirs):
        stores.close()
