from typing import Any

import pytest

from gateway.errors import Conflict, GatewayError, InvalidRequest, NotFound
from gateway.operators import ManifestRefused, Operator
from gateway.providers import AccessPolicy, deployments_of
from gateway.settings import CatalogSettings
from tests.fakes import FakeProviders

SETTINGS = CatalogSettings(provider_online_seconds=120, allow_private=False)


def service(name: str = "asr", **changes: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "type": "stt",
        "engine": "vllm",
        "url": "https://gpu.example/v1",
        "features": ["timestamps"],
        "models": [{"id": "asr-1", "hf": "Org/ASR"}],
    }
    return made | changes


def upload(*services: dict[str, Any], **changes: Any) -> dict[str, Any]:
    parsed = {
        "schema_version": 1,
        "agent": {"name": "home"},
        "hosts": [{"id": "h", "services": list(services)}],
    }
    return {"raw_yaml": "", "parsed": parsed | changes}


class Agent:
    """An operator at some second, with a store in memory."""

    def __init__(self, now: float = 1000.0) -> None:
        self.store = FakeProviders()
        self.now = now
        self.encryptions = 0
        self.own_keys: set[str] = set()

    @property
    def operator(self) -> Operator:
        return Operator("alice", self.store, self, SETTINGS, self.now, is_own_key=self.own_keys.__contains__)

    def encrypt(self, secret: str, *place: str) -> bytes:
        self.encryptions += 1
        return f"{'/'.join(place)}:{len(secret)}".encode()

    def holds(self, ciphertext: bytes, secret: str, *place: str) -> bool:
        return ciphertext == f"{'/'.join(place)}:{len(secret)}".encode()

    @property
    def view(self) -> dict[str, Any]:
        (provider,) = self.operator.list_providers()["data"]
        assert isinstance(provider, dict)
        return provider

    @property
    def stored(self) -> Any:
        return self.store.kept["alice", "home"]


def refused(call: Any, *args: Any) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        call(*args)
    return error.value


def test_registering_answers_what_the_agent_expects() -> None:
    agent = Agent()
    body = {"name": "home", "tailnet_hostname": "box", "agent_port": 8080}
    first = agent.operator.register(body)
    assert first == agent.operator.register(body)
    assert first.pop("provider_id") in range(1, 2**53)
    assert first == {"tailnet_hostname": "box", "tailscale_authkey": "", "tailscale_login_server": ""}


def test_registering_again_without_a_public_url_keeps_it() -> None:
    agent = Agent()
    agent.operator.register({"name": "home", "public_url": "https://box.example"})
    agent.operator.register({"name": "home"})
    assert agent.view["public_url"] == "https://box.example"


@pytest.mark.parametrize("name", ["", "a/b", "a#b", "a b", "x" * 65, "\x00", None, 7, ".."])
def test_a_provider_name_is_url_safe(name: Any) -> None:
    for call in (Agent().operator.register, Agent().operator.heartbeat):
        error = refused(call, {"name": name})
        assert isinstance(error, InvalidRequest)
        assert error.param == "name"


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    operator = Agent().operator
    for call in (operator.register, operator.heartbeat, operator.upload_manifest):
        assert isinstance(refused(call, body), InvalidRequest)


def test_a_manifest_creates_the_provider_and_routes_its_stt_services_only() -> None:
    agent = Agent()
    body = upload(service(), service("chat", type="llm"))
    assert agent.operator.upload_manifest(body) == {"manifest": body["parsed"], "errors": []}
    (found,) = deployments_of(agent.stored, "v")
    assert (found.model.slug, found.model.served_id, found.has_timestamps) == ("org/asr", "asr-1", True)
    asr, chat = agent.view["services"]
    assert (asr["routed"], asr["reason"]) == (True, None)
    assert (chat["routed"], "llm" in chat["reason"]) == (False, True)


def test_an_unchanged_upload_publishes_nothing_again() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    agent.now = 1050.0
    agent.operator.upload_manifest(upload(service()))
    assert (agent.store.publications, agent.stored.last_seen_at) == (1, 1050.0)


def test_an_invalid_upload_keeps_the_last_valid_one_routing_and_shows_its_problems() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    agent.now = 1050.0
    error = refused(agent.operator.upload_manifest, upload(service(engine="abacus"), service(type="oracle")))
    assert isinstance(error, ManifestRefused)
    problems = error.envelope()["errors"]
    assert any(each.startswith("hosts[0].services[0].engine: must be one of [vllm") for each in problems)
    assert any(each.startswith("hosts[0].services[1].type:") for each in problems)
    assert agent.view["manifest"]["errors"] == problems
    assert agent.view["services"][0]["routed"]
    assert agent.stored.last_seen_at == 1050.0


def test_the_next_valid_upload_clears_the_problems() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    refused(agent.operator.upload_manifest, upload(service(engine="abacus")))
    agent.operator.upload_manifest(upload(service()))
    assert agent.view["manifest"]["errors"] == []


def test_an_invalid_manifest_of_an_unknown_provider_is_shown_to_its_operator_too() -> None:
    agent = Agent()
    refused(agent.operator.upload_manifest, upload(service(engine="abacus")))
    assert (agent.view["online"], agent.view["services"]) == (True, [])
    assert agent.view["manifest"]["errors"][0].startswith("hosts[0].services[0].engine")


def test_an_invalid_manifest_without_a_usable_name_creates_nothing() -> None:
    agent = Agent()
    refused(agent.operator.upload_manifest, upload(service(), agent={"name": "a/b"}))
    assert agent.store.kept == {}


def test_a_heartbeat_keeps_a_known_provider_online_and_an_unknown_one_is_not_found() -> None:
    agent = Agent()
    assert isinstance(refused(agent.operator.heartbeat, {"name": "home"}), NotFound)
    agent.operator.register({"name": "home"})
    agent.now = 1200.0
    assert agent.view["online"] is False
    beat = agent.operator.heartbeat({"name": "home", "tailnet_addr": "100.64.0.1"})
    assert (beat["online"], beat["last_seen_at"]) == (True, "1970-01-01T00:20:00.000Z")
    assert agent.view["online"] is True


def test_a_provider_is_offline_two_minutes_after_its_last_sign_of_life() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    agent.now = 1120.0
    assert agent.view["online"] is True
    agent.now = 1121.0
    assert (agent.view["online"], agent.view["seconds_since_last_seen"]) == (False, 121)
    assert "offline" in agent.view["services"][0]["reason"]


def test_a_url_that_cannot_be_dialled_is_accepted_and_explained() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service(url="http://192.168.1.7:8000/v1")))
    asr = agent.view["services"][0]
    assert (asr["routed"], asr["reason"].startswith("the url cannot be dialled")) == (False, True)


def test_a_public_url_is_what_is_dialled_and_null_clears_it() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service(url="http://192.168.1.7:8000/v1")))
    view = agent.operator.change_provider("home", {"public_url": "https://box.example/v1/"})
    assert view["services"][0]["routed"]
    assert deployments_of(agent.stored, "v")[0].base_url == "https://box.example/v1"
    assert not agent.operator.change_provider("home", {"public_url": None})["services"][0]["routed"]


def test_several_stt_services_behind_one_public_url_are_warned_of() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service(), service("asr2")))
    agent.operator.change_provider("home", {"public_url": "https://box.example/v1"})
    assert all("first" in each["warnings"][0] for each in agent.view["services"])


@pytest.mark.parametrize(
    "url",
    [
        "box.example",
        "ftp://box.example",
        "https://",
        7,
        "https://x y",
        "https://x:99999",
        "https://u:p@x.example",
    ],
)
def test_a_public_url_is_absolute(url: Any) -> None:
    agent = Agent()
    agent.operator.register({"name": "home"})
    error = refused(agent.operator.change_provider, "home", {"public_url": url})
    assert error.param == "public_url"


def test_a_patched_access_wins_survives_uploads_and_null_gives_the_manifest_its_word_back() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    view = agent.operator.change_service(
        "home", "asr", {"access": "restricted", "allowed_users": ["bob", "bob"]}
    )
    assert (view["services"][0]["access"], view["services"][0]["allowed_users"]) == ("restricted", ["bob"])
    agent.operator.upload_manifest(upload(service(access="authenticated")))
    assert agent.stored.policies == {"asr": AccessPolicy("restricted", ("bob",))}
    assert deployments_of(agent.stored, "v")[0].access == "restricted"
    agent.operator.change_service("home", "asr", {"access": None, "allowed_users": None})
    assert agent.stored.policies == {}
    assert agent.view["services"][0]["access"] == "authenticated"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"access": "public"}, "access"),
        ({"access": ["private"]}, "access"),
        ({"allowed_users": "bob"}, "allowed_users"),
        ({"allowed_users": ["a/b"]}, "allowed_users"),
        ({"allowed_users": ["u"] * 101}, "allowed_users"),
        ({"acess": "private"}, None),
        ({}, None),
    ],
)
def test_a_bad_access_policy_is_refused(body: dict[str, Any], param: str | None) -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    error = refused(agent.operator.change_service, "home", "asr", body)
    assert isinstance(error, InvalidRequest)
    assert error.param == param


def test_the_users_that_were_patched_in_are_bounded_over_all_services() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(*(service(f"s{n}") for n in range(21))))
    users = [f"user-{n}" for n in range(100)]
    for number in range(20):
        agent.operator.change_service("home", f"s{number}", {"allowed_users": users})
    error = refused(agent.operator.change_service, "home", "s20", {"allowed_users": users})
    assert error.param == "allowed_users"


def test_an_unknown_provider_or_service_is_not_found() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    for error in (
        refused(agent.operator.change_provider, "away", {"public_url": None}),
        refused(agent.operator.change_service, "home", "tts", {"access": "private"}),
        refused(agent.operator.delete, "away"),
    ):
        assert isinstance(error, NotFound)


def test_a_credential_is_encrypted_for_its_service_and_shown_to_nobody() -> None:
    agent = Agent()
    answer = agent.operator.upload_manifest(upload(service(api_key="hunter2-hunter2")))
    assert agent.stored.credentials == {"asr": b"alice/home/asr:15"}
    assert deployments_of(agent.stored, "v")[0].credential == b"alice/home/asr:15"
    assert "hunter2" not in repr([answer, agent.view, agent.stored.document])


def test_an_unchanged_upload_with_a_credential_publishes_nothing_again() -> None:
    agent = Agent()
    for _ in range(2):
        agent.operator.upload_manifest(upload(service(api_key="hunter2-hunter2")))
    assert (agent.store.publications, agent.encryptions) == (1, 1)


def test_a_manifest_that_drops_a_credential_removes_it() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service(api_key="hunter2-hunter2")))
    agent.operator.upload_manifest(upload(service()))
    assert agent.stored.credentials == {}


def test_two_changes_at_once_both_hold() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))

    def interfere() -> None:
        agent.store.interfere = lambda: None
        agent.operator.change_service("home", "asr", {"access": "authenticated"})

    agent.store.interfere = interfere
    agent.operator.upload_manifest(upload(service(), service("asr2")))
    assert [each["name"] for each in agent.view["services"]] == ["asr", "asr2"]
    assert agent.view["services"][0]["access"] == "authenticated"


def test_a_provider_that_is_changed_without_end_is_a_conflict() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    agent.store.publish = lambda _: False  # type: ignore[method-assign]
    assert isinstance(
        refused(agent.operator.change_provider, "home", {"public_url": "https://x.example"}), Conflict
    )


def test_a_deleted_provider_is_gone() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    answer = agent.operator.delete("home")
    assert (answer["object"], answer["deleted"], answer["id"] > 0) == ("provider", True, True)
    assert agent.operator.list_providers() == {"object": "list", "data": []}


def test_a_change_that_was_interrupted_before_it_routed_is_completed_by_the_next() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    publish = agent.store.publish

    def crash(_: Any) -> bool:
        raise ConnectionError

    agent.store.publish = crash  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        agent.operator.change_service("home", "asr", {"access": "authenticated"})
    agent.store.publish = publish  # type: ignore[method-assign]
    agent.operator.upload_manifest(upload(service()))
    assert agent.stored.published_policies == {"asr": AccessPolicy("authenticated", None)}
