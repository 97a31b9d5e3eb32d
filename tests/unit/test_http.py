"""How the edge reads API Gateway events, above all what a client can write into them."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.http import (
    Event,
    Response,
    Route,
    api_gateway_id_of,
    client_id_of,
    lambda_handler,
    new_request_id,
    own_hosts,
    via_of,
)


def event(**changes: Any) -> dict[str, Any]:
    return {"headers": {}, "requestContext": {"requestId": "r1"}, **changes}


def test_a_request_id_is_a_uuid_of_version_7_and_no_two_are_alike() -> None:
    ids = [new_request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each)
        for each in ids
    )


def test_request_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for second in (1, 2, 3_000_000_000):
        monkeypatch.setattr("time.time_ns", lambda second=second: second * 10**9)
        ids.append(new_request_id())
    assert ids == sorted(ids)


def test_client_ids_are_recorded_in_a_short_printable_form() -> None:
    assert (
        client_id_of(event(headers={"X-Request-Id": "abc\r\n\x00 d\u00e9" + "x" * 500})) == "abcd" + "x" * 119
    )
    assert client_id_of(event()) is None
    assert api_gateway_id_of(event(requestContext={"requestId": "a b"})) == "ab"
    assert api_gateway_id_of(event(requestContext={})) is None


def test_every_via_value_is_read_in_any_case() -> None:
    sent = event(
        headers={"Via": "1.1 last"},
        multiValueHeaders={
            "Via": ["1.1 first", "1.1 last"],
            "x-amzn-Remapped-Via": ["1.1 renamed"],
            "X-STT-Gateway-Via": ["aa", "bb"],
            "x-stt-gateway-via": ["cc"],
        },
    )
    assert via_of(sent) == ("aa, bb, cc", "1.1 first, 1.1 last, 1.1 renamed")


def test_via_is_read_from_an_event_without_multi_value_headers() -> None:
    assert via_of(event(headers={"VIA": "1.1 a", "x-stt-gateway-via": "b"})) == ("b", "1.1 a")
    assert via_of(event(headers=None)) == ("", "")


def test_the_gateways_own_hosts_are_the_apis_and_the_requested_one() -> None:
    context = {"apiId": "A1b2", "domainName": "STT.example.com"}
    assert own_hosts(event(requestContext=context)) == {"a1b2.execute-api.", "stt.example.com:443"}
    local = {"apiId": "local", "domainName": "127.0.0.1:3000"}
    assert "127.0.0.1:3000" in own_hosts(event(requestContext=local))


def _answering(text: str) -> Callable[[Event, Any], Response]:
    return lambda _event, _context: Response(200, text, {})


def answered(method: str, path: str) -> tuple[int, str]:
    """The status and body for a path, from a handler whose routes answer with their own path."""
    shapes = ("/v1/models", "/v1/models/{id+}", "/v1/providers/{name}", "/openapi.json")
    routes = [Route("GET", shape, _answering(shape)) for shape in shapes]
    event = {"httpMethod": method, "path": path, "requestContext": {}}
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 1000)
    reply = lambda_handler(routes)(event, context)
    return reply["statusCode"], reply["body"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/v1/models/whisper", "/v1/models/{id+}"),
        ("/v1/models/openai/whisper", "/v1/models/{id+}"),
        ("/v1/providers/local", "/v1/providers/{name}"),
        ("/openapi.json", "/openapi.json"),
    ],
)
def test_a_path_is_answered_by_its_route(path: str, route: str) -> None:
    assert answered("GET", path) == (200, route)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models"),
        ("GET", "/v1"),
        ("GET", "/v1/providers/a/b"),
        ("GET", "/openapi-json"),
        ("GET", "/v1/models\n"),
    ],
)
def test_a_path_or_method_without_a_route_is_not_found(method: str, path: str) -> None:
    status, body = answered(method, path)
    assert (status, json.loads(body)["error"]["type"]) == (404, "not_found")
