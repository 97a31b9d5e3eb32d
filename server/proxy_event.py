"""Turns HTTP requests into API Gateway REST proxy events (payload version 1.0) and authorizer events."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from server.resources import Resource
from server.template import ACCOUNT, REGION

API_ID = "local"
STAGE = "local"


@dataclass(frozen=True)
class Call:
    """One HTTP request to one resource of the API."""

    request: Request
    request_id: str
    path: str
    resource: Resource

    @property
    def method_arn(self) -> str:
        """The resource that the authorizer decides on."""
        return f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{STAGE}/{self.request.method}{self.path.rstrip('/')}"


def authorizer_event(call: Call, token: str) -> dict[str, Any]:
    """The event of a Lambda TOKEN authorizer."""
    return {"type": "TOKEN", "authorizationToken": token, "methodArn": call.method_arn}


def proxy_event(call: Call, identity: Mapping[str, Any], encoded: bool) -> dict[str, Any]:
    """The event of a Lambda proxy integration, without its body.

    `path` is as received; path parameters and query are decoded, as in live captures of REST APIs
    (github.com/middleapi/standard-server/pull/93).
    """
    request = call.request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    query = parse_qsl(request.url.query, keep_blank_values=True)
    parameters = call.resource.parameters(call.path.removesuffix("/") or "/")
    return {
        "resource": call.resource.path,
        "path": call.path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _grouped(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query) or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": _context(call, identity),
        "body": None,
        "isBase64Encoded": encoded,
    }


def _context(call: Call, identity: Mapping[str, Any]) -> dict[str, Any]:
    request = call.request
    now = time.time()
    context = {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        "stage": STAGE,
        "resourceId": call.resource.path,
        "resourcePath": call.resource.path,
        "httpMethod": request.method,
        "path": call.path,
        "protocol": f"HTTP/{request.scope['http_version']}",
        "requestId": call.request_id,
        "extendedRequestId": call.request_id,
        "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now * 1000),
        "domainName": request.headers.get("host", ""),
        "identity": {
            "sourceIp": request.client.host if request.client else "",
            "userAgent": request.headers.get("user-agent"),
        },
    }
    return {**context, "authorizer": dict(identity)} if identity else context


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups
