"""Providers whose URLs lead back to the gateway: one request stays one request."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.wire import (
    assert_error,
    fields,
    file_part,
    form,
    post_form,
    send,
    send_json,
    transcribe,
)
from tests.running import Gateway, start_gateway, usage_records

pytestmark = pytest.mark.e2e
PLACES = 4


class Relay:
    """A reverse proxy in front of the gateway that calls it with a key of its own, and strips headers if told to."""

    def __init__(self, gateway: Gateway, strips: tuple[str, ...] = ()) -> None:
        self.calls = 0
        self.statuses: list[int] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                relay.calls += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in strips}
                connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
                headers = {**kept, "Host": f"127.0.0.1:{gateway.port}", **gateway.authorization("bob")}
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                relay.statuses.append(answer.status)
                self.send_response(answer.status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A local run whose users have four places in flight."""
    running = start_gateway(tmp_path_factory.mktemp("loops"), MAX_IN_FLIGHT_PER_USER=str(PLACES))
    yield running
    assert running.end() == 0


def publish(gateway: Gateway, name: str, url: str) -> None:
    service = {"name": "asr", "type": "stt", "engine": "other", "url": url, "models": [{"id": name}]}
    parsed = {"schema_version": 1, "agent": {"name": name}, "hosts": [{"id": "h", "services": [service]}]}
    body = {"raw_yaml": "", "parsed": parsed}
    assert send_json(gateway, "PUT", "/api/inference/agent/manifest", body, key="bob").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]"])
def test_a_provider_at_the_gateways_own_address_is_not_routed_and_its_operator_is_told_why(
    looping: Gateway, host: str
) -> None:
    publish(looping, "own-address", f"http://{host}:{looping.port}/v1")
    assert_error(transcribe(looping, model="own-address", key="bob"), 404, "no_provider")
    providers = send(looping, "GET", "/v1/providers", key="bob").json()["data"]
    (service,) = next(each for each in providers if each["name"] == "own-address")["services"]
    assert service["routed"] is False
    assert "this gateway itself" in service["reason"]


def test_a_request_that_comes_back_through_a_proxy_is_refused_at_once(looping: Gateway) -> None:
    relay = Relay(looping)
    try:
        publish(looping, "round", relay.url)
        before = len(usage_records(looping.directory / "data"))
        reply = transcribe(looping, model="round", key="bob")
        assert_error(reply, 502, "upstream_error")
        assert (relay.calls, relay.statuses) == (1, [508])
        new = usage_records(looping.directory / "data")[before:]
        assert sorted((user, status) for user, _, status in new) == [("bob", 502), ("bob", 508)]
    finally:
        relay.stop()


def test_a_loop_whose_proxy_strips_every_sign_ends_when_its_user_has_no_place_left(looping: Gateway) -> None:
    relay = Relay(looping, strips=("via", "x-stt-gateway-via"))
    try:
        publish(looping, "stripped", relay.url)
        reply = transcribe(looping, model="stripped", key="bob")
        assert_error(reply, 502, "upstream_error")
        assert relay.calls == PLACES
        assert relay.statuses[0] == 429
        # Nobody else waits for it, and its user's places are free again.
        assert transcribe(looping).status == 200
        assert transcribe(looping, key="bob", model="nobody-serves-this").status == 404
    finally:
        relay.stop()


def test_a_stranger_who_sends_another_proxys_via_is_served(looping: Gateway) -> None:
    body = form(file_part(), fields(("model", looping.model)))
    reply = post_form(looping, body, headers={"Via": "1.1 nginx, 2.0 cdn", "x-stt-gateway-via": "f" * 32})
    assert reply.status == 200
