"""The two users of the local runs, whose keys everyone knows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.store.ports import KeyStore

USERS = {"alice": "sk-local-alice-0000000000000000", "bob": "sk-local-bob-000000000000000000"}


def create_users(keys: "KeyStore") -> None:
    """alice and bob, without limits."""
    from gateway.accounts.keys import Limits  # not at the top: what only needs the names has no gateway

    for user, key in USERS.items():
        keys.set_user(user, "any", Limits(changes_per_minute=None))
        keys.create(user, name="local run", key=key)
