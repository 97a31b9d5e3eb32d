"""AWS clients, created once and lazily, and DynamoDB's typed items."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakSet

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway import deadline

StoreError = (ClientError, BotoCoreError)


class Patience(NamedTuple):
    """How long one call may wait. `seconds` is the worst case: all tries and the pauses between them."""

    seconds: float
    connect: float
    read: float
    tries: int


# The longest that fits is used. Pauses are botocore's: up to 1 s before the second try, 2 s before the third.
PATIENCES = (
    Patience(24.0, connect=2, read=5, tries=3),
    Patience(5.0, connect=0.5, read=1.5, tries=2),
    Patience(0.7, connect=0.3, read=0.4, tries=1),
)
# The one that fits a request on Lambda at its start.
_ORDINARY = PATIENCES[1]

_clients: WeakSet[Any] = WeakSet()
_making = Lock()


class DeadlinePassedError(BotoCoreError):
    """The request has no time left for another call."""

    fmt = "no time is left for another call"


@cache
def session() -> botocore.session.Session:
    return botocore.session.get_session()


def client(service: str) -> Any:
    """A low-level client whose calls fit the request's deadline. Raises DeadlinePassedError, a StoreError.

    One call gets at most half of the time that is left, so that another service can still be tried after it.
    """
    seconds = deadline.left() / 2
    if seconds <= 0:
        raise DeadlinePassedError
    return _client(service, next((each for each in PATIENCES if each.seconds <= seconds), PATIENCES[-1]))


def dynamodb() -> Any:
    """The client that almost every request on Lambda needs, to be created before the first one."""
    return _client("dynamodb", _ORDINARY)


def _client(service: str, patience: Patience) -> Any:
    with _making:  # botocore's session is not safe for concurrent client creation
        return _made(service, patience)


@cache
def _made(service: str, patience: Patience) -> Any:
    """Create a client with botocore's session: boto3's adds 80 of 370 ms to a cold start, and nothing used here
    (docs/decisions.md)."""
    config = Config(
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        retries={"mode": "standard", "total_max_attempts": patience.tries},
        max_pool_connections=16,
    )
    made = session().create_client(service, config=config)
    _clients.add(made)
    return made


def close_connections() -> None:
    """Close idle connections; the clients stay usable (after a restore from a snapshot)."""
    for made in _clients:
        made.close()


def error_code(error: Exception) -> str:
    """DynamoDB's error code, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_throttled(error: Exception) -> bool:
    """Whether DynamoDB refused the call because of too many requests."""
    return error_code(error) in (
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
    )


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a conditional write: whether its condition `held`, and the requested attributes of the written
    item or, if the condition did not hold, of the existing one."""

    held: bool
    attributes: dict[str, Any]

    def __bool__(self) -> bool:
        return self.held


def conditionally(operation: str, **arguments: Any) -> Written:
    """Call `put_item`, `update_item` or `delete_item` with a condition. Raises a StoreError, except when the condition
    does not hold."""
    try:
        reply = getattr(client("dynamodb"), operation)(**arguments)
    except StoreError as error:
        if error_code(error) != "ConditionalCheckFailedException":
            raise
        return Written(False, decode(_item_of(error)))
    return Written(True, decode(reply.get("Attributes", {})))


def _item_of(error: Exception) -> Mapping[str, Any]:
    found: Mapping[str, Any] = error.response.get("Item", {}) if isinstance(error, ClientError) else {}  # type: ignore[assignment]
    return found


def cancelled_by_condition(error: Exception) -> bool:
    """Whether a condition cancelled the transaction, rather than a conflict, which a retry may avoid."""
    if error_code(error) != "TransactionCanceledException" or not isinstance(error, ClientError):
        return False
    reasons = error.response.get("CancellationReasons", [])
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons)


def key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    """An item's key in DynamoDB's format."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def encode(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a mapping to DynamoDB's format, without boto3's serializer and its import time. Keeps None as NULL,
    because an unknown duration is not an absent one. Raises TypeError for types that DynamoDB cannot hold."""
    return {name: _encode(value) for name, value in item.items()}


def _encode(value: Any) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, float):
        return {"N": repr(value)}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, Mapping):
        return {"M": {str(name): _encode(each) for name, each in value.items()}}
    if isinstance(value, Iterable):
        return {"L": [_encode(each) for each in value]}
    raise TypeError(f"DynamoDB cannot hold a {type(value).__name__}")


def decode(item: Mapping[str, Any]) -> dict[str, Any]:
    """Reverse `encode`. Whole numbers become int, others float."""
    return {name: _decode(value) for name, value in item.items()}


def _decode(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "N":
        return int(inner) if inner.lstrip("-").isdigit() else float(inner)
    if kind == "M":
        return decode(inner)
    if kind == "L":
        return [_decode(each) for each in inner]
    if kind == "NULL":
        return None
    return inner


def query(
    table: str,
    pk: str,
    *,
    prefix: str = "",
    between: tuple[str, str] | None = None,
    consistent: bool = False,
) -> Iterator[dict[str, Any]]:
    """Read a partition's items page by page, or only those whose sort key has `prefix` or is `between` two values."""
    condition, values = "pk = :pk", {":pk": {"S": pk}}
    if prefix:
        condition += " AND begins_with(sk, :sk)"
        values[":sk"] = {"S": prefix}
    if between:
        condition += " AND sk BETWEEN :first AND :last"
        values |= {":first": {"S": between[0]}, ":last": {"S": between[1]}}
    start: dict[str, Any] = {}
    while True:
        page = client("dynamodb").query(
            TableName=table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=consistent,
            **start,
        )
        yield from map(decode, page["Items"])
        if not page.get("LastEvaluatedKey"):
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def get(table: str, pk: str, sk: str, *, consistent: bool = False) -> dict[str, Any] | None:
    """One item, or None."""
    reply = client("dynamodb").get_item(TableName=table, Key=key(pk, sk), ConsistentRead=consistent)
    return decode(reply["Item"]) if "Item" in reply else None


def put(table: str, item: Mapping[str, Any]) -> None:
    """Write one complete item."""
    client("dynamodb").put_item(TableName=table, Item=encode(item))


class LeftUndoneError(BotoCoreError):
    """DynamoDB repeatedly left part of a batch unprocessed."""

    fmt = "too often left undone"


class Pause:
    """Pauses between batches that DynamoDB did not process fully. Each is longer; their number is limited."""

    _MAX = 8

    def __init__(self) -> None:
        self._times = 0

    def after(self, unprocessed: Sequence[Any]) -> None:
        """Wait if anything is unprocessed. Raises a StoreError after the eighth time in a row."""
        if not unprocessed:
            self._times = 0
            return
        self._times += 1
        seconds = 0.02 * 2**self._times
        if self._times > self._MAX or seconds > deadline.left():
            raise LeftUndoneError
        time.sleep(seconds)


def batch_get(
    table: str, keys: Iterable[tuple[str, str]], *, consistent: bool = False
) -> list[dict[str, Any]]:
    """Read items by key, a hundred per call (BatchGetItem's limit). Leaves out missing items."""
    wanted = [key(*each) for each in keys]
    found: list[dict[str, Any]] = []
    pause = Pause()
    while wanted:
        chunk, wanted = wanted[:100], wanted[100:]
        reply = client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": chunk, "ConsistentRead": consistent}}
        )
        found += map(decode, reply["Responses"].get(table, []))
        unprocessed = reply.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        pause.after(unprocessed)
        wanted += unprocessed
    return found
