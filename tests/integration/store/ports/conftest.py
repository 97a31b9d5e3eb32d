"""Each set of adapters in turn: DynamoDB's on moto, and SQLite's in a directory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.store.dynamodb import aws
from gateway.store.dynamodb import stores as dynamodb
from gateway.store.dynamodb.totals import totals_store
from gateway.store.dynamodb.usage import usage_store
from gateway.store.ports import Stores
from gateway.usage.record import Record
from server.sqlite.stores import open_stores


@pytest.fixture(params=["dynamodb", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    if request.param == "dynamodb":
        request.getfixturevalue("in_process_aws")
        yield dynamodb
        return
    opened = open_stores(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def save(stores: Stores) -> Callable[[Record], None]:
    """Save a record, and count it: with DynamoDB, a stream has another function do so."""

    def save_and_count(record: Record) -> None:
        stores.usage().save(record)
        if stores is dynamodb:
            count_stored(record.user_id)

    return save_and_count


def count_stored(user_id: str) -> None:
    """Count a user's stored records as the stream delivers them: each at least once."""
    for item in aws.query(usage_store().table, f"user#{user_id}"):
        totals_store().count(item)
