"""No document crashes the validator, and it accepts none that breaks the contract."""

import json
import math
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import manifest
from gateway.manifest import InvalidManifestError
from gateway.models import slug_of

TYPES = {"llm", "stt", "tts", "image", "mesh", "music", "video", "scrape", "render", "audio-enhance"}
ENGINES = {"vllm", "lmstudio", "ollama", "sglang", "llamacpp", "tgi", "other"}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.just("x" * 1025)
    | st.just(10**30),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(), child, max_size=3),
    max_leaves=8,
)


def mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any] = anything) -> st.SearchStrategy[Any]:
    """Nearly always a valid value: a manifest has many places that can be wrong."""
    return st.integers(0, 39).flatmap(lambda n: wrong if n == 17 else right)


def choice(right: list[Any], wrong: list[Any]) -> st.SearchStrategy[Any]:
    return mostly(st.sampled_from(right), st.sampled_from(wrong))


names = choice(
    ["a", "b", "A", "a b", "a.b", "é", "x" * 64, "東京", "n" * 128, "a@b", "1", "2", "3", "4"],
    ["..", "a/b", "a#", " a", "x" * 129, "\ud800", "a\x00"],
)
users = choice(["bob", "carol", "A.b-c_9", "x" * 64], ["", "a b", "é", "..", "x" * 65])
urls = choice(
    ["https://h/v1", "http://10.0.0.1:80", "ftp://[::1]/"],
    ["https://u:p@h", "h/v1", "https://[::1", "https://h?x"],
)
words = st.lists(choice(["timestamps", " Timestamps", "vad"], ["", "a\nb"]), max_size=3)
types = choice(["stt", *sorted(TYPES)], ["STT", "", "asr"])
numbers = choice([1, 8192, 2**53 - 1], [0, -1, True, 1.5, 2**53, math.inf, math.nan])
sizes = choice([0, 0.5, 24], [-1, True, math.inf, math.nan])


def record(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    return mostly(
        st.fixed_dictionaries(
            {key: mostly(value) for key, value in required.items()},
            optional={key: mostly(value) for key, value in optional.items()},
        )
    )


models = record(
    {"id": choice(["whisper", "Whisper ", "Org/Model", "b", "c", "d"], ["", "a#b", "m" * 257])},
    {
        "hf": choice(["Org/Model", " ", "X"], ["İ" * 128, "a\nb"]),
        "features": words,
        "context_length": numbers,
        "name": st.sampled_from(["Whisper", " ", ""]),
    },
)
services = record(
    {
        "name": names,
        "type": types,
        "engine": choice(sorted(ENGINES), ["whisper", "", "VLLM"]),
        "url": urls,
        "models": st.lists(models, max_size=3),
    },
    {
        "features": words,
        "access": choice(["private", "authenticated", "restricted", None], ["public"]),
        "allowed_users": st.lists(users, max_size=2),
        "command": choice(
            ["serve sk-upstream-secret", "x --api-key a", "--api-key=" + "b" * 1014], ["x" * 1025]
        ),
        "api_key": choice(["sk-upstream-secret", None], ["", "a b", "é"]),
        "x": anything,
    },
)
gpus = record({}, {"vendor": choice(["nvidia", None], ["Nvidia"]), "vram_gb": sizes, "count": numbers})
hosts = record(
    {"id": names, "services": st.lists(services, min_size=1, max_size=3)},
    {"gpu": gpus, "gpus": st.lists(gpus, max_size=2), "notes": st.text()},
)
documents = st.fixed_dictionaries(
    {
        "schema_version": mostly(st.just(1)),
        "agent": mostly(st.fixed_dictionaries({"name": mostly(users)})),
        "hosts": mostly(st.lists(hosts, min_size=1, max_size=2)),
    }
)
thorough = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
PATH = re.compile(r'((manifest|(\.?[\w-]+|\[\d*\]|\["[^\n]*?"\])+|[^\n]{497}\.\.\.): \S|\.\.\. and \d+ more)')


def read(document: object) -> manifest.Manifest | None:
    try:
        return manifest.validate(document)
    except InvalidManifestError as invalid:
        assert 0 < len(invalid.problems) <= 101
        assert all(PATH.match(problem) for problem in invalid.problems), invalid.problems
        json.dumps(invalid.problems).encode()
        "".join(invalid.problems).encode()  # Only text is stored and shown.
        return None


@thorough
@given(anything)
def test_no_document_crashes_the_validator(document: object) -> None:
    read(document)


@thorough
@given(st.fixed_dictionaries({}, optional={"raw_yaml": anything, "parsed": documents | anything}) | anything)
def test_no_upload_crashes_the_validator(body: object) -> None:
    try:
        manifest.read_upload(body)
    except InvalidManifestError as invalid:
        assert invalid.problems


@thorough
@given(documents)
def test_an_accepted_document_keeps_the_contract(document: dict[str, Any]) -> None:
    accepted = read(document)
    if accepted is None:
        return
    assert document["schema_version"] == 1
    assert type(document["schema_version"]) is int
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", accepted.agent_name)
    stored = json.dumps(accepted.redacted, allow_nan=False, ensure_ascii=False).encode()
    assert len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()) <= 65_536
    assert b"api_key" not in stored
    keys_given = {service.api_key for service in accepted.services}
    assert "sk-upstream-secret" not in keys_given or b"sk-upstream-secret" not in stored
    ids = [host["id"] for host in document["hosts"] or []]
    assert len(set(ids)) == len(ids) <= 50
    assert sum(len(host.get("services") or []) for host in document["hosts"] or []) == len(accepted.services)
    assert len({service.name for service in accepted.services}) == len(accepted.services) <= 100
    for service in accepted.services:
        check_service(service)
    # The same rules read the stored manifest again, and it routes the same.
    without_keys = tuple(replace(service, api_key=None) for service in accepted.services)
    assert manifest.validate(accepted.redacted).services == without_keys


def check_service(service: manifest.Service) -> None:
    assert service.type in TYPES
    assert service.engine in ENGINES
    assert service.access in {"private", "authenticated", "restricted"}
    assert service.name.strip() == service.name != ""
    assert not set(service.name) & set("/#?%\\\n\r\t\x00")
    assert len(service.name.encode()) <= 128
    parts = urlsplit(service.url)
    assert parts.scheme
    assert parts.hostname
    assert parts.username is None
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", user) for user in service.allowed_users)
    assert service.api_key is None or re.fullmatch(r"[!-~]{1,1024}", service.api_key)
    assert all(feature == feature.strip().lower() != "" for feature in service.features)
    assert service.type != "stt" or len({model.slug for model in service.models}) == len(service.models)
    for model in service.models:
        assert model.slug == slug_of(model.slug) != ""
        assert model.served_id == model.served_id.strip() != ""
        assert len(model.slug.encode()) <= 256
        assert "#" not in model.slug + model.served_id
        length = model.context_length
        assert length is None or (type(length) is int and 0 < length < 2**53)


@settings(max_examples=1000)
@given(st.text())
def test_a_slug_is_its_own_slug(model_id: str) -> None:
    slug = slug_of(model_id)
    assert slug_of(slug) == slug
