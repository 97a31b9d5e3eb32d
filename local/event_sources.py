"""Polls the template's event sources (streams and queues) as Lambda's pollers do."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from local.embedded_aws import client_of
from server.environments import Environments, FunctionFailed, FunctionTimedOut
from server.template import REGION, EventSource, Template

logger = logging.getLogger(__name__)

# Long polling does not work with moto: it would hold the one lock.
IDLE_SECONDS = 0.5
# The wait before retrying a failed batch.
RETRY_SECONDS = 2.0

Invoke = Callable[[list[dict[str, Any]]], Coroutine[Any, Any, Any]]


def feed(template: Template, environments: Environments) -> Iterator[Coroutine[Any, Any, None]]:
    """One endless poller per event source, each with its own thread for AWS calls."""
    if template.endpoint is None:
        return
    client = client_of(template.endpoint)
    for name, function in template.functions().items():
        for source in function.event_sources:
            invoke = partial(_invoke, environments, name)
            physical = template.physical_name(source.resource)
            threads = ThreadPoolExecutor(1, thread_name_prefix=physical)
            if source.kind == "SQS":
                url = template.reference(source.resource)
                queue = _Queue(client, url, template.attribute(source.resource, "Arn"), source)
                yield _poll(queue.pump, invoke, threads)
            else:
                yield _poll(_Stream(client, physical, source).pump, invoke, threads)


async def _invoke(environments: Environments, function: str, records: list[dict[str, Any]]) -> set[str]:
    """The ids of records that the function could not handle. Raises FunctionFailed, FunctionTimedOut."""
    answer = await environments.invoke(function, {"Records": records}, str(uuid.uuid4()))
    failures = (answer or {}).get("batchItemFailures") or []
    return {failure["itemIdentifier"] for failure in failures}


class _Thread:
    """Runs blocking calls in one thread, so that the event loop never waits for them."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def __call__(self, function: Callable[..., Any], **arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, **arguments))


Pump = Callable[[Invoke, _Thread], Coroutine[Any, Any, bool]]


async def _poll(pump: Pump, invoke: Invoke, threads: ThreadPoolExecutor) -> None:
    thread = _Thread(threads)
    while True:
        try:
            if not await pump(invoke, thread):
                await asyncio.sleep(IDLE_SECONDS)
        except (FunctionFailed, FunctionTimedOut):
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:
            # At the start the table or queue may be missing; a temporary error must not end a poller.
            logger.warning("an event source failed: %s: %s", type(error).__name__, error)
            await asyncio.sleep(RETRY_SECONDS)


class _Queue:
    """An SQS queue: handled messages are deleted, the rest return after the visibility timeout."""

    def __init__(self, client: Any, url: str, arn: str, source: EventSource) -> None:
        self._sqs = client("sqs")
        self._url = url
        self._arn = arn
        self._size = min(source.batch_size, 10)

    async def pump(self, invoke: Invoke, thread: _Thread) -> bool:
        """Passes on one batch; returns whether there was one."""
        answer = await thread(
            self._sqs.receive_message,
            QueueUrl=self._url,
            MaxNumberOfMessages=self._size,
            AttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return False
        failed = await invoke([self._record(message) for message in messages])
        for message in messages:
            if message["MessageId"] not in failed:
                await thread(
                    self._sqs.delete_message, QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )
        return True

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {},
            "md5OfBody": message.get("MD5OfBody", ""),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": REGION,
        }


class _Stream:
    """A DynamoDB stream, read from its beginning; a failed batch is retried from its first failure."""

    def __init__(self, client: Any, table: str, source: EventSource) -> None:
        self._streams = client("dynamodbstreams")
        self._dynamodb = client("dynamodb")
        self._table = table
        self._size = source.batch_size
        self._arn = ""
        self._iterators: dict[str, str | None] = {}
        self._pending: list[dict[str, Any]] = []

    async def pump(self, invoke: Invoke, thread: _Thread) -> bool:
        """Passes on one batch per shard; returns whether there was one."""
        if not self._arn:
            await self._open(thread)
        for shard, iterator in self._iterators.items():
            if self._pending:
                break
            if iterator is not None:
                page = await thread(self._streams.get_records, ShardIterator=iterator, Limit=self._size)
                self._iterators[shard] = page.get("NextShardIterator")
                self._pending = [self._record(record) for record in page["Records"]]
        if not self._pending:
            return False
        failed = await invoke(self._pending)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in self._pending]
        first = next((index for index, number in enumerate(numbers) if number in failed), len(numbers))
        self._pending = self._pending[first:]
        if self._pending:
            await asyncio.sleep(RETRY_SECONDS)
        return True

    async def _open(self, thread: _Thread) -> None:
        table = await thread(self._dynamodb.describe_table, TableName=self._table)
        arn = table["Table"]["LatestStreamArn"]
        description = await thread(self._streams.describe_stream, StreamArn=arn)
        for shard in description["StreamDescription"]["Shards"]:
            answer = await thread(
                self._streams.get_shard_iterator,
                StreamArn=arn,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )
            self._iterators[shard["ShardId"]] = answer["ShardIterator"]
        self._arn = arn

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        body = dict(record["dynamodb"])
        created = body.get("ApproximateCreationDateTime")
        body["ApproximateCreationDateTime"] = created.timestamp() if created is not None else 0
        return {
            "eventID": record["eventID"],
            "eventName": record["eventName"],
            "eventVersion": record.get("eventVersion", "1.1"),
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "eventSourceARN": self._arn,
            "dynamodb": body,
        }
