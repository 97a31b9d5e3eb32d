"""AWS clients, made once and lazily, and DynamoDB's typed items."""

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
    """How long one call may wait. `seconds` is its worst case: every try, with the pauses between them."""

    seconds: float
    connect: float
    read: float
    tries: int


# The most patient one that fits is taken. Pauses are botocore's: up to 1 s before the second try, 2 s before the third.
PATIENCES = (
    Patience(24.0, connect=2, read=5, tries=3),
    Patience(5.0, connect=0.5, read=1.5, tries=2),
    Patience(0.7, connect=0.3, read=0.4, tries=1),
)
# What a request on Lambda has at its beginning.
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
    """The client that almost every request on Lambda needs, to be made before the first one."""
    return _client("dynamodb", _ORDINARY)


def _client(service: str, patience: Patience) -> Any:
    with _making:  # botocore's session makes one client at a time
        return _made(service, patience)


@cache
def _made(service: str, patience: Patience) -> Any:
    """botocore's own session makes it: boto3's adds 80 of 370 ms of cold start and nothing used here
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
    """DynamoDB's name of what went wrong, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_throttled(error: Exception) -> bool:
    """Whether DynamoDB answered, and refused because too much came at once."""
    return error_code(error) in (
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a conditional write: whether its condition `held`, and the attributes that the call asked for,
    of the item as it was written or, when the condition did not hold, as it stands."""

    held: bool
    attributes: dict[str, Any]

    def __bool__(self) -> bool:
        return self.held


def conditionally(operation: str, **arguments: Any) -> Written:
    """Call `put_item`, `update_item` or `delete_item` with a condition. Raises a StoreError, but not for a condition
    that does not hold."""
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
    """Whether a transaction was refused by a condition, and not by a conflict that another try may not meet."""
    if error_code(error) != "TransactionCanceledException" or not isinstance(error, ClientError):
        return False
    reasons = error.response.get("CancellationReasons", [])
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons)


def key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    """An item's key as DynamoDB wants it."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def encode(item: Mapping[str, Any]) -> dict[str, Any]:
    """A plain mapping as DynamoDB wants it, in place of boto3's serializer, which costs an import of boto3.
    None is kept as NULL: an unknown duration is not an absent one. Raises TypeError for what DynamoDB cannot hold."""
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
    """The reverse of `encode`; numbers come back as int where whole, else float."""
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
    """All items of one partition, those whose sort key begins with `prefix` or lies `between` two, page by page."""
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
    """Write one item whole."""
    client("dynamodb").put_item(TableName=table, Item=encode(item))


class LeftUndoneError(BotoCoreError):
    """DynamoDB answered, again and again, without doing all that was asked."""

    fmt = "too often left undone"


class Pause:
    """Between batches of which DynamoDB left something undone: longer each time, and not for ever."""

    _MAX = 8

    def __init__(self) -> None:
        self._times = 0

    def after(self, unprocessed: Sequence[Any]) -> None:
        """Wait if anything was left. Raises a StoreError after the eighth time in a row."""
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
    """Items by key, a hundred a call (BatchGetItem's limit); what is missing is left out."""
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
