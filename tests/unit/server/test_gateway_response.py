"""API Gateway's own answers, rendered from the template."""

import json
from typing import Any

import pytest

from server.gateway_response import GatewayResponses
from server.template import Template

DECLARED: dict[str, dict[str, Any]] = {
    "UNAUTHORIZED": {
        "StatusCode": 401,
        "ResponseParameters": {"Headers": {"x-request-id": "context.requestId", "x-own": "'yes'"}},
        "ResponseTemplates": {
            "application/json": '{"id":"$context.requestId","m":$context.error.messageString}'
        },
    },
    "DEFAULT_4XX": {"ResponseTemplates": {"application/json": '{"type":"$context.error.responseType."}'}},
}


def test_variables_are_replaced_in_body_and_headers() -> None:
    response = GatewayResponses(DECLARED).render("UNAUTHORIZED", 'a "quoted" word', "id-1")
    assert response.status_code == 401
    assert json.loads(bytes(response.body)) == {"id": "id-1", "m": 'a "quoted" word'}
    assert (response.headers["x-request-id"], response.headers["x-own"]) == ("id-1", "yes")


def test_a_type_that_is_not_declared_falls_back_to_its_default() -> None:
    response = GatewayResponses(DECLARED).render("ACCESS_DENIED", "no", "id-1")
    assert response.status_code == 403
    assert json.loads(bytes(response.body)) == {"type": "ACCESS_DENIED."}


def test_an_undeclared_answer_is_that_of_aws() -> None:
    response = GatewayResponses({}).render("THROTTLED", "Too Many Requests", "id-1")
    assert (response.status_code, json.loads(bytes(response.body))) == (429, {"message": "Too Many Requests"})


@pytest.mark.parametrize("kind", sorted(Template().api().gateway_responses))
def test_every_answer_of_the_gateway_is_the_error_envelope_with_a_request_id(kind: str) -> None:
    response = GatewayResponses(Template().api().gateway_responses).render(kind, 'said "so"', "id-1")
    assert set(json.loads(bytes(response.body))["error"]) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"] == "id-1"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
