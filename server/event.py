"""Makes the event of a request, in the format that API Gateway sends (REST API, payload version 1.0)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from gateway.http import Event
from server.routes import Resource


def event_of(
    scope: Scope,
    resource: Resource,
    path: str,
    identity: Mapping[str, str] | None,
    body: bytes | bytearray | None,
) -> Event:
    """`path` is as it was sent; parameters and query are decoded. The body is not copied."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    headers = dict(pairs)
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {
        "resource": resource.path,
        "path": path,
        "httpMethod": scope["method"],
        "headers": headers,
        "multiValueHeaders": _grouped(pairs),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query) or None,
        "pathParameters": resource.parameters(path) or None,
        "stageVariables": None,
        "requestContext": _context(scope, resource, path, identity, headers.get("host", "")),
        "body": body,
        "isBase64Encoded": False,
    }


def _context(
    scope: Scope, resource: Resource, path: str, identity: Mapping[str, str] | None, host: str
) -> dict[str, Any]:
    client = scope.get("client")
    context: dict[str, Any] = {
        "resourcePath": resource.path,
        "httpMethod": scope["method"],
        "path": path,
        "domainName": host,
        "identity": {"sourceIp": client[0] if client else ""},
    }
    if identity is not None:
        context["authorizer"] = identity
    return context


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups
