"""Operators' agents against a running gateway: the Go agent's calls in direct mode, and what others see of them."""

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.wire import Reply, assert_error, send, send_json, transcribe
from tests.running import Gateway
from tests.stub_provider import Say, StubProvider

pytestmark = pytest.mark.e2e
AGENT = "/api/inference/agent"
# What an operator changes is seen by every caller within 5 s (contract section 5), and a test has a call to make.
FRESH_SECONDS = 5.0 + 2.0


class Operator:
    """One user's agent for one provider, speaking exactly the agent's three calls."""

    def __init__(self, gateway: Gateway, user: str) -> None:
        self.gateway, self.user = gateway, user
        self.name = f"box-{secrets.token_hex(4)}"
        self.stub = StubProvider()

    def call(self, method: str, path: str, body: Any) -> Reply:
        return send_json(self.gateway, method, path, body, key=self.user)

    def register(self) -> Reply:
        body = {"name": self.name, "tailnet_hostname": "box", "agent_port": 8080}
        return self.call("POST", f"{AGENT}/register/", body)

    def publish(self, model: str, **service: Any) -> Reply:
        entry = {
            "name": "asr",
            "type": "stt",
            "engine": "vllm",
            "url": self.stub.url,
            "models": [{"id": model}],
        }
        hosts = [{"id": "h", "services": [entry | service]}]
        parsed = {"schema_version": 1, "agent": {"name": self.name}, "hosts": hosts}
        return self.call("PUT", f"{AGENT}/manifest/", {"raw_yaml": "", "parsed": parsed})

    def beat(self) -> Reply:
        return self.call("POST", f"{AGENT}/heartbeat/", {"name": self.name, "tailnet_addr": "100.64.0.7"})

    def change(self, **policy: Any) -> Reply:
        return self.call("PATCH", f"/v1/providers/{self.name}/services/asr", policy)

    @property
    def view(self) -> dict[str, Any]:
        listed = send(self.gateway, "GET", "/v1/providers", key=self.user).json()["data"]
        found: dict[str, Any] = next(each for each in listed if each["name"] == self.name)
        return found

    def stop(self) -> None:
        send(self.gateway, "DELETE", f"/v1/providers/{self.name}", key=self.user)
        self.stub.stop()


@pytest.fixture
def alice(gateway: Gateway) -> Iterator[Operator]:
    operator = Operator(gateway, "alice")
    yield operator
    operator.stop()


@pytest.fixture
def bob(gateway: Gateway) -> Iterator[Operator]:
    operator = Operator(gateway, "bob")
    yield operator
    operator.stop()


def models(gateway: Gateway, user: str) -> list[str]:
    return [each["id"] for each in send(gateway, "GET", "/v1/models", key=user).json()["data"]]


def eventually(check: Any, seconds: float = FRESH_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not seen within {seconds:g} s"
        time.sleep(0.1)


def test_the_go_agents_calls_make_a_provider_known_routed_and_alive(
    gateway: Gateway, alice: Operator
) -> None:
    model = f"go/{alice.name}"
    registered = alice.register()
    assert registered.status == 200
    assert registered.json()["tailscale_authkey"] == ""
    assert alice.publish(model).json()["errors"] == []
    beaten = alice.beat().json()
    assert (beaten["provider_id"], beaten["online"]) == (registered.json()["provider_id"], True)
    reply = transcribe(gateway, model=model)
    assert (reply.status, reply.headers["x-provider"]) == (200, f"alice/{alice.name}")


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_agents_routes_work_with_and_without_a_trailing_slash(alice: Operator, slash: str) -> None:
    assert alice.call("POST", f"{AGENT}/register{slash}", {"name": alice.name}).status == 200
    assert alice.call("POST", f"{AGENT}/heartbeat{slash}", {"name": alice.name}).status == 200


def test_two_users_with_the_same_model_see_and_reach_what_each_may(
    gateway: Gateway, alice: Operator, bob: Operator
) -> None:
    model = f"shared/{alice.name}"
    alice.publish(model)
    eventually(lambda: model in models(gateway, "alice"))
    assert model not in models(gateway, "bob")
    assert_error(transcribe(gateway, model=model, key="bob"), 404, "no_provider")
    assert_error(send(gateway, "GET", f"/v1/models/{model}", key="bob"), 404, "not_found")

    bob.publish(model)
    assert {transcribe(gateway, model=model, key="bob").headers["x-provider"] for _ in range(4)} == {
        f"bob/{bob.name}"
    }
    assert {transcribe(gateway, model=model).headers["x-provider"] for _ in range(4)} == {
        f"alice/{alice.name}"
    }

    assert (
        bob.change(access="restricted", allowed_users=["alice"]).json()["services"][0]["access"]
        == "restricted"
    )
    eventually(lambda: send(gateway, "GET", f"/v1/models/{model}").json()["providers"] == 2)
    # One of two at random: soon, but not at once.
    eventually(lambda: transcribe(gateway, model=model).headers["x-provider"] == f"bob/{bob.name}", 30)


def test_a_caller_who_may_not_use_a_deployment_cannot_tell_it_from_none(
    gateway: Gateway, alice: Operator
) -> None:
    model = f"hidden/{alice.name}"
    alice.publish(model)
    hidden = transcribe(gateway, model=model, key="bob")
    absent = transcribe(gateway, model="absent/model", key="bob")
    assert (hidden.status, hidden.body) == (absent.status, absent.body)


def test_removing_a_feature_or_a_service_is_seen_within_five_seconds(
    gateway: Gateway, alice: Operator
) -> None:
    model = f"fading/{alice.name}"
    alice.publish(model, features=["timestamps"])
    verbose = ("response_format", "verbose_json")
    assert "words" in transcribe(gateway, verbose, ("timestamp_granularities[]", "word"), model=model).json()
    alice.publish(model)
    eventually(lambda: "x-downgraded-response-format" in transcribe(gateway, verbose, model=model).headers)
    alice.publish("other/model")
    eventually(lambda: transcribe(gateway, model=model).status == 404)
    eventually(lambda: model not in models(gateway, "alice"))


def test_an_invalid_upload_keeps_the_last_valid_one_routing(gateway: Gateway, alice: Operator) -> None:
    model = f"kept/{alice.name}"
    alice.publish(model)
    refused = alice.publish(model, engine="abacus", url="nowhere", type="oracle")
    assert refused.status == 400
    paths = [problem.partition(":")[0] for problem in refused.json()["errors"]]
    assert (
        paths == [f"hosts[0].services[0].{field}" for field in ("engine", "type", "url")] or len(paths) == 3
    )
    assert alice.view["manifest"]["errors"] == refused.json()["errors"]
    assert transcribe(gateway, model=model).status == 200


def test_a_credential_reaches_its_service_alone_and_is_shown_nowhere(
    gateway: Gateway, alice: Operator
) -> None:
    model, credential = f"secret/{alice.name}", f"credential-{secrets.token_hex(8)}"
    published = alice.publish(model, api_key=credential)
    assert transcribe(gateway, model=model).status == 200
    assert alice.stub.asked[-1].headers["authorization"] == f"Bearer {credential}"
    assert credential not in published.body.decode() + str(alice.view)
    alice.publish(model)
    eventually(
        lambda: (
            transcribe(gateway, model=model).status == 200
            and "authorization" not in alice.stub.asked[-1].headers
        )
    )


def test_another_users_provider_of_the_same_name_is_another_provider(
    gateway: Gateway, alice: Operator, bob: Operator
) -> None:
    bob.name = alice.name
    alice.publish(f"a/{alice.name}")
    bob.publish(f"b/{alice.name}")
    assert alice.register().json()["provider_id"] != bob.register().json()["provider_id"]
    assert alice.view["services"][0]["models"] == [f"a/{alice.name}"]
    assert send(gateway, "DELETE", f"/v1/providers/{alice.name}", key="bob").status == 200
    assert alice.view["owner"] == "alice"


def test_a_deleted_provider_is_gone_at_once_for_its_owner_and_soon_for_callers(
    gateway: Gateway, alice: Operator
) -> None:
    model = f"gone/{alice.name}"
    alice.publish(model)
    assert transcribe(gateway, model=model).status == 200
    assert send(gateway, "DELETE", f"/v1/providers/{alice.name}").json()["deleted"] is True
    assert_error(send(gateway, "DELETE", f"/v1/providers/{alice.name}"), 404, "not_found")
    assert_error(alice.beat(), 404, "not_found")
    eventually(lambda: transcribe(gateway, model=model).status == 404)


def test_a_busy_provider_says_when_to_come_back(gateway: Gateway, alice: Operator) -> None:
    model = f"busy/{alice.name}"
    alice.publish(model)
    alice.stub.answers.append(Say(429, {"error": {"message": "busy"}}, {"retry-after": "7"}))
    reply = transcribe(gateway, model=model)
    assert_error(reply, 502, "upstream_error")
    assert reply.headers["retry-after"] == "7"
    assert "x-should-retry" not in reply.headers
