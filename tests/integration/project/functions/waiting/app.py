"""Waits as many seconds as the query asks, as if for a provider."""

import time


def handler(event, context):
    time.sleep(float((event["queryStringParameters"] or {}).get("seconds", 0)))
    return {"statusCode": 200, "body": "{}"}
