"""openapi.yaml matches template.yaml's routes, gateway/errors.py's answers, and the served file."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from functions import build_openapi
from functions.build_openapi import SOURCE, as_json
from gateway import errors, http
from gateway.errors import GatewayError
from gateway.manifest.schema import ENGINES, MAX_HOSTS, TYPES, VENDORS

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("get", "put", "post", "delete", "patch")


class TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref ...`) as nothing: routes are written out."""


TemplateLoader.add_multi_constructor("!", lambda loader, suffix, node: None)

DOCUMENT = yaml.safe_load(SOURCE.read_text("utf-8"))
TEMPLATE = yaml.load((ROOT / "template.yaml").read_text("utf-8"), TemplateLoader)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def routes() -> dict[tuple[str, str], bool]:
    """Path and method of every route in the template, and whether it needs a key."""
    found = {}
    for resource in TEMPLATE["Resources"].values():
        for event in (resource["Properties"].get("Events") or {}).values():
            if event["Type"] == "Api":
                properties = event["Properties"]
                path = properties["Path"].replace("+}", "}")
                needs_key = (properties.get("Auth") or {}).get("Authorizer") != "NONE"
                found[path, properties["Method"].lower()] = needs_key
    return found


def resolved(node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def responses(operation: dict[str, Any]) -> dict[str, Any]:
    return {status: resolved(response) for status, response in operation["responses"].items()}


def error_types(response: dict[str, Any]) -> set[str]:
    """The error types that a response's schema accepts."""
    schema = resolved(response["content"]["application/json"]["schema"])
    found: set[str] = set()
    for part in schema.get("allOf", [schema]):
        kind = part.get("properties", {}).get("error", {}).get("properties", {}).get("type", {})
        found |= {kind["const"]} if "const" in kind else set(kind.get("enum", ()))
    return found


def error_classes(parent: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield parent
    for each in parent.__subclasses__():
        yield from error_classes(each)


def nodes(node: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, with its position."""
    if isinstance(node, dict):
        yield where, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from nodes(child, f"{where}/{key}")


def examples() -> Iterator[Any]:
    """Every example of the document, with the schema next to it."""
    for where, node in nodes(DOCUMENT):
        schema = node.get("schema", node)
        if "example" in node:
            yield pytest.param(schema, node["example"], id=where)
        named = node.get("examples", {})
        values = [each["value"] for each in named.values()] if isinstance(named, dict) else named
        for number, value in enumerate(values):
            yield pytest.param(schema, value, id=f"{where}-{number}")


def test_the_document_is_valid_openapi_31() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


def test_the_document_has_exactly_the_routes_of_the_template() -> None:
    assert {(path, method) for path, method, _ in operations()} == set(routes())


def test_an_operation_needs_a_key_exactly_when_the_template_gives_it_the_authorizer() -> None:
    documented = {(path, method): operation.get("security") != [] for path, method, operation in operations()}
    assert documented == routes()


@pytest.mark.parametrize("error", sorted(set(error_classes()), key=str))
def test_every_error_is_documented_with_its_status(error: type[GatewayError]) -> None:
    status = str(error.status)
    answers = [
        responses(operation)[status] for *_, operation in operations() if status in operation["responses"]
    ]
    assert any(error.type in error_types(answer) for answer in answers)
    error_object = DOCUMENT["components"]["schemas"]["Error"]["properties"]["error"]["properties"]
    assert error.type in error_object["type"]["enum"]
    assert error.code in error_object["code"]["enum"]


def test_every_documented_error_type_exists_in_the_gateway() -> None:
    bodies = [
        each["ResponseTemplates"]["application/json"]
        for each in TEMPLATE["Resources"]["Api"]["Properties"]["GatewayResponses"].values()
    ]
    # API Gateway answers some types by itself: no key, its firewall.
    answered = {kind for body in bodies for kind in re.findall(r'"type":"(\w+)"', body)}
    known = {error.type for error in error_classes()} | answered
    enum = DOCUMENT["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["type"]["enum"]
    assert set(enum) == known


def test_every_status_that_api_gateway_itself_returns_is_documented() -> None:
    own = TEMPLATE["Resources"]["Api"]["Properties"]["GatewayResponses"]
    documented = {status for *_, operation in operations() for status in operation["responses"]}
    assert {str(each["StatusCode"]) for each in own.values() if "StatusCode" in each} <= documented


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()))
def test_every_operation_documents_the_answers_common_to_all_routes(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    expected = {"429", "500", "504"}
    if operation.get("security") != []:
        expected |= {"401", "403"}
    if "requestBody" in operation:
        expected |= {"400", "413"}
    assert expected <= set(operation["responses"])


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()))
def test_every_answer_names_the_request_id_header(path: str, method: str, operation: dict[str, Any]) -> None:
    for status, response in responses(operation).items():
        assert "x-request-id" in response["headers"], status


def test_every_header_that_pages_may_read_is_documented() -> None:
    documented = {
        name.lower()
        for *_, operation in operations()
        for response in responses(operation).values()
        for name in response["headers"]
    }
    assert set(http.EXPOSED.split(",")) <= documented


@pytest.mark.parametrize(("schema", "example"), list(examples()))
def test_examples_match_their_schema(schema: dict[str, Any], example: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(example)


def test_the_manifest_schema_accepts_what_the_validator_accepts() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    service = schemas["Service"]["properties"]
    assert set(service["type"]["enum"]) == {*TYPES, None}
    assert set(service["engine"]["enum"]) == set(ENGINES)
    assert set(schemas["Gpu"]["properties"]["vendor"]["enum"]) == {*VENDORS, None}
    assert schemas["Manifest"]["properties"]["hosts"]["maxItems"] == MAX_HOSTS


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


def test_what_is_served_is_the_source_as_json(tmp_path: Path) -> None:
    served = tmp_path / "openapi.json"
    build_openapi.write(served)
    assert served.read_text("utf-8") == as_json()
    assert json.loads(as_json()) == DOCUMENT


def test_writing_the_document_again_leaves_one_file_with_the_same_bytes_that_everybody_may_read(
    tmp_path: Path,
) -> None:
    served = tmp_path / "openapi.json"
    build_openapi.write(served)
    first = served.read_bytes()
    build_openapi.write(served)
    assert served.read_bytes() == first
    assert list(tmp_path.iterdir()) == [served]
    assert served.stat().st_mode & 0o777 == 0o644


def test_every_error_type_comes_from_one_module() -> None:
    assert {each.__module__ for each in error_classes()} <= {errors.__name__, "gateway.providers.operators"}
