"""What CloudFormation gets: template.yaml after the SAM translator, with conditions set by parameters."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from server.intrinsics import Resolver
from server.template import Template
from tests.running import ROOT

PYTHON = ROOT / ".venv-sam" / "bin" / "python"
RESERVING = {
    "TranscribeFunction": "Transcribe",
    "AuthorizerFunction": "Authorizer",
    "AgentsFunction": "Agents",
}

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="there is no .venv-sam: `make check` creates it")


@pytest.fixture(scope="module")
def translated() -> Any:
    said = subprocess.run(
        [PYTHON, Path(__file__).parents[1] / "sam_translation.py", ROOT / "template.yaml"],
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def resolver(translated: Any, given: Mapping[str, str]) -> Resolver:
    """Evaluates the template's conditions for parameters; leaves other references as they are."""
    declared = {name: str(each.get("Default", "")) for name, each in translated["Parameters"].items()}
    parameters = {**declared, **given}
    return Resolver(
        translated["Conditions"],
        lambda name: parameters.get(name, {"Ref": name}),
        lambda name, attribute: {"Fn::GetAtt": [name, attribute]},
        translated["Mappings"],
    )


def reserved(translated: Any, function: str, given: Mapping[str, str]) -> Any:
    """The function's ReservedConcurrentExecutions; None if absent."""
    properties = translated["Resources"][function]["Properties"]
    value = properties.get("ReservedConcurrentExecutions")
    chosen = value
    while isinstance(chosen, dict) and "Fn::If" in chosen:
        condition, then, otherwise = chosen["Fn::If"]
        chosen = then if resolver(translated, given).holds(condition) else otherwise
    return None if chosen == {"Ref": "AWS::NoValue"} else resolver(translated, given).resolve(chosen)


@pytest.mark.parametrize(("function", "name"), RESERVING.items())
def test_a_function_reserves_what_its_parameter_says_or_has_no_such_property(
    translated: Any, function: str, name: str
) -> None:
    assert reserved(translated, function, {}) is None
    assert reserved(translated, function, {f"{name}ReservedConcurrency": "100"}) == "100"
    others = {f"{other}ReservedConcurrency": "7" for other in RESERVING.values() if other != name}
    assert reserved(translated, function, others) is None


@pytest.mark.parametrize("name", RESERVING.values())
def test_a_reserve_that_would_turn_a_function_off_is_refused(translated: Any, name: str) -> None:
    parameter = translated["Parameters"][f"{name}ReservedConcurrency"]
    accepted = [
        text
        for text in ("", "1", "100", "1000", "0", "00", "01", "-1", "1.5", " ", "all")
        if re.fullmatch(parameter["AllowedPattern"], text)
    ]
    assert accepted == ["", "1", "100", "1000"]


def methods(translated: Any) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    [stage] = [each for each in translated["Resources"].values() if each["Type"] == "AWS::ApiGateway::Stage"]
    return {
        (each["ResourcePath"], each["HttpMethod"]): resolver(translated, {}).resolve(each)
        for each in stage["Properties"]["MethodSettings"]
    }


def test_heartbeats_have_their_own_throttle_with_room_for_ten_thousand_providers(
    translated: Any,
) -> None:
    settings = methods(translated)
    # "~1" replaces each slash except the first.
    [(path, method)] = settings.keys() - {("/*", "*")}
    route = path[0] + path[1:].removeprefix("~1").replace("~1", "/")
    assert method.lower() in translated["Resources"]["Api"]["Properties"]["Body"]["paths"][route]
    assert path == "/~1api~1inference~1agent~1heartbeat"
    heartbeats = settings[(path, method)]
    assert float(heartbeats["ThrottlingRateLimit"]) > 10_000 / 30
    assert float(heartbeats["ThrottlingBurstLimit"]) >= float(heartbeats["ThrottlingRateLimit"])
    assert settings[("/*", "*")]["ThrottlingRateLimit"]


def test_there_is_one_stage_and_it_is_throttled(translated: Any) -> None:
    deployments = [
        each for each in translated["Resources"].values() if each["Type"] == "AWS::ApiGateway::Deployment"
    ]
    assert not any("StageName" in each["Properties"] for each in deployments)
    assert len(methods(translated)) == 2


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, None),
        ({"DomainName": "stt.example.com", "CertificateArn": "arn:aws:acm:us-east-1:1:certificate/a"}, None),
        ({"DomainName": "stt.example.com"}, "DomainName needs CertificateArn"),
        (
            {"CertificateArn": "arn:aws:acm:us-east-1:1:certificate/a"},
            "CertificateArn is used with DomainName",
        ),
    ],
)
def test_a_domain_and_its_certificate_come_together(
    translated: Any, given: dict[str, str], refused: str | None
) -> None:
    resolve = resolver(translated, given).resolve
    failed = [
        assertion["AssertDescription"]
        for rule in translated["Rules"].values()
        if resolve(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not resolve(assertion["Assert"])
    ]
    assert len(failed) == (refused is not None)
    assert all(message.startswith(str(refused)) for message in failed)


def test_api_gateway_has_every_answer_of_the_local_run(translated: Any) -> None:
    body = resolver(translated, {}).resolve(translated["Resources"]["Api"]["Properties"]["Body"])
    answers = body["x-amazon-apigateway-gateway-responses"]
    own = Template().api().gateway_responses
    assert answers.keys() == own.keys()
    for kind, answer in answers.items():
        headers = own[kind]["ResponseParameters"]["Headers"]
        assert answer["responseParameters"] == {
            f"gatewayresponse.header.{name}": value for name, value in headers.items()
        }
        assert answer["responseTemplates"] == own[kind]["ResponseTemplates"]
        assert answer.get("statusCode", "") == str(own[kind].get("StatusCode", ""))


def test_all_functions_log_into_one_group_with_a_retention(translated: Any) -> None:
    of_kind = {
        kind: {name: each for name, each in translated["Resources"].items() if each["Type"] == kind}
        for kind in ("AWS::Lambda::Function", "AWS::Logs::LogGroup")
    }
    [(group, declared)] = of_kind["AWS::Logs::LogGroup"].items()
    assert declared["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    for function in of_kind["AWS::Lambda::Function"].values():
        assert function["Properties"]["LoggingConfig"] == {"LogGroup": {"Ref": group}}


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:4566"])
def test_the_functions_call_aws_where_the_parameter_says(translated: Any, address: str) -> None:
    resolve = resolver(translated, {"AwsEndpointUrl": address}).resolve
    assert translated["Parameters"]["AwsEndpointUrl"]["Default"] == ""
    for each in translated["Resources"].values():
        if each["Type"] == "AWS::Lambda::Function":
            variables = each["Properties"]["Environment"]["Variables"]
            assert resolve(variables["AWS_ENDPOINT_URL"]) == address
