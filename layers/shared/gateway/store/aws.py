"""AWS clients, made once and lazily, and DynamoDB's typed items."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any
from weakref import WeakSet

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

StoreError = (ClientError, BotoCoreError)

# A request has seconds, not minutes: a call that hangs is given up early and tried again.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=16,
)
# For what must be kept before the function's time is up. When nothing answers, a first call and a second one, to
# another service, together take at most the seconds that each is listed under.
_WITHIN = {
    35.0: _CONFIG,
    13.0: Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}),
    0.0: Config(connect_timeout=0.3, read_timeout=0.4, retries={"mode": "standard", "total_max_attempts": 1}),
}

_clients: WeakSet[Any] = WeakSet()


@cache
def session() -> botocore.session.Session:
    return botocore.session.get_session()


@cache
def client(service: str) -> Any:
    """A low-level client. botocore's own session: boto3's adds 80 of 370 ms of cold start and nothing used here
    (docs/decisions.md)."""
    made = session().create_client(service, config=_CONFIG)
    _clients.add(made)
    return made


def client_within(service: str, seconds: float) -> Any:
    """A client that gives up early enough for two services in turn to be tried in so many seconds."""
    return _client_for(service, next(least for least in _WITHIN if seconds >= least or not least))


@cache
def _client_for(service: str, least: float) -> Any:
    if _WITHIN[least] is _CONFIG:
        return client(service)
    made = session().create_client(service, config=_WITHIN[least])
    _clients.add(made)
    return made


def dynamodb() -> Any:
    """The client that almost every request needs."""
    return client("dynamodb")


def close_connections() -> None:
    """Close idle connections; the clients stay usable (after a restore from a snapshot)."""
    for made in _clients:
        made.close()


def error_code(error: Exception) -> str:
    """DynamoDB's name of what went wrong, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_condition_failure(error: Exception) -> bool:
    """Whether a single write was refused by its own condition."""
    return error_code(error) == "ConditionalCheckFailedException"


def cancelled_by_condition(error: Exception) -> bool:
    """Whether a transaction was refused by a condition, and not by a conflict that another try may not meet."""
    if error_code(error) != "TransactionCanceledException" or not isinstance(error, ClientError):
        return False
    reasons = error.response.get("CancellationReasons", [])
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons)


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
    reply = client("dynamodb").get_item(
        TableName=table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=consistent
    )
    return decode(reply["Item"]) if "Item" in reply else None


def put(table: str, item: Mapping[str, Any], *, within: float = math.inf, **conditions: Any) -> None:
    """Write one item whole, giving up early when it has to be done `within` few seconds."""
    client_within("dynamodb", within).put_item(TableName=table, Item=encode(item), **conditions)


class LeftUndoneError(BotoCoreError):
    """DynamoDB answered, again and again, without doing all that was asked."""

    fmt = "too often left undone"


class Pause:
    """Between batches of which DynamoDB left something undone: longer each time, and not for ever."""

    _MOST = 8

    def __init__(self) -> None:
        self._times = 0

    def after(self, unprocessed: Sequence[Any]) -> None:
        """Wait if anything was left. Raises a StoreError after the eighth time in a row."""
        if not unprocessed:
            self._times = 0
            return
        self._times += 1
        if self._times > self._MOST:
            raise LeftUndoneError
        time.sleep(0.02 * 2**self._times)


def batch_get(
    table: str, keys: Iterable[tuple[str, str]], *, consistent: bool = False
) -> list[dict[str, Any]]:
    """Items by key, a hundred a call (BatchGetItem's limit); what is missing is left out."""
    wanted = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys]
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
