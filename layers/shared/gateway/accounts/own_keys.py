"""`/v1/keys`: a caller makes, lists and revokes keys of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from gateway.accounts import keys
from gateway.accounts.keys import KeyChange, KeyRecord, NewKey
from gateway.errors import Conflict, InvalidKey, InvalidRequest, NotFound

if TYPE_CHECKING:
    from gateway.store.ports import KeyStore

# Keys that are neither revoked nor expired, whoever made them.
MAX_VALID_KEYS = 50
# Revoked and expired keys that keys made. Those that ended before are forgotten, so that a user's list stays short.
MAX_ENDED_KEYS = 100
# One change forgets at most this many: DynamoDB writes at most 100 items at once, and a key has three.
_MAX_FORGOTTEN = 10
_MAX_NAME = 64
# The last second of the year 9999: programs that show dates know no later one.
_LAST_SECOND = 253_402_300_799


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The body of `POST /v1/keys`."""

    name: str
    expires_at: int | None

    @classmethod
    def read(cls, body: Any, now: float) -> Self:
        """Raises InvalidRequest, which repeats no value."""
        if not isinstance(body, dict):
            raise InvalidRequest("The body must be a JSON object.")
        if body.keys() - {"name", "expires_at"}:
            raise InvalidRequest("The body accepts only name and expires_at.")
        name, expires_at = body.get("name"), body.get("expires_at")
        if not (isinstance(name, str) and name.strip() and len(name) <= _MAX_NAME and name.isprintable()):
            raise InvalidRequest(
                f"'name' must be text of 1 to {_MAX_NAME} printable characters, not only spaces.",
                param="name",
            )
        # `type`, because True is an instance of int.
        if expires_at is not None and not (type(expires_at) is int and now < expires_at <= _LAST_SECOND):
            raise InvalidRequest(
                "'expires_at' must be a time in the future, in whole epoch seconds, or null.",
                param="expires_at",
            )
        return cls(name, expires_at)

    def expiry(self, calling: KeyRecord) -> int | None:
        """When the new key expires: as asked, and no later than the key that makes it. Raises InvalidRequest."""
        if calling.expires_at is None or self.expires_at is None:
            return self.expires_at or calling.expires_at
        if self.expires_at > calling.expires_at:
            raise InvalidRequest(
                f"'expires_at' must be at most {calling.expires_at}, when the key that makes this one expires.",
                param="expires_at",
            )
        return self.expires_at


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The keys of a user. `calling_id` is the key of this request.

    Every call reads that key again, because API Gateway lets a key pass for up to AuthorizerCacheSeconds after it was
    revoked. Every change is decided from the records that it replaces.
    """

    user_id: str
    calling_id: str
    store: "KeyStore"
    now: float

    def make(self, body: Any) -> dict[str, Any]:
        """Make a key. Only this answer has its value. Raises InvalidRequest, InvalidKey, and Conflict when the user
        has the max number of keys."""
        request = KeyRequest.read(body, self.now)
        value = keys.generate_key()

        def decide(records: Sequence[KeyRecord]) -> KeyChange:
            expires_at = request.expiry(self._calling(records))
            if sum(record.is_valid(self.now) for record in records) >= MAX_VALID_KEYS:
                raise Conflict(
                    f"A user can have at most {MAX_VALID_KEYS} keys that are neither revoked nor expired. "
                    "Revoke one with DELETE /v1/keys/{id} before you make another.",
                    headers={"x-should-retry": "false"},
                )
            new = NewKey.of(
                value,
                self.user_id,
                request.name,
                created_at=int(self.now),
                expires_at=expires_at,
                made_by=self.calling_id,
            )
            return KeyChange(made=(new,), forgotten=_forgotten(records, self.now))

        (new,) = self.store.change(self.user_id, decide).made
        return shown(new.record) | {"value": value}

    def list(self) -> dict[str, Any]:
        """All keys of the user, oldest first, without their values. Raises InvalidKey."""
        records = self.store.list(self.user_id)
        self._calling(records)
        return {"object": "list", "data": [shown(record) for record in records]}

    def revoke(self, key_id: str) -> dict[str, Any]:
        """Revoke a key and all that come from it. Raises InvalidKey and NotFound."""

        def decide(records: Sequence[KeyRecord]) -> KeyChange:
            self._calling(records)
            if all(record.key_id != key_id for record in records):
                raise NotFound("You have no key with this id. GET /v1/keys lists yours.", param="id")
            return keys.revocation(records, key_id, self.now)

        self.store.change(self.user_id, decide)
        return {"id": key_id, "object": "api_key", "deleted": True}

    def _calling(self, records: Sequence[KeyRecord]) -> KeyRecord:
        """The key of this request. Raises InvalidKey when it is no longer valid."""
        for record in records:
            if record.key_id == self.calling_id and record.is_valid(self.now):
                return record
        raise InvalidKey


def shown(record: KeyRecord) -> dict[str, Any]:
    """A key as the API shows it, without its value."""
    return {
        "id": record.key_id,
        "object": "api_key",
        "name": record.name,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "created_by": record.made_by,
    }


def _forgotten(records: Sequence[KeyRecord], now: float) -> tuple[str, ...]:
    """The ids of the ended keys that are too many, the first that ended first.

    Everything that came from an ended key has ended too, so no later revocation needs its record. Keys that an
    administrator made are never forgotten: whoever holds a stolen key cannot remove their traces.
    """
    ended = sorted((each for each in records if each.made_by and not each.is_valid(now)), key=_ended_at)
    return tuple(record.key_id for record in ended[: max(0, len(ended) - MAX_ENDED_KEYS)][:_MAX_FORGOTTEN])


def _ended_at(record: KeyRecord) -> int:
    return min(each for each in (record.revoked_at, record.expires_at) if each is not None)
