"""A database of an earlier version, with data, is brought up to date when it is opened."""

import time
from pathlib import Path

import apsw

from gateway.accounts import keys
from gateway.accounts.own_keys import OwnKeys
from server.sqlite import schema
from server.sqlite.layout import DATABASE
from server.sqlite.stores import open_stores

KEY = "sk-stt-of-an-earlier-version"
HASH = keys.hash_key(KEY)
OLD_ID = keys.key_id_of(HASH)


def write_first_version(data_dir: Path) -> None:
    """A database with the first migration only, and one valid and one revoked key."""
    data_dir.mkdir()
    connection = apsw.Connection(str(data_dir / DATABASE))
    schema.migrate(connection, data_dir / DATABASE, alone=True, steps={1: schema.migrations()[1]})
    insert = "INSERT INTO keys VALUES (?, ?, 'alice', ?, 1000, ?, ?)"
    connection.execute(insert, (HASH, OLD_ID, "laptop", None, None))
    connection.execute(insert, ("0" * 64, "key_0000000000000000", "phone", 2000, 1500))
    connection.close()


def test_keys_of_the_first_version_work_and_were_made_by_nobody(data_dir: Path) -> None:
    write_first_version(data_dir)
    stores = open_stores(data_dir)
    caller = stores.keys().identify(KEY, 3000)
    assert caller
    assert (caller.user_id, caller.key_id) == ("alice", OLD_ID)
    found = [
        (each.name, each.expires_at, each.revoked_at, each.made_by) for each in stores.keys().list("alice")
    ]
    stores.close()
    assert sorted(found) == [("laptop", None, None, None), ("phone", 2000, 1500, None)]


def test_a_key_of_the_first_version_makes_keys_that_end_with_it(data_dir: Path) -> None:
    write_first_version(data_dir)
    for _ in range(2):  # the second start finds nothing to upgrade
        stores = open_stores(data_dir)
        made = OwnKeys("alice", OLD_ID, stores.keys(), time.time()).make({"name": "new"})
        assert made["created_by"] == OLD_ID
        stores.close()
    stores = open_stores(data_dir)
    stores.keys().revoke(OLD_ID)
    assert all(each.revoked_at for each in stores.keys().list("alice"))
    stores.close()
