import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.accounts.limits import Claim, Rate
from gateway.providers.provider import MAX_PROVIDERS
from gateway.store.ports import Stores
from server.sqlite.failure import StoreError
from server.sqlite.occupancy import Occupancy
from server.sqlite.stores import SqliteStores, open_stores
from tests.fakes import usage_record
from tests.integration.sqlite.records import check_consistent
from tests.integration.store.published import publish, service


def test_the_first_start_creates_everything_for_its_owner_alone(data_dir: Path) -> None:
    open_stores(data_dir / "deeper").close()
    found = {path.name: stat.filemode(path.stat().st_mode) for path in (data_dir / "deeper").iterdir()}
    assert found == {
        "gateway.db": "-rw-------",
        "limits.db": "-rw-------",
        "credentials.key": "-rw-------",
        "lock": "-rw-------",
        "uploads": "drwx------",
    }
    assert stat.filemode((data_dir / "deeper").stat().st_mode) == "drwx------"


def test_the_stores_satisfy_the_ports(stores: SqliteStores) -> None:
    ports: Stores = stores
    assert ports.keys() is ports.keys()
    assert ports.prepare()


def test_a_second_start_keeps_keys_usage_quotas_and_credentials(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    key, _ = stores.keys().create("alice")
    stores.usage().save(usage_record("r1"))
    assert stores.limits().reserve_seconds("alice", 7, 8, 10)
    ciphertext = stores.credentials().encrypt("hunter2", "alice", "home", "asr")
    publish(stores, service(), credentials={"asr": ciphertext})
    stores.close()
    stores = open_stores(data_dir)
    assert stores.keys().identify(key, 0)
    assert not stores.limits().reserve_seconds("alice", 7, 8, 10)
    (deployment,) = stores.catalog().deployments("m", "alice")
    assert stores.credentials().decrypt(deployment) == "hunter2"
    stores.close()
    assert check_consistent(data_dir / "gateway.db") == {"r1"}


def test_no_file_holds_a_key_or_a_credential_in_clear(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    key, _ = stores.keys().create("alice")
    ciphertext = stores.credentials().encrypt("hunter2-hunter2", "alice", "home", "asr")
    publish(stores, service(), credentials={"asr": ciphertext})
    contents = [path.read_bytes() for path in data_dir.iterdir() if path.is_file()]
    stores.close()
    assert any(ciphertext in content for content in contents)
    for secret in (key.encode(), b"hunter2-hunter2"):
        assert not any(secret in content for content in contents)


def test_places_of_a_process_that_died_are_free_after_a_start(data_dir: Path) -> None:
    claim = Claim("bob", "requests", None, places=1, lease_seconds=1000)
    first = open_stores(data_dir)
    assert first.limits().take(claim, 1000).lease
    beside = open_stores(data_dir)
    assert beside.limits().take(claim, 1000).refused == "in_flight"
    beside.close()
    first.close()
    alone = open_stores(data_dir)
    assert alone.limits().take(claim, 1000).lease
    alone.close()


def test_a_directory_that_is_being_restored_is_not_opened(data_dir: Path) -> None:
    open_stores(data_dir).close()
    with (
        Occupancy(data_dir).entrance(),
        pytest.raises(StoreError, match="restoring a backup"),
        Occupancy(data_dir).entrance(seconds=0.1),
    ):
        pytest.fail("two processes are in the entrance")
    open_stores(data_dir).close()


def test_whoever_waits_while_a_directory_is_replaced_enters_the_new_one(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    open_stores(data_dir).close()
    with ThreadPoolExecutor(1) as threads:
        with Occupancy(data_dir).entrance():
            waiting = threads.submit(open_stores, data_dir)
            data_dir.rename(tmp_path / "old")
            data_dir.mkdir()
        stores = waiting.result()
    key, _ = stores.keys().create("alice")
    stores.close()
    assert (data_dir / "gateway.db").exists()
    stores = open_stores(data_dir)
    assert stores.keys().knows(key)
    stores.close()


def test_connections_open_again_after_they_were_closed(stores: SqliteStores) -> None:
    key, _ = stores.keys().create("alice")
    stores.renew()
    assert stores.keys().identify(key, 0)


# --- many threads at once


def test_many_threads_count_every_record_once(data_dir: Path) -> None:
    stores = open_stores(data_dir)
    with ThreadPoolExecutor(64) as threads:
        # Every id comes twice.
        list(threads.map(lambda number: stores.usage().save(usage_record(f"r{number % 500}")), range(1000)))
    stores.close()
    assert len(check_consistent(data_dir / "gateway.db")) == 500


def test_exactly_a_minutes_worth_of_concurrent_requests_passes(stores: SqliteStores) -> None:
    claim = Claim("bob", "requests", Rate(2, 60))
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: stores.limits().take(claim, 1000), range(200)))
    assert [each.refused for each in taken].count(None) == 30


def test_exactly_as_many_concurrent_requests_run_as_there_are_places(stores: SqliteStores) -> None:
    claim = Claim("bob", "requests", None, places=5, lease_seconds=30)
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: stores.limits().take(claim, 1000), range(200)))
    assert len({each.lease for each in taken if each.lease}) == 5
    assert {each.refused for each in taken} == {None, "in_flight"}


def test_concurrent_requests_cannot_reserve_more_than_the_quota(stores: SqliteStores) -> None:
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: stores.limits().reserve_seconds("bob", 7, 3, 100), range(200)))
    assert sum(taken) == 33


def test_twenty_of_many_concurrent_registrations_are_accepted(stores: SqliteStores) -> None:
    with ThreadPoolExecutor(8) as threads:
        known = list(
            threads.map(
                lambda name: stores.providers().beat("alice", f"box-{name}", 1000, create=True), range(40)
            )
        )
    assert known.count(True) == MAX_PROVIDERS
    assert len(stores.providers().owned("alice")) == MAX_PROVIDERS


def test_readers_see_one_whole_manifest_while_others_are_published(stores: SqliteStores) -> None:
    old, new = [f"old{n}" for n in range(20)], [f"new{n}" for n in range(20)]
    publish(stores, service(models=old, access="authenticated"))

    def replace_it(number: int) -> None:
        publish(stores, service(models=(old, new)[number % 2], access="authenticated"))

    with ThreadPoolExecutor(4) as threads:
        publishing = [threads.submit(replace_it, 1)]
        for number in range(2, 40):
            publishing[-1].result()
            publishing.append(threads.submit(replace_it, number))
            seen = {each.model.slug for each in stores.catalog().listing("bob").deployments}
            assert seen in (set(old), set(new))
