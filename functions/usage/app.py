"""GET /v1/usage"""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response

from gateway import totals
from gateway.http import caller_of, json_response, new_app, resolve
from gateway.lifecycle import prepare
from gateway.store import aws
from gateway.store.totals import totals_store
from gateway.totals import Question

app = new_app()


@app.get("/v1/usage")
def usage() -> "Response[str]":
    event = app.current_event.raw_event
    question = Question.read(event.get("queryStringParameters") or {}, time.time())
    found = totals_store().read(caller_of(event).user_id, question)
    return json_response(totals.answer(found, question.group_by))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return resolve(app, event, context)


prepare(aws.dynamodb, renew=[aws.close_connections])
