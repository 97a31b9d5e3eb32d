"""`gateway-admin validate`: every problem with its line, for any file."""

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from admin.cli import app
from admin.manifest_file import ManifestFile, Unusable, read_file
from admin.yaml_lines import NotYaml, read_yaml

VALID = """\
# The operator's own comment
schema_version: 1
agent:
  name: home
hosts:
  - id: rig-01
    services:
      - name: asr
        type: stt
        engine: vllm
        url: https://stt.example.com/v1
        models:
          - id: Qwen/Qwen3-ASR-1.7B
"""


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str | bytes) -> Path:
    path = Path("manifest.yaml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(text: str) -> ManifestFile:
    return read_file(written(text))


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(Unusable) as caught:
        read_file(written(text))
    return caught.value.lines


def header(rest: str) -> str:
    return "schema_version: 1\nagent: {name: home}\n" + rest


def service_with(line: str) -> str:
    return VALID.replace("        engine: vllm\n", f"        engine: vllm\n        {line}\n")


# --- the command


def test_a_valid_manifest_is_summarised_and_the_status_is_0() -> None:
    result = CliRunner().invoke(app, ["validate", str(written(VALID))])
    assert result.exit_code == 0
    assert result.stdout == (
        "manifest.yaml: valid. Provider 'home', services: 1, speech-to-text models: qwen/qwen3-asr-1.7b\n"
    )


def test_every_problem_is_reported_in_line_order_and_the_status_is_1() -> None:
    text = (
        VALID.replace("name: home", "name: my home")
        .replace("vllm", "whisper")
        .replace("- id: Qwen", "- idd: Qwen")
    )
    result = CliRunner().invoke(app, ["validate", str(written(text))])
    assert result.exit_code == 1
    assert [line.split(": must")[0].split(": needs")[0] for line in result.stderr.splitlines()] == [
        "manifest.yaml:4: agent.name",
        "manifest.yaml:10: hosts[0].services[0].engine",
        "manifest.yaml:13: hosts[0].services[0].models[0]",
    ]


@pytest.mark.parametrize(("name", "reason"), [("missing.yaml", "No such file"), (".", "Is a directory")])
def test_an_unreadable_file_is_reported_without_a_traceback(name: str, reason: str) -> None:
    result = CliRunner().invoke(app, ["validate", name])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{name}: {reason}")


# --- lines


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (VALID.replace("schema_version: 1", "schema_version: 2"), "2: schema_version: must be 1"),
        (VALID.replace("        engine: vllm\n", ""), "8: hosts[0].services[0].engine: is required"),
        (VALID.replace("  name: home\n", "  hostname: x\n"), "3: agent.name: is required"),
        (VALID.replace("    services:", "    servicess:"), None),
        (VALID.replace("schema_version: 1\n", ""), "2: schema_version: is required"),
        (service_with("features: [a, 5]"), "11: hosts[0].services[0].features[1]: must be text"),
        (service_with('"x y": {z: .nan}'), '11: hosts[0].services[0]["x y"].z: must be a number between'),
        (
            service_with("api_key:\n          - a"),
            "11: hosts[0].services[0].api_key: must be text, not a list",
        ),
        (
            VALID + VALID.replace("schema_version", "again"),
            "16: agent: must be given only once; it is also on line 3",
        ),
        (
            VALID.replace("    services:", "    id: b\n    services:"),
            "7: hosts[0].id: must be given only once; it is also on line 6",
        ),
        ("", "1: manifest: is required"),
        ("# nothing\n", "1: manifest: is required"),
        ("- a\n", "1: manifest: must be an object, not a list"),
        ("\n\nhello", "3: manifest: must be an object, not text"),
    ],
)
def test_a_problem_is_reported_with_its_line(text: str, problem: str | None) -> None:
    if problem is None:
        assert read(text).manifest.services == ()
    else:
        assert problems_of(text)[0].startswith(f"manifest.yaml:{problem}")


def test_too_many_services_point_at_the_hosts() -> None:
    services = "".join(f"      - {{name: s{n}, engine: vllm, url: 'http://h'}}\n" for n in range(101))
    assert problems_of(header("hosts:\n  - id: a\n    services:\n" + services)) == [
        "manifest.yaml:3: hosts[].services: must be at most 100 in all hosts together, but are 101"
    ]


def test_no_more_than_a_hundred_problems_are_printed() -> None:
    lines = problems_of(header("hosts:\n" + "  - 5\n" * 150))
    assert len(lines) == 101
    assert lines[-1] == "... and 51 more"


def test_a_gateways_problems_are_reported_with_lines_too() -> None:
    file = read(VALID)
    assert file.locate(["hosts[0].services[0].url: is odd", "raw_yaml: too large", "... and 3 more"]) == [
        "manifest.yaml:2: raw_yaml: too large",
        "manifest.yaml:2: ... and 3 more",
        "manifest.yaml:11: hosts[0].services[0].url: is odd",
    ]


# --- what YAML means here


@pytest.mark.parametrize("text", ["no", "on", "2024-01-01", "1:30", "1_000", "010", "=", "0o7"])
def test_text_in_yaml_1_2_is_text(text: str) -> None:
    assert read(service_with(f"command: {text}")).parsed["hosts"][0]["services"][0]["command"] == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("8192", 8192), ("0x10", 16), ("-5", -5), ("1e3", 1000.0), ("2.5", 2.5), ("true", True)],
)
def test_numbers_and_booleans_are_those_of_json(text: str, value: object) -> None:
    read_value = read(service_with(f"x: {text}")).parsed["hosts"][0]["services"][0]["x"]
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("text", ["null", "~", ""])
def test_null_is_null(text: str) -> None:
    assert read(service_with(f"command: {text}")).parsed["hosts"][0]["services"][0]["command"] is None


def test_keys_are_always_text() -> None:
    service = read(service_with("extra: {1: a, true: b, 2024-01-01: c}")).parsed["hosts"][0]["services"][0]
    assert service["extra"] == {"1": "a", "true": "b", "2024-01-01": "c"}


def test_anchors_and_merges_work() -> None:
    text = header(
        "defaults: &d {engine: vllm, type: stt, url: 'http://h'}\n"
        "more: &m {engine: other, features: [vad]}\n"
        "hosts:\n"
        "  - {id: a, services: [{<<: *d, name: one}, {<<: [*d, *m], name: two, type: llm}, {name: three, <<: *m, url: "
        "'http://x'}]}\n"
    )
    one, two, three = read(text).manifest.services
    assert (one.engine, one.type, one.url) == ("vllm", "stt", "http://h")
    assert (two.engine, two.type, two.features) == ("vllm", "llm", ("vad",))
    assert (three.engine, three.url) == ("other", "http://x")


def test_json_is_yaml_too() -> None:
    assert (
        read('\ufeff{"schema_version": 1,\r\n  "agent": {"name": "home"}, "hosts": []}').manifest.services
        == ()
    )


# --- hostile files


def laughs(link: str) -> str:
    lines = [
        f"{chr(98 + n)}: &{chr(98 + n)} {link.format(','.join(['*' + chr(97 + n)] * 9))}\n" for n in range(12)
    ]
    return "a: &a {x: 1}\n" + "".join(lines)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "billion laughs by aliases": (laughs("[{}]"), "must have at most 32769 values"),
    "billion laughs by merges": (laughs("{{<<: [{}]}}"), "must have at most 32769 values"),
    "an alias to itself": ("a: &a [*a]\n", "must be nested at most 32 levels deep"),
    "a merge of itself": ("a: &a {<<: *a}\n", "must be nested at most 32 levels deep"),
    "deep": ("[" * 60_000, "must be nested at most 32 levels deep"),
    "deep and closed": ("[" * 100 + "]" * 100, "must be nested at most 32 levels deep"),
    "two documents": ("a: 1\n---\nb: 2\n", "expected a single document"),
    "an unknown alias": ("a: *b\n", "found undefined alias 'b'"),
    "not closed": ("a: [1\nb: 2\n", "while parsing a flow sequence"),
    "control characters": ("a: \x00\n", "control characters are not allowed in YAML"),
    "not UTF-8": (b"a: \xff\n", "must be UTF-8 text"),
    "a Python object": ("!!python/object/apply:os.system [id]\n", "manifest: tags are not accepted"),
    "a set": ("!!set {a, b}\n", "manifest: tags are not accepted"),
    "a list as a key": ("? [a]\n: b\n", "manifest: keys must be text"),
    "a merge of text": ("<<: text\n", "manifest: << must merge an object, not text"),
    "an empty number": ("!!int ''\n", "manifest: must be an object, not text"),
    "a number of 5,000 digits": ("9" * 5000, "manifest: must be an object, not text"),
    "over 64 KiB": ("#" * 65_537, "must be at most 65536 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_quickly_with_a_message(name: str) -> None:
    text, problem = HOSTILE[name]
    started = time.monotonic()
    lines = problems_of(text)
    assert any(problem in line for line in lines), lines
    assert all(line.startswith("manifest.yaml:") for line in lines)
    assert time.monotonic() - started < 20


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text("{}[]&*!|>'\"%@`#,:?-<~ \n0a\\", max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        document = read_yaml(text)
    except NotYaml as error:
        assert 1 <= error.line <= len(text) + 1
    else:
        json.dumps(document.value)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("abc: é'\"-#1", max_size=8),
        lambda child: (
            st.lists(child, max_size=3) | st.dictionaries(st.text("ab c1", max_size=4), child, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_yaml_written_by_another_library_is_read_back(value: object) -> None:
    document = read_yaml(yaml.safe_dump(value, allow_unicode=True))
    assert document.value == value
    assert document.problems == {}


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(Unusable, match="must be at most 65536 bytes"):
        read_file(Path("/dev/zero"))


def test_no_problem_repeats_a_credential() -> None:
    text = service_with("api_key: 'sk-secret with spaces'") + "  - sk-secret\n"
    assert "sk-secret" not in "".join(problems_of(text))
