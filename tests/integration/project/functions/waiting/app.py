"""Waits the seconds that the query asks for, as for a provider."""

import time


def handler(event, context):
    time.sleep(float((event["queryStringParameters"] or {}).get("seconds", 0)))
    return {"statusCode": 200, "body": "{}"}
