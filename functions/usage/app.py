"""GET /v1/usage"""

import time
from typing import Any

from gateway import compose
from gateway.http import Event, Response, Route, caller_of, json_response, lambda_handler
from gateway.lifecycle import prepare
from gateway.usage import totals
from gateway.usage.totals import Question


def usage(event: Event, _context: Any) -> Response:
    question = Question.read(event.get("queryStringParameters") or {}, time.time())
    found = compose.totals().read(caller_of(event).user_id, question)
    return json_response(totals.answer(found, question.group_by))


ROUTES = (Route("GET", "/v1/usage", usage),)
handler = lambda_handler(ROUTES)

prepare(compose.prepare_store, renew=[compose.renew_store])
