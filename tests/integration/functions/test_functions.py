"""Each handler with the events in `events/` and the template's tables: the edge's answers."""

import importlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts.keys import Caller, Limits
from gateway.http import EXPOSED
from gateway.providers.operators import Operator
from gateway.settings import CatalogSettings
from gateway.store.dynamodb import aws
from gateway.store.dynamodb.catalog import catalog_store
from gateway.store.dynamodb.credentials import credential_store
from gateway.store.dynamodb.keys import key_store
from gateway.store.dynamodb.providers import provider_store
from gateway.store.dynamodb.usage import usage_store
from tests.integration.function_processes import EVENTS, function_of
from tests.lambda_context import LambdaContext
from tests.running import ROOT
from tests.template import Template, load

pytestmark = pytest.mark.usefixtures("in_process_aws")


def event(name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return made


def invoke(name: str, **changes: Any) -> dict[str, Any]:
    handler = importlib.import_module(f"functions.{function_of(name)}.app").handler
    answer: dict[str, Any] = handler({**event(name), **changes}, LambdaContext())
    return answer


def error_of(answer: dict[str, Any]) -> tuple[int, str]:
    body = json.loads(answer["body"])
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return answer["statusCode"], body["error"]["type"]


def publish(access: str = "authenticated", owner: str = "carol", **changes: str) -> None:
    url, models = "https://asr.example/v1", [{"id": "pocketsphinx/en-us"} | changes]
    service = {
        "name": "asr",
        "type": "stt",
        "engine": "other",
        "url": url,
        "models": models,
        "access": access,
    }
    parsed = {"schema_version": 1, "agent": {"name": "home"}, "hosts": [{"id": "h", "services": [service]}]}
    settings = CatalogSettings(provider_online_seconds=120, allow_private=False)
    operator = Operator(
        owner, provider_store(), credential_store(), settings, time.time(), is_own_key=lambda _: False
    )
    operator.upload_manifest({"parsed": parsed})


@pytest.mark.parametrize(
    "path", [path for path in sorted(EVENTS.glob("*.json")) if path.stem != "env"], ids=lambda path: path.stem
)
def test_every_event_is_handled_without_a_defect(path: Path) -> None:
    answer = invoke(path.stem)
    if "statusCode" in answer:
        assert answer["statusCode"] < 500, answer["body"]
        headers = {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()}
        # An id of the gateway's own: API Gateway's can be chosen by the client.
        assert uuid.UUID(headers["x-request-id"]).version == 7
        assert (headers["access-control-allow-origin"], headers["access-control-expose-headers"]) == (
            "*",
            EXPOSED,
        )


def test_the_template_and_the_edge_expose_the_same_headers(in_process_aws: Template) -> None:
    for response in in_process_aws.api()["GatewayResponses"].values():
        headers = {name.lower(): value for name, value in response["ResponseParameters"]["Headers"].items()}
        assert headers["access-control-expose-headers"] == f"'{EXPOSED}'"


@pytest.fixture(scope="module")
def exercised(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """By logical id, the statuses that a function returned and the variables it read."""
    seen = tmp_path_factory.mktemp("functions") / "seen.json"
    program = [sys.executable, "-m", "tests.integration.function_processes", str(seen)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/shared'}"}
    ran = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(seen.read_text())
    return found


@pytest.fixture(scope="module")
def shared() -> set[str]:
    """The variables that the template declares for all functions."""
    return set(load()["Globals"]["Function"]["Environment"]["Variables"])


@pytest.mark.parametrize("name", sorted(Template().functions()))
def test_a_function_declares_every_variable_that_it_reads_and_no_other(
    name: str, exercised: Mapping[str, Any], shared: set[str]
) -> None:
    assert set(exercised[name]["own"]) == set(Template().functions()[name].environment) - shared
    assert exercised[name]["statuses"]
    assert max(exercised[name]["statuses"]) < 500


def test_a_variable_for_all_functions_is_read_by_all_or_all_but_one(
    exercised: Mapping[str, Any], shared: set[str]
) -> None:
    for variable in shared:
        without = [name for name, seen in exercised.items() if variable not in seen["read"]]
        assert len(without) <= 1, (variable, without)


def test_a_known_key_is_allowed_and_an_unknown_one_denied() -> None:
    key_store().create("alice", key=event("authorizer_known_key")["authorizationToken"].partition(" ")[2])
    effects = [
        invoke(name)["policyDocument"]["Statement"][0]["Effect"]
        for name in ("authorizer_known_key", "authorizer_unknown_key", "authorizer_malformed_header")
    ]
    assert effects == ["Allow", "Deny", "Deny"]


def test_a_model_is_retrieved_by_an_id_with_a_slash_raw_or_encoded() -> None:
    publish()
    for sent in ("pocketsphinx/en-us", "pocketsphinx%2Fen-us", "PocketSphinx%2FEN-US"):
        changes = {"path": f"/v1/models/{sent}", "pathParameters": {"id": sent}}
        answer = invoke("models_retrieve", **changes)
        assert json.loads(answer["body"])["id"] == "pocketsphinx/en-us"


def test_a_name_that_is_a_slug_and_a_served_id_is_retrieved_as_it_is_listed() -> None:
    for owner in ("carol", "dave"):
        publish(owner=owner, id="whisper-1", hf="openai/whisper-large-v3")
    publish(owner="erin", id="large", hf="openai/whisper-large-v3")
    listed = {each["id"]: each for each in json.loads(invoke("models_list")["body"])["data"]}
    assert listed["openai/whisper-large-v3"]["providers"] == 3

    changes = {"path": "/v1/models/whisper-1", "pathParameters": {"id": "whisper-1"}}
    assert json.loads(invoke("models_retrieve", **changes)["body"]) == listed["openai/whisper-large-v3"]

    publish(owner="mallory", id="whisper-1")
    catalog_store().forget()
    listed = {each["id"]: each for each in json.loads(invoke("models_list")["body"])["data"]}
    assert json.loads(invoke("models_retrieve", **changes)["body"]) == listed["whisper-1"]
    assert listed["openai/whisper-large-v3"]["providers"] == 3


def test_a_model_for_its_owner_only_is_neither_listed_nor_found() -> None:
    publish(access="private")
    assert json.loads(invoke("models_list")["body"])["data"] == []
    assert error_of(invoke("models_retrieve")) == (404, "not_found")


def test_a_service_with_one_of_our_own_keys_is_not_routed_and_says_why() -> None:
    key, _ = key_store().create("alice")
    sent = json.loads(event("agents_manifest")["body"])
    (service, *_) = sent["parsed"]["hosts"][0]["services"]
    service |= {"type": "stt", "api_key": key, "url": "https://asr.example/v1"}
    assert invoke("agents_manifest", body=json.dumps(sent))["statusCode"] == 200
    (provider,) = json.loads(invoke("agents_list_providers")["body"])["data"]
    (shown, *_) = provider["services"]
    assert (shown["routed"], shown["reason"].startswith("its api_key is a key of this gateway")) == (
        False,
        True,
    )


def test_translations_is_a_real_route_that_is_not_available() -> None:
    assert error_of(invoke("translate")) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_method_is_not_found_in_the_envelope(method: str) -> None:
    assert error_of(invoke("transcribe_missing_file", httpMethod=method)) == (404, "not_found")


def test_a_body_that_is_not_base64_is_refused_and_recorded() -> None:
    answer = invoke("transcribe", body="not base64!", isBase64Encoded=True)
    assert error_of(answer) == (400, "invalid_request_error")
    (record,) = aws.query(usage_store().table, "user#alice")
    assert (record["http_status"], record["error_type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("body", ["", "{", "[1,", '"x"', "null"])
def test_json_that_is_invalid_or_not_an_object_is_refused(body: str) -> None:
    answer = invoke("agents_register", body=body, isBase64Encoded=False)
    assert error_of(answer) == (400, "invalid_request_error")


def test_a_defect_is_answered_in_the_envelope_and_logged_without_what_was_sent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("sk-secret spoken words")

    monkeypatch.setattr(aws, "query", break_down)
    answer = invoke("models_list")
    assert error_of(answer) == (500, "api_error")
    assert "sk-secret" not in answer["body"] + caplog.text
    (line,) = [each for each in caplog.records if each.getMessage() == "unhandled"]
    assert line.__dict__["kind"] == "RuntimeError"
    assert any(
        "store" in where or "aws.py" in where or "catalog.py" in where for where in line.__dict__["where"]
    )


def test_a_page_is_served_with_a_strict_policy_and_an_etag_that_saves_the_second_download() -> None:
    first = invoke("site_playground")
    headers = {name.lower(): values[0] for name, values in first["multiValueHeaders"].items()}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    again = invoke("site_playground", headers={"If-None-Match": headers["etag"]})
    assert (again["statusCode"], again["body"]) == (304, "")


@pytest.mark.parametrize(
    "asset",
    [
        "../app.py",
        "%2e%2e/app.py",
        "..%2fapp.py",
        "/etc/passwd",
        "nothing.js",
        "",
        "%00.js",
        "\0.js",
        "%ff.js",
        "%ED%A0%80.js",
        "\ud800.js",
        "..%5capp.py",
        pytest.param("x" * 5000 + ".js", id="long"),
        pytest.param("%2e%2e%2f" * 500 + "app.js", id="many steps up"),
    ],
)
def test_only_files_of_the_playground_are_served(asset: str) -> None:
    changes = {"path": f"/playground/{asset}", "pathParameters": {"asset": asset}}
    assert invoke("site_playground", **changes)["statusCode"] in (404, 307, 308)


def test_an_operator_may_make_thirty_changes_a_minute_and_any_number_of_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # so that a slow machine allows no thirty-first
    names = ("agents_register", "agents_manifest", "agents_register")
    answers = [invoke(names[number % 3]) for number in range(31)]
    assert [each["statusCode"] for each in answers] == [200] * 30 + [429]
    assert error_of(answers[-1]) == (429, "rate_limit_error")
    headers = {name: values[0] for name, values in answers[-1]["multiValueHeaders"].items()}
    assert (headers["x-ratelimit-limit-requests"], headers["retry-after"]) == ("30", "2")
    assert {invoke("agents_heartbeat")["statusCode"] for _ in range(40)} == {200}


def test_a_change_that_writes_megabytes_counts_as_several() -> None:
    """Heartbeats go to the same table: thirty of these a minute use its whole write capacity."""
    features = [f"{number:02d}{'f' * 62}" for number in range(16)]
    service: dict[str, Any] = {"name": "s", "type": "stt", "engine": "vllm", "features": features}
    service["access"] = "restricted"
    service |= {"url": f"https://h/{'x' * 1000}", "allowed_users": [f"{'u' * 60}{n:04d}" for n in range(100)]}
    service |= {"models": [{"hf": f"x{number}", "id": f"y{number}"} for number in range(190)]}
    parsed = {"schema_version": 1, "agent": {"name": "big"}, "hosts": [{"id": "h", "services": [service]}]}
    answers = [
        invoke("agents_manifest", body=json.dumps({"parsed": parsed | {"notes": f"{number}"}}))
        for number in range(4)
    ]
    assert [each["statusCode"] for each in answers][0::3] == [200, 429]
    ordinary = {**service, "allowed_users": [], "features": [], "access": "authenticated"}
    small = {**parsed, "hosts": [{"id": "h", "services": [ordinary | {"models": service["models"][:50]}]}]}
    bob = {**event("agents_manifest")["requestContext"], "authorizer": {"user_id": "bob", "key_id": "k"}}
    answers = [
        invoke(
            "agents_manifest",
            body=json.dumps({"parsed": small | {"notes": f"{number}"}}),
            requestContext=bob,
        )
        for number in range(20)
    ]
    assert [each["statusCode"] for each in answers] == [200] * 20


def test_a_user_whose_changes_have_no_limit_may_make_any_number() -> None:
    free = Caller("alice", "key_1", limits=Limits(changes_per_minute=None)).to_context()
    context = event("agents_register")["requestContext"] | {"authorizer": free}
    statuses = {invoke("agents_register", requestContext=context)["statusCode"] for _ in range(40)}
    assert statuses == {200}
