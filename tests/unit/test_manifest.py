"""What a manifest may hold, and what its operator is told when it may not."""

import copy
import json
import re
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from gateway import manifest
from gateway.manifest import ManifestInvalid


def manifest_of(*services: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "agent": {"name": "home", "hostname": "club-host", "listen_port": 443},
        "hosts": [{"id": "rig-01", "services": list(services)}],
    }


def service(**fields: Any) -> dict[str, Any]:
    return {
        "name": "asr",
        "type": "stt",
        "engine": "vllm",
        "url": "https://stt.example.com/v1",
        "models": [{"id": "Qwen/Qwen3-ASR-1.7B"}],
    } | fields


def first_key(path: str) -> str:
    return re.split(r"[.\[]", path)[0]


def problems_of(parsed: object) -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        manifest.validate(parsed)
    return caught.value.problems


# --- what is read


def test_the_slug_is_the_hugging_face_id_and_the_served_id_is_the_id():
    read = manifest.validate(
        manifest_of(service(models=[{"id": " whisper-1 ", "hf": " OpenAI/Whisper-Large-V3 "}]))
    )
    (model,) = read.services[0].models
    assert (model.slug, model.served_id) == ("openai/whisper-large-v3", "whisper-1")


@pytest.mark.parametrize("blank", [{}, {"id": None}, {"id": "  "}])
def test_a_model_without_an_id_is_served_under_its_hugging_face_id(blank: dict[str, Any]):
    read = manifest.validate(manifest_of(service(models=[blank | {"hf": "Qwen/Qwen3-ASR-1.7B"}])))
    (model,) = read.services[0].models
    assert (model.slug, model.served_id) == ("qwen/qwen3-asr-1.7b", "Qwen/Qwen3-ASR-1.7B")


def test_a_model_without_a_hugging_face_id_has_its_served_id_as_slug():
    (model,) = manifest.validate(manifest_of(service(models=[{"id": "Whisper:Large"}]))).services[0].models
    assert (model.slug, model.served_id) == ("whisper:large", "Whisper:Large")


def test_everything_that_an_operator_can_say_is_read():
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
                input_modalities=("audio", "text"),
                output_modalities=("text",),
                context_length=131072,
                display_name="Qwen3 ASR",
                quantization="fp8",
            ),
        ),
    )


def test_what_an_operator_leaves_out_has_the_contracts_defaults():
    (read,) = manifest.validate(manifest_of({"name": "a", "engine": "other", "url": "http://h"})).services
    assert (read.type, read.access, read.features, read.allowed_users, read.api_key, read.models) == (
        "llm",
        "private",
        (),
        (),
        None,
        (),
    )


def test_an_stt_model_takes_audio_and_gives_text_unless_its_operator_says_otherwise():
    (model,) = manifest.validate(manifest_of(service())).services[0].models
    assert (model.input_modalities, model.output_modalities) == (("audio",), ("text",))


def test_null_is_the_same_as_absent_for_every_optional_field():
    optional = ("type", "features", "models", "command", "extra", "access", "allowed_users", "api_key")
    nulls = {"name": "a", "engine": "other", "url": "http://h"} | dict.fromkeys(optional)
    parsed = manifest_of(nulls)
    parsed["hosts"][0] |= dict.fromkeys(("hostname", "address", "gpu", "gpus", "notes"))
    parsed["agent"] |= {"hostname": None, "listen_port": None}
    without = manifest_of({"name": "a", "engine": "other", "url": "http://h"})
    assert manifest.validate(parsed).services == manifest.validate(without).services


def test_a_model_may_have_null_in_every_field_but_one():
    fields = ("hf", "name", "input_modalities", "output_modalities", "features", "context_length")
    read = manifest.validate(manifest_of(service(models=[dict.fromkeys(fields) | {"id": "a"}])))
    assert read.services[0].models[0].slug == "a"


@pytest.mark.parametrize("hosts", [None, [], [{"id": "rig"}], [{"id": "rig", "services": None}]])
def test_a_provider_may_have_no_services(hosts: Any):
    # The Go agent writes an empty list of hosts as null.
    parsed = manifest_of() | {"hosts": hosts}
    assert manifest.validate(parsed).services == ()


def test_the_example_manifest_of_the_agent_is_accepted(agent_example: dict[str, Any]):
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
def test_service_names_and_host_ids_may_be_any_printable_name(name: str):
    parsed = manifest_of(service(name=name))
    parsed["hosts"][0]["id"] = name
    assert manifest.validate(parsed).services[0].name == name


@pytest.mark.parametrize(
    "url", ["http://192.168.1.10:8000/v1", "https://[2001:db8::1]:8443", "ftp://host", "https://münchen.de"]
)
def test_a_url_that_cannot_be_dialled_is_accepted_all_the_same(url: str):
    assert manifest.validate(manifest_of(service(url=url))).services[0].url == url


def test_the_upper_limits_themselves_are_accepted():
    parsed = manifest_of()
    parsed["hosts"] = [
        {"id": f"h{h}", "services": [service(name=f"s{h}-{s}") for s in range(2)]} for h in range(50)
    ]
    parsed["hosts"][0]["notes"] = "n" * 1024
    assert len(manifest.validate(parsed).services) == 100


# --- what is stored


def test_the_redacted_manifest_is_what_was_sent_without_the_credentials():
    parsed = manifest_of(service(api_key="sk-upstream-secret", **{"x-vendor": {"deep": [1, None]}}))
    before = copy.deepcopy(parsed)
    read = manifest.validate(parsed)
    assert parsed == before
    del before["hosts"][0]["services"][0]["api_key"]
    assert read.redacted == before


@pytest.mark.parametrize("spelling", ["api_key", "apiKey", "API-KEY"])
def test_a_credential_in_the_wrong_place_is_not_stored_either(spelling: str):
    parsed = manifest_of(service(extra={spelling: "sk-secret"}, models=[{"id": "a", spelling: "sk-secret"}]))
    parsed["hosts"][0][spelling] = "sk-secret"
    assert "sk-secret" not in json.dumps(manifest.validate(parsed).redacted)


def test_a_credential_repeated_in_free_text_is_not_stored():
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
def test_the_key_on_a_servers_command_line_is_not_stored(command: str, stored: str):
    redacted = manifest.validate(manifest_of(service(command=command))).redacted
    assert redacted["hosts"][0]["services"][0]["command"] == stored


def test_what_routes_is_not_rewritten_where_it_happens_to_contain_the_credential():
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


def test_redaction_exceeds_no_limit():
    longest = ("--api-key a " * 80).ljust(1024, "x")
    read = manifest.validate(manifest_of(service(command=longest, api_key="a" * 8)))
    assert manifest.validate(read.redacted).redacted == read.redacted


def test_a_credential_is_in_no_representation():
    read = manifest.validate(manifest_of(service(api_key="sk-upstream-secret")))
    assert "sk-upstream-secret" not in repr(read) + str(read)
    assert read.services[0].api_key == "sk-upstream-secret"


def test_a_manifest_cannot_be_changed():
    read = manifest.validate(manifest_of(service()))
    with pytest.raises(FrozenInstanceError):
        read.services[0].url = "https://elsewhere.example.com"  # type: ignore[misc]


# --- what is refused

LONG = "x" * 10_000
NOT_A_NAME = [
    "a/b",
    "a#b",
    "a?b",
    "a%2Fb",
    "a\\b",
    " a",
    "a ",
    "",
    " ",
    ".",
    "..",
    "é" * 65,
    "a\u202eb",
    "a\nb",
]

BAD_SERVICES: list[tuple[str, Any, str]] = [
    ("name", None, "is required"),
    ("name", 5, "must be text, not a number"),
    *[("name", name, manifest.schema.NAME) for name in NOT_A_NAME],
    ("type", "asr", "must be one of [llm, stt, tts,"),
    ("type", ["stt"], "must be text, not a list"),
    ("engine", "whisper", "must be one of [vllm, lmstudio, ollama, sglang, llamacpp, tgi, other]"),
    ("engine", None, "is required"),
    ("engine", {}, "must be text, not an object"),
    ("url", None, "is required"),
    ("url", 1, "must be text"),
    *[
        ("url", url, "must be an absolute URL with scheme and host")
        for url in (
            "",
            "stt.example.com",
            "/v1",
            "https://",
            "https:///v1",
            "http://h:99999",
            "http://[::1",
            "//h/v1",
        )
    ],
    ("url", "https://user:secret@h/v1", "must not contain a user name or password"),
    ("url", "https://h/v1?key=1", "must end before any ? or #"),
    ("url", "https://h/v1#x", "must end before any ? or #"),
    ("url", "https://good.com\\@evil.com", "must not contain spaces"),
    ("url", "https://h/ v1", "must not contain spaces"),
    ("url", "https://h\n/v1", "must not contain spaces"),
    ("features", "timestamps", "must be a list, not text"),
    ("features[1]", ["a", 1], "must be text, not a number"),
    ("features[0]", [""], "must be one line and not empty"),
    ("models", {"id": "a"}, "must be a list, not an object"),
    ("models[0]", ["whisper-1"], "must be an object, not text"),
    ("models[0]", [None], "must be an object, not null"),
    ("models[0]", [{}], "needs id or hf"),
    ("models[0]", [{"id": " "}], "needs id or hf"),
    ("models[0].id", [{"id": 7}], "must be text, not a number"),
    ("models[0].id", [{"id": "a#b"}], "must be 1 to 256 bytes"),
    ("models[0].hf", [{"hf": "x" * 257}], "must be 1 to 256 bytes"),
    ("models[0].id", [{"id": "a\nb"}], "must be 1 to 256 bytes"),
    (
        "models[1]",
        [{"id": "Whisper"}, {"id": "whisper "}],
        "is the same model as hosts[0].services[0].models[0]",
    ),
    ("models[0].context_length", [{"id": "a", "context_length": 0}], "must be a positive integer"),
    ("models[0].context_length", [{"id": "a", "context_length": -1}], "must be a positive integer"),
    (
        "models[0].context_length",
        [{"id": "a", "context_length": True}],
        "must be a positive integer, not true or",
    ),
    (
        "models[0].context_length",
        [{"id": "a", "context_length": 1.5}],
        "must be a positive integer, not a fraction",
    ),
    (
        "models[0].context_length",
        [{"id": "a", "context_length": "8k"}],
        "must be a positive integer, not text",
    ),
    ("models[0].context_length", [{"id": "a", "context_length": 10**400}], "must be a number between"),
    ("models[0].input_modalities", [{"id": "a", "input_modalities": "audio"}], "must be a list"),
    ("models[0].name", [{"id": "a", "name": ["x"]}], "must be text"),
    ("models[0].quantization", [{"id": "a", "quantization": 8}], "must be text, not a number"),
    ("command", ["vllm", "serve"], "must be text, not a list"),
    ("command", "x" * 1025, "must be at most 1024 characters, and is 1025"),
    ("command", "bell\x07", "must not contain control characters"),
    ("extra", "x", "must be an object, not text"),
    ("access", "public", "must be one of [private, authenticated, restricted]"),
    ("allowed_users", "bob", "must be a list, not text"),
    ("allowed_users[0]", ["bob@example.com"], "must be 1 to 64 of the characters"),
    ("allowed_users[0]", [None], "must be text, not null"),
    ("api_key", 5, "must be text"),
    ("api_key", "", "must be printable ASCII"),
    ("api_key", "sk-1\r\nHost: evil", "must be printable ASCII"),
    ("api_key", "sk-é", "must be printable ASCII"),
    ("api_key", "sk 1", "must be printable ASCII"),
    ("x-anything", float("nan"), "must be a number between"),
    ("x-anything", float("inf"), "must be a number between"),
    ("x-anything", "\ud800", "must be whole Unicode characters"),
    ("x-anything", {1, 2}, "must be text, a number, true, false, null, a list or an object, not a set"),
    ("x-anything", b"x", "not a bytes"),
    ("x-anything", {1: 2}, "keys must be text, and one is a number"),
    ("x-anything", {LONG: 2}, "a key must be at most 1024 characters"),
]


@pytest.mark.parametrize(("field", "value", "message"), BAD_SERVICES)
def test_a_bad_service_field_is_reported_at_its_path(field: str, value: Any, message: str):
    (problem,) = problems_of(manifest_of(service(**{first_key(field): value})))
    path, told = problem.split(": ", 1)
    assert path == f"hosts[0].services[0].{field}"
    assert told.startswith(message) or told.endswith(message)


BAD_HOSTS: list[tuple[str, Any, str]] = [
    ("id", None, "is required"),
    ("id", "a/b", manifest.schema.NAME),
    ("hostname", 1, "must be text"),
    ("address", "a\nb", "must be one line"),
    ("notes", {}, "must be text, not an object"),
    ("services", {}, "must be a list, not an object"),
    ("services[0]", ["asr"], "must be an object, not text"),
    ("gpu", "RTX", "must be an object, not text"),
    ("gpu.vendor", {"vendor": "NVIDIA"}, "must be one of [nvidia, amd, apple, intel]"),
    ("gpu.vram_gb", {"vram_gb": -1}, "must not be negative"),
    ("gpu.vram_gb", {"vram_gb": "24"}, "must be a number, not text"),
    ("gpu.vram_gb", {"vram_gb": True}, "must be a number, not true or false"),
    ("gpu.vram_gb", {"vram_gb": float("nan")}, "must be a number between"),
    ("gpu.count", {"count": 0}, "must be a positive integer"),
    ("gpu.model", {"model": 4090}, "must be text"),
    ("gpus", {}, "must be a list, not an object"),
    ("gpus[1].vendor", [{}, {"vendor": "tpu"}], "must be one of"),
]


@pytest.mark.parametrize(("field", "value", "message"), BAD_HOSTS)
def test_a_bad_host_field_is_reported_at_its_path(field: str, value: Any, message: str):
    parsed = manifest_of()
    parsed["hosts"][0][first_key(field)] = value
    (problem,) = problems_of(parsed)
    assert problem.startswith(f"hosts[0].{field}: {message}")


BAD_DOCUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"schema_version": None}, "schema_version: is required"),
    ({"schema_version": 2}, "schema_version: must be 1"),
    ({"schema_version": "1"}, "schema_version: must be 1"),
    ({"schema_version": True}, "schema_version: must be 1"),
    ({"agent": None}, "agent: is required"),
    ({"agent": "home"}, "agent: must be an object, not text"),
    ({"agent": {}}, "agent.name: is required"),
    ({"agent": {"name": 1}}, "agent.name: must be text"),
    *[
        ({"agent": {"name": name}}, f"agent.name: {manifest.URL_SAFE}")
        for name in ("", "a b", "a/b", "n" * 65, "..", "é", "home\n")
    ],
    ({"agent": {"name": "a", "listen_port": 0}}, "agent.listen_port: must be an integer from 1 to 65535"),
    (
        {"agent": {"name": "a", "listen_port": "443"}},
        "agent.listen_port: must be an integer from 1 to 65535, not text",
    ),
    ({"hosts": {}}, "hosts: must be a list, not an object"),
    ({"hosts": "x"}, "hosts: must be a list, not text"),
    ({"hosts": [5]}, "hosts[0]: must be an object, not a number"),
    ({"hosts": [{"id": f"h{n}"} for n in range(51)]}, "hosts: must have at most 50 entries, and has 51"),
    ({"hosts": [{"id": "a"}, {"id": "a"}]}, "hosts[1].id: is the id of another host (hosts[0])"),
    ({"a b": "\x00"}, '["a b"]: must not contain control characters'),
]


@pytest.mark.parametrize(("fields", "problem"), BAD_DOCUMENTS)
def test_a_bad_document_is_reported_at_its_path(fields: dict[str, Any], problem: str):
    (told,) = problems_of(manifest_of() | fields)
    assert told.startswith(problem)


@pytest.mark.parametrize("document", [None, [], "x", 1, True, 1.5])
def test_a_document_that_is_no_object_is_refused(document: object):
    assert problems_of(document)[0].startswith("manifest: ")


def test_hosts_that_are_not_mentioned_at_all_are_a_mistake():
    parsed = manifest_of()
    parsed["host"] = parsed.pop("hosts")
    assert problems_of(parsed) == ["hosts: is required: [] when there are none"]


def test_the_name_of_a_service_is_unique_in_the_whole_manifest():
    parsed = manifest_of(service())
    parsed["hosts"].append({"id": "rig-02", "services": [service()]})
    assert problems_of(parsed) == [
        "hosts[1].services[0].name: is the name of another service (hosts[0].services[0])"
    ]


def test_an_hundred_and_one_services_are_too_many():
    parsed = manifest_of(*[service(name=f"s{n}") for n in range(101)])
    assert problems_of(parsed) == ["hosts[].services: must be at most 100 in all hosts together, and are 101"]


def test_a_model_listed_twice_is_a_mistake_only_where_it_routes():
    twice = [{"id": "q4", "hf": "Org/Model"}, {"id": "q8", "hf": "org/model"}]
    assert len(manifest.validate(manifest_of(service(type="llm", models=twice))).services[0].models) == 2
    assert problems_of(manifest_of(service(models=twice)))[0].startswith("hosts[0].services[0].models[1]: ")


def test_every_problem_is_told_at_once_in_the_order_of_the_document():
    bad = service(engine="x", url="y", models=[{"id": "a"}, {}, {"context_length": "z", "id": "b"}])
    parsed = manifest_of(*[service(name=f"s{n}") for n in range(10)], bad, service(name="last", access="all"))
    parsed |= {"schema_version": 3, "agent": {"name": "no good"}}
    assert [problem.split(": ")[0] for problem in problems_of(parsed)] == [
        "agent.name",
        "hosts[0].services[10].engine",
        "hosts[0].services[10].models[1]",
        "hosts[0].services[10].models[2].context_length",
        "hosts[0].services[10].url",
        "hosts[0].services[11].access",
        "schema_version",
    ]


def test_no_more_than_a_hundred_problems_are_told_and_the_rest_is_counted():
    parsed = manifest_of(service(features=[""] * 250))
    problems = problems_of(parsed)
    assert len(problems) == 101
    assert problems[-1] == "... and 150 more"


def test_no_message_repeats_a_value():
    bad = service(api_key="sk-secret\r\n", url="https://u:sk-secret@h", engine="sk-secret", name="sk-secret/")
    assert "sk-secret" not in "".join(problems_of(manifest_of(bad)))


# --- size and shape


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_an_unknown_key_may_be_nested_but_not_without_end():
    manifest.validate(manifest_of() | {"x": nested(31)})
    assert problems_of(manifest_of() | {"x": nested(32)}) == [
        "manifest: must be nested at most 32 levels deep"
    ]
    assert len(problems_of(manifest_of() | {"x": nested(100_000)})) == 1


def test_a_document_that_contains_itself_is_refused():
    parsed = manifest_of()
    parsed["x"] = [parsed, parsed]
    assert problems_of(parsed)[0].startswith("manifest: must be ")


@pytest.mark.parametrize("hosts", [[{}] * 100_000, [None] * 1_000_000, {str(n): n for n in range(100_000)}])
def test_a_document_with_too_many_values_is_one_problem(hosts: Any):
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


def test_the_json_of_a_manifest_may_be_64_kib_and_not_a_byte_more():
    manifest.validate(json_of(65_536))
    assert problems_of(json_of(65_537)) == [
        "manifest: must be at most 65536 bytes (64 KiB) as JSON, and is 65537"
    ]


# --- the upload


def test_an_upload_is_the_parsed_document_beside_its_yaml():
    read = manifest.read_upload({"raw_yaml": "api_key: sk-secret", "parsed": manifest_of(service())})
    assert read.agent_name == "home"
    assert "sk-secret" not in repr(read)


@pytest.mark.parametrize("raw", [{}, {"raw_yaml": None}, {"raw_yaml": ""}, {"raw_yaml": "é" * 32_768}])
def test_the_yaml_may_be_left_out_and_may_be_64_kib(raw: dict[str, Any]):
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
                "raw_yaml: must be at most 65536 bytes (64 KiB), and is 65538",
                "schema_version: is required",
            ],
        ),
        ({"parsed": json_of(65_537)}, ["parsed: must be at most 65536 bytes (64 KiB) as JSON, and is 65537"]),
    ],
)
def test_an_upload_that_is_not_one_is_refused(body: object, problems: list[str]):
    with pytest.raises(ManifestInvalid) as caught:
        manifest.read_upload(body)
    assert caught.value.problems == problems


def test_half_a_surrogate_pair_in_the_yaml_is_measured_and_does_not_matter():
    assert manifest.read_upload({"raw_yaml": "\ud800", "parsed": manifest_of()}).services == ()


@pytest.mark.parametrize(
    ("name", "safe"),
    [("home", True), ("A.b_c-9", True), ("", False), (None, False), ("..", False), ("a\n", False)],
)
def test_url_safe_names_are_told_from_others(name: object, safe: bool):
    assert manifest.is_url_safe(name) is safe
