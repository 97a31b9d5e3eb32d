"""What a manifest may hold, and what its operator is told if it is invalid."""

import copy
import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from gateway import manifest
from gateway.manifest import InvalidManifestError
from tests.manifests import manifest_of, problems_of, service

# --- what is read


def test_the_slug_is_the_hugging_face_id_and_the_served_id_is_the_id() -> None:
    read = manifest.validate(
        manifest_of(service(models=[{"id": " whisper-1 ", "hf": " OpenAI/Whisper-Large-V3 "}]))
    )
    (model,) = read.services[0].models
    assert (model.slug, model.served_id) == ("openai/whisper-large-v3", "whisper-1")


@pytest.mark.parametrize("blank", [{}, {"id": None}, {"id": "  "}])
def test_a_model_without_an_id_is_served_under_its_hugging_face_id(blank: dict[str, Any]) -> None:
    read = manifest.validate(manifest_of(service(models=[blank | {"hf": "Qwen/Qwen3-ASR-1.7B"}])))
    (model,) = read.services[0].models
    assert (model.slug, model.served_id) == ("qwen/qwen3-asr-1.7b", "Qwen/Qwen3-ASR-1.7B")


def test_a_model_without_a_hugging_face_id_has_its_served_id_as_slug() -> None:
    (model,) = manifest.validate(manifest_of(service(models=[{"id": "Whisper:Large"}]))).services[0].models
    assert (model.slug, model.served_id) == ("whisper:large", "Whisper:Large")


def test_every_field_that_an_operator_can_set_is_read() -> None:
    said = service(
        features=["Timestamps", " timestamps ", "vad"],
        access="restricted",
        allowed_users=["bob", "bob", "carol"],
        api_key="sk-upstream-secret",
        models=[
            {
                "id": "asr",
                "name": " Qwen3 ASR ",
                "features": ["timestamps"],
                "input_modalities": ["audio", "text"],
                "output_modalities": ["text"],
                "context_length": 131072,
                "quantization": "fp8",
            }
        ],
    )
    (read,) = manifest.validate(manifest_of(said)).services
    assert read == manifest.Service(
        name="asr",
        type="stt",
        engine="vllm",
        url="https://stt.example.com/v1",
        features=("timestamps", "vad"),
        access="restricted",
        allowed_users=("bob", "carol"),
        api_key="sk-upstream-secret",
        models=(
            manifest.Model(
                slug="asr",
                served_id="asr",
                features=("timestamps",),
                context_length=131072,
                display_name="Qwen3 ASR",
            ),
        ),
    )


def test_fields_that_are_left_out_have_the_contracts_defaults() -> None:
    (read,) = manifest.validate(manifest_of({"name": "a", "engine": "other", "url": "http://h"})).services
    assert (read.type, read.access, read.features, read.allowed_users, read.api_key, read.models) == (
        "llm",
        "private",
        (),
        (),
        None,
        (),
    )


def test_null_is_the_same_as_absent_for_every_optional_field() -> None:
    optional = ("type", "features", "models", "command", "extra", "access", "allowed_users", "api_key")
    nulls = {"name": "a", "engine": "other", "url": "http://h"} | dict.fromkeys(optional)
    parsed = manifest_of(nulls)
    parsed["hosts"][0] |= dict.fromkeys(("hostname", "address", "gpu", "gpus", "notes"))
    parsed["agent"] |= {"hostname": None, "listen_port": None}
    without = manifest_of({"name": "a", "engine": "other", "url": "http://h"})
    assert manifest.validate(parsed).services == manifest.validate(without).services


def test_a_model_may_have_null_in_all_fields_but_one() -> None:
    fields = ("hf", "name", "input_modalities", "output_modalities", "features", "context_length")
    read = manifest.validate(manifest_of(service(models=[dict.fromkeys(fields) | {"id": "a"}])))
    assert read.services[0].models[0].slug == "a"


@pytest.mark.parametrize("hosts", [None, [], [{"id": "rig"}], [{"id": "rig", "services": None}]])
def test_a_provider_may_have_no_services(hosts: Any) -> None:
    # The Go agent writes an empty list of hosts as null.
    parsed = manifest_of() | {"hosts": hosts}
    assert manifest.validate(parsed).services == ()


def test_the_example_manifest_of_the_agent_is_accepted(agent_example: dict[str, Any]) -> None:
    read = manifest.validate(agent_example)
    assert [service.name for service in read.services] == ["rtx-4090-vllm", "rtx-4090-asr", "mac-studio"]
    assert read.redacted == agent_example


@pytest.fixture
def agent_example() -> dict[str, Any]:
    """As the Go agent uploads it: numbers as numbers, empty fields left out, unknown `discovery`."""
    return {
        "schema_version": 1,
        "discovery": "static",
        "agent": {"name": "brian-home", "hostname": "club-host-brian", "listen_port": 443},
        "hosts": [
            {
                "id": "rig-01",
                "hostname": "rig-01.local",
                "address": "192.168.1.10",
                "gpu": {"vendor": "nvidia", "model": "RTX 4090", "vram_gb": 23.98828125, "count": 1},
                "notes": "main rig",
                "services": [
                    {
                        "name": "rtx-4090-vllm",
                        "engine": "vllm",
                        "url": "http://192.168.1.10:8000/v1",
                        "models": [{"id": "qwen3-30b-a3b"}, {"id": "mistral-small-3.1"}],
                        "command": "vllm serve Qwen/Qwen3-30B-A3B\n --tensor-parallel-size 1\n",
                        "extra": {"note": "x"},
                    },
                    {
                        "name": "rtx-4090-asr",
                        "type": "stt",
                        "engine": "vllm",
                        "url": "http://192.168.1.10:8001/v1",
                        "features": ["timestamps"],
                        "models": [{"id": "Qwen/Qwen3-ASR-1.7B", "hf": "Qwen/Qwen3-ASR-1.7B"}],
                    },
                ],
            },
            {
                "id": "mac",
                "gpus": [{"vendor": "apple", "vram_gb": 64, "index": 0}],
                "services": [
                    {"name": "mac-studio", "engine": "lmstudio", "url": "http://192.168.1.20:1234/v1"}
                ],
            },
        ],
    }


@pytest.mark.parametrize("name", ["rtx 4090 (left)", "東京-asr", "a@b:c", "n" * 128])
def test_service_names_and_host_ids_may_be_any_printable_name(name: str) -> None:
    parsed = manifest_of(service(name=name))
    parsed["hosts"][0]["id"] = name
    assert manifest.validate(parsed).services[0].name == name


@pytest.mark.parametrize(
    "url", ["http://192.168.1.10:8000/v1", "https://[2001:db8::1]:8443", "ftp://host", "https://münchen.de"]
)
def test_a_url_that_cannot_be_dialled_is_still_accepted(url: str) -> None:
    assert manifest.validate(manifest_of(service(url=url))).services[0].url == url


def test_values_at_the_upper_limits_are_accepted() -> None:
    parsed = manifest_of()
    parsed["hosts"] = [
        {"id": f"h{h}", "services": [service(name=f"s{h}-{s}") for s in range(2)]} for h in range(50)
    ]
    parsed["hosts"][0]["notes"] = "n" * 1024
    assert len(manifest.validate(parsed).services) == 100


# --- what is stored


def test_the_redacted_manifest_is_the_upload_without_its_credentials() -> None:
    parsed = manifest_of(service(api_key="sk-upstream-secret", **{"x-vendor": {"deep": [1, None]}}))
    before = copy.deepcopy(parsed)
    read = manifest.validate(parsed)
    assert parsed == before
    del before["hosts"][0]["services"][0]["api_key"]
    assert read.redacted == before


@pytest.mark.parametrize("spelling", ["api_key", "apiKey", "API-KEY"])
def test_a_credential_in_the_wrong_field_is_not_stored_either(spelling: str) -> None:
    parsed = manifest_of(service(extra={spelling: "sk-secret"}, models=[{"id": "a", spelling: "sk-secret"}]))
    parsed["hosts"][0][spelling] = "sk-secret"
    assert "sk-secret" not in json.dumps(manifest.validate(parsed).redacted)


def test_a_credential_repeated_in_free_text_is_not_stored() -> None:
    parsed = manifest_of(
        service(api_key="sk-secret-1", command="serve -k sk-secret-1", extra={"k": "sk-secret-1"})
    )
    redacted = manifest.validate(parsed).redacted
    assert "sk-secret-1" not in json.dumps(redacted)
    assert redacted["hosts"][0]["services"][0]["command"] == "serve -k ***"


@pytest.mark.parametrize(
    ("command", "stored"),
    [
        ("vllm serve m --api-key s3cret --port 1", "vllm serve m --api-key *** --port 1"),
        ("vllm serve m --api-key=s3cret", "vllm serve m --api-key=***"),
        ("VLLM_API_KEY=s3cret vllm serve m", "VLLM_API_KEY=*** vllm serve m"),
    ],
)
def test_the_key_on_a_servers_command_line_is_not_stored(command: str, stored: str) -> None:
    redacted = manifest.validate(manifest_of(service(command=command))).redacted
    assert redacted["hosts"][0]["services"][0]["command"] == stored


def test_routing_fields_are_not_rewritten_if_they_contain_the_credential() -> None:
    sent = service(
        name="whisper-box", url="https://whisper-box/v1", api_key="whisper-box", notes="whisper-box"
    )
    read = manifest.validate(manifest_of(sent))
    stored = read.redacted["hosts"][0]["services"][0]
    assert (stored["name"], stored["url"], stored["notes"]) == (
        "whisper-box",
        "https://whisper-box/v1",
        "***",
    )


def test_redaction_exceeds_no_limit() -> None:
    longest = ("--api-key a " * 80).ljust(1024, "x")
    read = manifest.validate(manifest_of(service(command=longest, api_key="a" * 8)))
    assert manifest.validate(read.redacted).redacted == read.redacted


def test_a_credential_is_in_no_representation() -> None:
    read = manifest.validate(manifest_of(service(api_key="sk-upstream-secret")))
    assert "sk-upstream-secret" not in repr(read) + str(read)
    assert read.services[0].api_key == "sk-upstream-secret"


def test_a_manifest_cannot_be_changed() -> None:
    read = manifest.validate(manifest_of(service()))
    with pytest.raises(FrozenInstanceError):
        read.services[0].url = "https://elsewhere.example.com"  # type: ignore[misc]


# --- size and shape


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_an_unknown_key_may_be_nested_up_to_a_limit() -> None:
    manifest.validate(manifest_of() | {"x": nested(31)})
    assert problems_of(manifest_of() | {"x": nested(32)}) == [
        "manifest: must be nested at most 32 levels deep"
    ]
    assert len(problems_of(manifest_of() | {"x": nested(100_000)})) == 1


def test_a_document_that_contains_itself_is_refused() -> None:
    parsed = manifest_of()
    parsed["x"] = [parsed, parsed]
    assert problems_of(parsed)[0].startswith("manifest: must be ")


@pytest.mark.parametrize("hosts", [[{}] * 100_000, [None] * 1_000_000, {str(n): n for n in range(100_000)}])
def test_a_document_with_too_many_values_is_one_problem(hosts: Any) -> None:
    assert problems_of(manifest_of() | {"hosts": hosts}) == [
        "manifest: must be at most 65536 bytes (64 KiB) as JSON"
    ]


def json_of(size: int) -> dict[str, Any]:
    parsed = manifest_of()
    parsed["x"] = ["é" * 1000] * 32
    empty = len(json.dumps(parsed | {"y": []}, ensure_ascii=False, separators=(",", ":")).encode())
    fill, rest = divmod(size - empty, 1000)
    parsed["y"] = ["x" * 997] * fill + ["x" * (rest - 2)]
    return parsed


def test_the_json_of_a_manifest_may_be_64_kib_and_not_a_byte_more() -> None:
    manifest.validate(json_of(65_536))
    assert problems_of(json_of(65_537)) == [
        "manifest: must be at most 65536 bytes (64 KiB) as JSON, but is 65537"
    ]


# --- the upload


def test_an_upload_is_the_parsed_document_and_its_yaml() -> None:
    read = manifest.read_upload({"raw_yaml": "api_key: sk-secret", "parsed": manifest_of(service())})
    assert read.agent_name == "home"
    assert "sk-secret" not in repr(read)


@pytest.mark.parametrize("raw", [{}, {"raw_yaml": None}, {"raw_yaml": ""}, {"raw_yaml": "é" * 32_768}])
def test_the_yaml_may_be_left_out_and_may_be_64_kib(raw: dict[str, Any]) -> None:
    assert manifest.read_upload(raw | {"parsed": manifest_of()}).services == ()


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (None, ["body: must be an object with raw_yaml and parsed, not null"]),
        ([], ["body: must be an object with raw_yaml and parsed, not a list"]),
        ({}, ["parsed: is required"]),
        ({"raw_yaml": 5, "parsed": None}, ["parsed: is required", "raw_yaml: must be text, not a number"]),
        ({"parsed": "schema_version: 1"}, ["parsed: must be an object, not text"]),
        (
            {"raw_yaml": "é" * 32_769, "parsed": {"hosts": []}},
            [
                "agent: is required",
                "raw_yaml: must be at most 65536 bytes (64 KiB), but is 65538",
                "schema_version: is required",
            ],
        ),
        ({"parsed": json_of(65_537)}, ["parsed: must be at most 65536 bytes (64 KiB) as JSON, but is 65537"]),
    ],
)
def test_an_invalid_upload_is_refused(body: object, problems: list[str]) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        manifest.read_upload(body)
    assert caught.value.problems == problems


def test_half_a_surrogate_pair_in_the_yaml_is_accepted() -> None:
    assert manifest.read_upload({"raw_yaml": "\ud800", "parsed": manifest_of()}).services == ()


@pytest.mark.parametrize(
    ("name", "safe"),
    [("home", True), ("A.b_c-9", True), ("", False), (None, False), ("..", False), ("a\n", False)],
)
def test_url_safe_names_are_recognised(name: object, safe: bool) -> None:
    assert manifest.is_url_safe(name) is safe
