"""Returns the event it was called with, or misbehaves as its path asks."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path

calls = 0


def handler(event, context):
    global calls
    calls += 1
    if "Records" in event:
        return keep(event["Records"])
    name = (event["pathParameters"] or {}).get("name", "")
    if name == "raise":
        raise ValueError("a secret detail")
    if name == "exit":
        os._exit(7)
    if name == "sleep":
        query = event["queryStringParameters"]
        if "marker" in query:
            Path(query["marker"]).touch()
        time.sleep(float(query["seconds"]))
    if name == "malformed":
        return "not a proxy answer"
    if name == "large":
        return {"statusCode": 200, "body": "x" * 6_291_556}
    body = event.pop("body") or ""
    raw = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    report = {
        "event": event,
        "bytes": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "environment": {name: os.environ.get(name) for name in ("GREETING", "OWN", "DEFINED_HERE")},
        "function": context.function_name,
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "pid": os.getpid(),
        "calls": calls,
    }
    headers = {"content-type": "application/json", "x-own": "1"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(report)}


def keep(records):
    """Appends what a stream or queue delivered to a file; refuses a body of `fail` the first time."""
    path = Path(os.environ["RECORDS_FILE"])
    failures = []
    with path.open("a") as file:
        for record in records:
            identifier = record.get("messageId") or record["dynamodb"]["SequenceNumber"]
            file.write(json.dumps(record) + "\n")
            if record.get("body") == "fail":
                failures.append({"itemIdentifier": identifier})
    return {"batchItemFailures": failures}
