import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import Conflict, GatewayError, InvalidRequest, NotFound
from gateway.providers.deployments import Deployment
from gateway.providers.operators import ManifestRefused, Operator
from gateway.providers.provider import AccessPolicy, Provider, deployments_of
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
    """An operator at a given second, with a store in memory."""

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

    def decrypt(self, deployment: Deployment) -> str | None:
        raise AssertionError("an operator's change never reads a credential")

    def forget(self) -> None:
        raise AssertionError("an operator's change never drops credentials from memory")

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


def test_registering_returns_what_the_agent_expects() -> None:
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
def test_a_body_that_is_not_an_object_is_refused(body: Any) -> None:
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


def test_a_provider_is_offline_two_minutes_after_its_last_contact() -> None:
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
    assert (asr["routed"], asr["reason"].startswith("the gateway cannot use the url")) == (False, True)


def test_a_public_url_is_dialled_and_null_clears_it() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service(url="http://192.168.1.7:8000/v1")))
    view = agent.operator.change_provider("home", {"public_url": "https://box.example/v1/"})
    assert view["services"][0]["routed"]
    assert deployments_of(agent.stored, "v")[0].base_url == "https://box.example/v1"
    assert not agent.operator.change_provider("home", {"public_url": None})["services"][0]["routed"]


def test_several_stt_services_with_one_public_url_give_a_warning() -> None:
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


def test_a_patched_access_policy_wins_survives_uploads_and_null_restores_the_manifests() -> None:
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


def test_the_number_of_patched_users_is_limited_over_all_services() -> None:
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


def test_a_credential_is_encrypted_for_its_service_and_never_shown() -> None:
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


def test_two_concurrent_changes_both_take_effect() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))

    def interfere() -> None:
        agent.store.interfere = lambda: None
        agent.operator.change_service("home", "asr", {"access": "authenticated"})

    agent.store.interfere = interfere
    agent.operator.upload_manifest(upload(service(), service("asr2")))
    assert [each["name"] for each in agent.view["services"]] == ["asr", "asr2"]
    assert agent.view["services"][0]["access"] == "authenticated"


def test_a_provider_that_never_stops_changing_is_a_conflict() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    agent.store.publish = lambda provider: False  # type: ignore[method-assign]
    assert isinstance(
        refused(agent.operator.change_provider, "home", {"public_url": "https://x.example"}), Conflict
    )


def test_a_deleted_provider_is_gone() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    answer = agent.operator.delete("home")
    assert (answer["object"], answer["deleted"], answer["id"] > 0) == ("provider", True, True)
    assert agent.operator.list_providers() == {"object": "list", "data": []}


def test_the_next_change_completes_one_interrupted_before_it_routed() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    publish = agent.store.publish

    def crash(provider: Provider) -> bool:
        raise ConnectionError

    agent.store.publish = crash  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        agent.operator.change_service("home", "asr", {"access": "authenticated"})
    agent.store.publish = publish  # type: ignore[method-assign]
    agent.operator.upload_manifest(upload(service()))
    assert agent.stored.published_policies == {"asr": AccessPolicy("authenticated", None)}


# --- bounds


def agent_of_many(count: int) -> Agent:
    agent = Agent()
    for number in range(count):
        agent.operator.register({"name": f"box-{number}"})
    return agent


def test_a_twenty_first_provider_is_refused_and_the_twenty_continue() -> None:
    agent = agent_of_many(20)
    by_name = refused(agent.operator.register, {"name": "one-more"})
    assert (type(by_name).status, by_name.param) == (400, "name")
    by_manifest = refused(agent.operator.upload_manifest, upload(service(), agent={"name": "one-more"}))
    assert isinstance(by_manifest, ManifestRefused)
    (problem,) = by_manifest.problems
    assert problem.startswith("agent.name: an owner can have at most 20 providers")
    agent.operator.upload_manifest(upload(service(), agent={"name": "box-7"}))
    assert agent.operator.heartbeat({"name": "box-7"})["online"]
    agent.operator.delete("box-0")
    agent.operator.register({"name": "one-more"})


def test_an_invalid_manifest_does_not_create_a_twenty_first_provider() -> None:
    agent = agent_of_many(20)
    error = refused(agent.operator.upload_manifest, upload(service(engine="x"), agent={"name": "one-more"}))
    assert isinstance(error, ManifestRefused)
    assert error.problems[0].startswith("hosts[0].services[0].engine")
    assert len(agent.store.kept) == 20


USERS = [f"user-{number}" for number in range(1000)]


def restricted(name: str, users: list[str], models: int = 1) -> dict[str, Any]:
    entries = [{"id": f"{name}-{number}"} for number in range(models)]
    return service(name, access="restricted", allowed_users=users, models=entries)


def test_a_change_of_access_that_would_take_too_many_rows_is_refused() -> None:
    agent = Agent()
    models = [{"id": f"m-{number}"} for number in range(200)]
    agent.operator.upload_manifest(
        upload(service("a", models=models), service("b", models=models), service("c", models=models[:90]))
    )
    accepted = {"access": "restricted", "allowed_users": USERS[:9]}
    assert agent.operator.change_service("home", "c", accepted)
    error = refused(agent.operator.change_service, "home", "c", {"allowed_users": USERS[:10]})
    assert isinstance(error, InvalidRequest)
    assert error.param == "allowed_users"
    assert "at most 500 rows, but need 501" in error.message
    assert agent.view["services"][2]["allowed_users"] == USERS[:9]


def test_a_manifest_with_too_many_rows_after_patches_is_refused_and_the_last_one_routes() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(*(restricted(f"s{n}", []) for n in range(5))))
    for number in range(4):
        users = USERS[number * 100 : number * 100 + 100]
        agent.operator.change_service("home", f"s{number}", {"allowed_users": users})
    error = refused(
        agent.operator.upload_manifest, upload(*(restricted(f"s{n}", [], models=20) for n in range(5)))
    )
    assert isinstance(error, ManifestRefused)
    assert error.problems[0].startswith("hosts[].services: may need at most 500 rows, but need 501")
    assert agent.view["manifest"]["errors"] == error.problems
    assert len(agent.view["services"][0]["models"]) == 1


def test_a_manifest_older_than_the_limits_is_shown_and_may_be_reduced() -> None:
    agent = Agent()
    agent.operator.upload_manifest(upload(service()))
    models = [{"id": f"m-{number}", "features": ["f" * 100] * 20} for number in range(700)]
    document = upload(service(models=models, access="restricted", allowed_users=["bob"]))["parsed"]
    agent.store.kept["alice", "home"] = replace(agent.stored, document=document)
    assert len(agent.view["services"][0]["models"]) == 700
    agent.operator.change_provider("home", {"public_url": "https://box.example"})
    agent.operator.change_service("home", "asr", {"access": "private"})
    assert isinstance(
        refused(
            agent.operator.change_service, "home", "asr", {"allowed_users": ["bob"], "access": "restricted"}
        ),
        InvalidRequest,
    )
    assert agent.operator.delete("home")["deleted"]


def test_patches_to_services_that_come_and_go_are_limited() -> None:
    agent = Agent()
    for generation in range(2):
        agent.operator.upload_manifest(upload(*(service(f"s{generation}-{n}") for n in range(100))))
        for number in range(100):
            agent.operator.change_service("home", f"s{generation}-{number}", {"access": "private"})
    agent.operator.upload_manifest(upload(service("last")))
    error = refused(agent.operator.change_service, "home", "last", {"access": "private"})
    assert isinstance(error, InvalidRequest)
    # A service removed from the manifest makes room.
    agent.operator.change_service("home", "s0-7", {"access": None})
    agent.operator.change_service("home", "last", {"access": "private"})


def test_twenty_providers_at_their_limits_fit_one_answer_which_says_what_it_leaves_out() -> None:
    agent = Agent()
    names = [f"{number:03d}-{chr(0x1F984) * 31}" for number in range(20)]
    # 60 characters per user id, 100 users per service, 20 services changed: 2,000 users per provider.
    users = [f"{'u' * 56}-{number:03d}" for number in range(100)]
    for box in range(20):
        body = upload(*(service(name, notes='"' * 1024) for name in names), agent={"name": f"box-{box:02d}"})
        agent.operator.upload_manifest(body)
        stored = agent.store.kept["alice", f"box-{box:02d}"]
        policies = {name: AccessPolicy("restricted", tuple(users)) for name in names}
        errors = tuple('"' * 700 for _ in range(101))
        agent.store.kept["alice", f"box-{box:02d}"] = replace(stored, policies=policies, errors=errors)
    listing = agent.operator.list_providers()
    text = json.dumps(listing, ensure_ascii=False, separators=(",", ":"))
    assert len(json.dumps(text).encode()) < 6_291_556
    assert len(listing["data"]) == 20
    assert listing["truncated"] is True
    assert listing["data"][0]["services"]
    assert listing["data"][0]["manifest"]["errors"]
    assert listing["data"][-1]["services"] == []


# --- loops


def test_a_service_with_one_of_our_keys_is_not_routed_and_its_key_is_not_stored() -> None:
    agent = Agent()
    agent.own_keys = {"sk-one-of-ours-0000"}
    agent.operator.upload_manifest(
        upload(
            service("loop", api_key="sk-one-of-ours-0000"),
            service("fine", api_key="sk-another-servers-key"),
        )
    )
    assert [each.service for each in deployments_of(agent.stored, "v")] == ["fine"]
    assert set(agent.stored.credentials) == {"fine"}
    loop, fine = agent.view["services"]
    assert (loop["routed"], fine["routed"]) == (False, True)
    assert loop["reason"].startswith("its api_key is a key of this gateway, so calls would come back here")
    assert "sk-one-of-ours" not in repr([agent.view, agent.stored])


def test_a_looping_service_stays_unrouted_when_something_else_is_changed() -> None:
    agent = Agent()
    agent.own_keys = {"sk-one-of-ours-0000"}
    agent.operator.upload_manifest(upload(service(api_key="sk-one-of-ours-0000")))
    agent.own_keys = set()
    view = agent.operator.change_provider("home", {"public_url": "https://box.example"})
    assert not view["services"][0]["routed"]
    agent.operator.change_service("home", "asr", {"access": "authenticated"})
    assert deployments_of(agent.stored, "v") == []


def test_a_looping_service_routes_once_it_has_its_own_key() -> None:
    agent = Agent()
    agent.own_keys = {"sk-one-of-ours-0000"}
    agent.operator.upload_manifest(upload(service(api_key="sk-one-of-ours-0000")))
    agent.operator.upload_manifest(upload(service(api_key="sk-the-servers-key")))
    assert agent.view["services"][0]["routed"]
    agent.operator.upload_manifest(upload(service(api_key="sk-one-of-ours-0000")))
    assert not agent.view["services"][0]["routed"]


def test_a_key_shared_by_many_services_is_looked_up_once() -> None:
    agent = Agent()
    asked: list[str] = []

    def is_own_key(key: str) -> bool:
        asked.append(key)
        return False

    operator = replace(agent.operator, is_own_key=is_own_key)
    operator.upload_manifest(upload(*(service(f"s{n}", api_key="sk-shared-0000000000") for n in range(50))))
    assert asked == ["sk-shared-0000000000"]
