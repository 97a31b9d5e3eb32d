"""What template.yaml declares."""

import json
import re
from typing import Any

import pytest

from tests.template import TEMPLATE, Template

API = Template().api()
# API Gateway puts a quoted string here.
MESSAGE = "$context.error.messageString"


def test_every_function_has_its_handler_where_the_template_says() -> None:
    for function in Template().functions().values():
        module, _, _ = function.handler.partition(".")
        assert (function.code / f"{module}.py").is_file()


@pytest.mark.parametrize("function", ["TranscribeFunction", "ModelsFunction", "AgentsFunction"])
def test_a_function_that_dials_or_lists_providers_knows_the_public_url(function: str) -> None:
    template = Template(parameters={"PublicUrl": "https://stt.example.com"})
    assert template.functions()[function].environment["PUBLIC_URL"] == "https://stt.example.com"


def test_the_transcribe_function_knows_an_id_of_this_deployment() -> None:
    template = Template()
    own = template.functions()["TranscribeFunction"].environment["GATEWAY_ID"]
    assert template.reference("AWS::StackId").endswith(f"/{own}")


def test_the_transcribe_function_knows_how_many_calls_of_a_user_may_run_at_a_time() -> None:
    assert Template().functions()["TranscribeFunction"].environment["MAX_IN_FLIGHT_PER_USER"] == "50"
    none = Template(parameters={"MaxInFlightPerUser": "0"})
    assert none.functions()["TranscribeFunction"].environment["MAX_IN_FLIGHT_PER_USER"] == "0"


def test_no_two_routes_are_the_same() -> None:
    routes = [(route.method, re.sub(r"\{\w+", "{", route.path)) for route in Template().routes()]
    assert len(routes) == len(set(routes))


def test_every_route_needs_a_key_except_those_of_the_site() -> None:
    for route in Template().routes():
        assert route.authorized is (route.function != "SiteFunction"), route


def test_audio_arrives_as_bytes_and_a_preflight_needs_no_key() -> None:
    assert API["BinaryMediaTypes"] == ["multipart/form-data"]
    assert API["Auth"]["AddDefaultAuthorizerToCorsPreflight"] is False


@pytest.mark.parametrize("response", API["GatewayResponses"].values(), ids=API["GatewayResponses"])
def test_every_answer_of_api_gateways_own_is_the_error_envelope_with_a_request_id(
    response: dict[str, Any],
) -> None:
    body = response["ResponseTemplates"]["application/json"].replace(MESSAGE, '"said so"')
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    headers = response["ResponseParameters"]["Headers"]
    assert headers["x-request-id"] == "context.requestId"
    assert headers["access-control-allow-origin"] == "'*'"


def test_every_text_in_api_gateways_own_answers_is_written_once() -> None:
    written = TEMPLATE.read_text()
    for response in API["GatewayResponses"].values():
        headers = response["ResponseParameters"]["Headers"]
        for text in (*response["ResponseTemplates"].values(), headers["access-control-expose-headers"]):
            assert written.count(text) == 1
