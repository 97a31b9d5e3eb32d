"""Problems of a manifest: all reported at once, each at its path."""

import re
from typing import Any

import pytest

from gateway import manifest
from tests.manifests import manifest_of, problems_of, service

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
    ("features[0]", [""], "must be one line, not empty and at most 64 bytes"),
    ("models", {"id": "a"}, "must be a list, not an object"),
    ("models[0]", ["whisper-1"], "must be an object, not text"),
    ("models[0]", [None], "must be an object, not null"),
    ("models[0]", [{}], "must have id or hf"),
    ("models[0]", [{"id": " "}], "must have id or hf"),
    ("models[0].id", [{"id": 7}], "must be text, not a number"),
    ("models[0].id", [{"id": "a#b"}], "must be 1 to 256 bytes"),
    ("models[0].hf", [{"hf": "x" * 257}], "must be 1 to 256 bytes"),
    ("models[0].id", [{"id": "a\nb"}], "must be 1 to 256 bytes"),
    (
        "models[1]",
        [{"id": "Whisper"}, {"id": "whisper "}],
        "must not repeat hosts[0].services[0].models[0]",
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
    ("command", "x" * 1025, "must be at most 1024 characters, but has 1025"),
    ("command", "bell\x07", "must not contain control characters"),
    ("extra", "x", "must be an object, not text"),
    ("access", "public", "must be one of [private, authenticated, restricted]"),
    ("allowed_users", "bob", "must be a list, not text"),
    ("allowed_users[0]", ["bob@example.com"], "must be 1 to 64 of the characters"),
    ("allowed_users[0]", [None], "must be text, not null"),
    ("api_key", 5, "must be text"),
    ("api_key", "", "must be one or more printable ASCII"),
    ("api_key", "sk-1\r\nHost: evil", "must be one or more printable ASCII"),
    ("api_key", "sk-é", "must be one or more printable ASCII"),
    ("api_key", "sk 1", "must be one or more printable ASCII"),
    ("x-anything", float("nan"), "must be a number between"),
    ("x-anything", float("inf"), "must be a number between"),
    ("x-anything", "\ud800", "must be valid Unicode"),
    ("x-anything", {1, 2}, "must be text, a number, true, false, null, a list or an object, not a set"),
    ("x-anything", b"x", "not a bytes"),
    ("x-anything", {1: 2}, "keys must be text, but one is a number"),
    ("x-anything", {LONG: 2}, "a key must be at most 1024 characters"),
]


def first_key(path: str) -> str:
    return re.split(r"[.\[]", path)[0]


@pytest.mark.parametrize(("field", "value", "message"), BAD_SERVICES)
def test_a_bad_service_field_is_reported_at_its_path(field: str, value: Any, message: str) -> None:
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
def test_a_bad_host_field_is_reported_at_its_path(field: str, value: Any, message: str) -> None:
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
    ({"hosts": [{"id": f"h{n}"} for n in range(51)]}, "hosts: must have at most 50 entries, but has 51"),
    (
        {"hosts": [{"id": "a"}, {"id": "a"}]},
        "hosts[1].id: must be unique, but is the id of another host (hosts[0])",
    ),
    ({"a b": "\x00"}, '["a b"]: must not contain control characters'),
]


@pytest.mark.parametrize(("fields", "problem"), BAD_DOCUMENTS)
def test_a_bad_document_is_reported_at_its_path(fields: dict[str, Any], problem: str) -> None:
    (told,) = problems_of(manifest_of() | fields)
    assert told.startswith(problem)


@pytest.mark.parametrize("document", [None, [], "x", 1, True, 1.5])
def test_a_document_that_is_not_an_object_is_refused(document: object) -> None:
    assert problems_of(document)[0].startswith("manifest: ")


def test_leaving_out_hosts_is_a_mistake() -> None:
    parsed = manifest_of()
    parsed["host"] = parsed.pop("hosts")
    assert problems_of(parsed) == ["hosts: is required; write [] if there are none"]


def test_a_service_name_must_be_unique_in_the_whole_manifest() -> None:
    parsed = manifest_of(service())
    parsed["hosts"].append({"id": "rig-02", "services": [service()]})
    assert problems_of(parsed) == [
        "hosts[1].services[0].name: must be unique, but is the name of another service (hosts[0].services[0])"
    ]


def test_a_hundred_and_one_services_are_too_many() -> None:
    parsed = manifest_of(*[service(name=f"s{n}") for n in range(101)])
    assert problems_of(parsed) == ["hosts[].services: must be at most 100 in all hosts together, but are 101"]


def test_a_model_listed_twice_is_a_mistake_only_where_it_routes() -> None:
    twice = [{"id": "q4", "hf": "Org/Model"}, {"id": "q8", "hf": "org/model"}]
    assert len(manifest.validate(manifest_of(service(type="llm", models=twice))).services[0].models) == 2
    assert problems_of(manifest_of(service(models=twice)))[0].startswith("hosts[0].services[0].models[1]: ")


def test_all_problems_are_reported_together_in_document_order() -> None:
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


def test_at_most_a_hundred_problems_are_reported_and_the_rest_is_counted() -> None:
    parsed = manifest_of(service(features=[""] * 250))
    problems = problems_of(parsed)
    assert len(problems) == 101
    assert problems[-1] == "... and 151 more"


def test_no_message_repeats_a_value() -> None:
    bad = service(api_key="sk-secret\r\n", url="https://u:sk-secret@h", engine="sk-secret", name="sk-secret/")
    assert "sk-secret" not in "".join(problems_of(manifest_of(bad)))


# --- what one manifest may ask of the table and of listings


def models(count: int, prefix: str = "m") -> list[dict[str, Any]]:
    return [{"id": f"{prefix}-{number}"} for number in range(count)]


def test_a_service_has_at_most_two_hundred_models() -> None:
    assert manifest.validate(manifest_of(service(models=models(200))))
    assert problems_of(manifest_of(service(models=models(201)))) == [
        "hosts[0].services[0].models: must have at most 200 entries, but has 201"
    ]


@pytest.mark.parametrize("where", ["service", "model"])
def test_a_service_and_a_model_have_at_most_sixteen_features_of_sixty_four_bytes(where: str) -> None:
    def parsed(features: list[str]) -> dict[str, Any]:
        if where == "service":
            return manifest_of(service(features=features))
        return manifest_of(service(models=[{"id": "m", "features": features}]))

    path = "hosts[0].services[0]" + (".models[0]" if where == "model" else "")
    assert manifest.validate(parsed([f"{number:02d}{'é' * 31}" for number in range(16)]))
    assert problems_of(parsed([str(number) for number in range(17)])) == [
        f"{path}.features: must have at most 16 entries, but has 17"
    ]
    # The last one is longer in lower case.
    for long in ("x" * 65, "é" * 33, "İ" * 32):
        assert problems_of(parsed([long])) == [
            f"{path}.features[0]: must be one line, not empty and at most 64 bytes"
        ]


def test_a_manifest_may_use_five_hundred_rows_and_the_message_says_how_many_it_needs() -> None:
    # 400 models, of which 98 are served under an id of their own, the owner, and everyone: 500.
    first = [{"id": f"s-{number}", "hf": f"m-{number}"} for number in range(98)] + models(102, "n")
    two = [
        service(name="a", models=first, access="authenticated"),
        service(name="b", models=models(200, "o"), access="private"),
    ]
    assert manifest.validate(manifest_of(*two))
    assert problems_of(manifest_of(*two, service(name="c"))) == [
        "hosts[].services: may need at most 500 rows, but need 501: one for each id of each stt model, "
        "one for each user who may see one, and one for everyone"
    ]


def test_too_many_rows_are_reported_with_the_other_problems() -> None:
    wrong = service(name="d", engine="abacus", allowed_users=[1, "a b"], models=[{}, {"id": 1}, *models(200)])
    parsed = manifest_of(*(service(name=name, models=models(200)) for name in "ab"), wrong)
    rows, *others = problems_of(parsed)[::-1]
    assert rows.startswith("hosts[].services: may need at most 500 rows, but need 601")
    assert len(others) == 6


def test_users_count_once_and_only_where_they_have_access() -> None:
    users = [f"user-{number}" for number in range(100)]
    same = [
        service(name=f"s{number}", access="restricted", allowed_users=users, models=models(9))
        for number in range(40)
    ]
    assert manifest.validate(manifest_of(*same))
    others = [
        service(name=f"s{number}", access="restricted", allowed_users=[f"{number}-{user}" for user in users])
        for number in range(5)
    ]
    assert "but need 506" in problems_of(manifest_of(*others))[0]
    private = [each | {"access": "private"} for each in others]
    assert manifest.validate(manifest_of(*private))


def test_only_stt_services_use_rows() -> None:
    chat = [service(name=f"s{number}", type="llm", models=models(200)) for number in range(10)]
    assert manifest.validate(manifest_of(*chat))


def test_a_problem_line_repeats_no_more_than_five_hundred_characters_of_its_path() -> None:
    nested: Any = ["\x00"] * 100
    for level in range(30):
        nested = {f"{level:02d}{chr(0x1F984) * 38}": nested}
    lines = problems_of(manifest_of() | {"x": nested})
    assert len(lines) == 100
    assert max(map(len, lines)) < 700
    assert all("...: must not contain control characters" in line for line in lines)
