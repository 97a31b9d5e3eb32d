"""The front's own answers say what API Gateway says on AWS."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import http
from gateway.errors import GatewayError, InvalidKey
from server import preflight, refusals

TEMPLATE = Path(__file__).resolve().parents[3] / "template.yaml"


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as nothing: the texts are written out."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
API: dict[str, Any] = yaml.load(TEMPLATE.read_text("utf-8"), Loader)["Resources"]["Api"]["Properties"]


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("UNAUTHORIZED", InvalidKey()),
        ("ACCESS_DENIED", InvalidKey()),
        ("AUTHORIZER_FAILURE", refusals.key_not_checked()),
        ("MISSING_AUTHENTICATION_TOKEN", refusals.no_route()),
        ("THROTTLED", refusals.too_many()),
        ("REQUEST_TOO_LARGE", refusals.too_large()),
    ],
)
def test_a_refusal_has_the_status_and_words_of_the_template(kind: str, refusal: GatewayError) -> None:
    declared = API["GatewayResponses"][kind]
    assert refusal.status == declared["StatusCode"]
    assert refusal.envelope() == json.loads(declared["ResponseTemplates"]["application/json"])
    retry = declared["ResponseParameters"]["Headers"].get("retry-after")
    assert refusal.headers.get("retry-after") == (retry and retry.strip("'"))


def test_a_refusal_carries_the_headers_of_every_answer() -> None:
    response = refusals.response_of(InvalidKey())
    assert response.headers["access-control-expose-headers"] == http.EXPOSED
    assert response.headers["content-type"] == "application/json"


def test_a_preflight_allows_what_the_template_allows() -> None:
    cors = {name: value.strip("'") for name, value in API["Cors"].items()}
    assert preflight.ANSWER["access-control-allow-methods"] == cors["AllowMethods"]
    assert preflight.ANSWER["access-control-allow-headers"] == cors["AllowHeaders"]
    assert preflight.ANSWER["access-control-max-age"] == cors["MaxAge"]
    assert preflight.ANSWER["access-control-allow-origin"] == cors["AllowOrigin"]
