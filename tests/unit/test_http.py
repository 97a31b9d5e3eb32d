"""How the edge reads API Gateway events, above all what a client can write into them."""

import re
from typing import Any

import pytest

from gateway.http import api_gateway_id_of, client_id_of, new_request_id, own_hosts, via_of


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
