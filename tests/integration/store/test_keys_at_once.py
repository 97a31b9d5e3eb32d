"""Many concurrent changes of one user's keys, on the embedded AWS, whose transactions work like DynamoDB's, and on
SQLite."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.accounts.own_keys import MAX_VALID_KEYS, OwnKeys
from gateway.errors import Conflict, GatewayError, InvalidKey
from gateway.store.dynamodb.keys import KeyStore as DynamoDBKeyStore
from gateway.store.ports import KeyStore
from server.sqlite.stores import open_stores
from tests.conftest import TestAws

NOW = time.time()


@pytest.fixture(params=["dynamodb", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    if request.param == "dynamodb":
        aws: TestAws = request.getfixturevalue("concurrent_aws")
        yield DynamoDBKeyStore(aws.template.physical_name("KeysTable"))
        return
    opened = open_stores(tmp_path / "data")
    yield opened.keys()
    opened.close()


@pytest.fixture
def own(store: KeyStore) -> OwnKeys:
    """With a key of a new user."""
    user = secrets.token_hex(8)
    return OwnKeys(user, store.create(user)[1].key_id, store, NOW)


def attempt(keys: OwnKeys) -> str:
    """Make a key. Returns its id, or the name of the refusal."""
    try:
        return str(keys.make({"name": "made"})["id"])
    except GatewayError as refusal:
        return type(refusal).__name__


def valid_ids(keys: OwnKeys) -> set[str]:
    return {record.key_id for record in keys.store.list(keys.user_id) if record.is_valid(NOW)}


def test_concurrent_calls_make_fifty_keys_and_no_more(own: OwnKeys) -> None:
    for _ in range(MAX_VALID_KEYS - 4):
        own.make({"name": "made"})
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: attempt(own), range(8)))
    assert outcomes.count(Conflict.__name__) == 5
    assert len(valid_ids(own)) == MAX_VALID_KEYS


def test_no_key_that_is_made_during_a_revocation_survives_it(own: OwnKeys) -> None:
    for _ in range(3):
        stolen = OwnKeys(own.user_id, own.make({"name": "stolen"})["id"], own.store, NOW)
        middle = OwnKeys(own.user_id, stolen.make({"name": "middle"})["id"], own.store, NOW)
        with ThreadPoolExecutor(9) as threads:
            making = [threads.submit(attempt, (stolen, middle)[number % 2]) for number in range(8)]
            revoking = threads.submit(own.revoke, stolen.calling_id)
            for each in making:
                each.result()
            revoking.result()
        assert valid_ids(own) == {own.calling_id}
        assert attempt(middle) == InvalidKey.__name__
