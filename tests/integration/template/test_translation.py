"""What CloudFormation gets: template.yaml after the SAM translator, with conditions set by parameters."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests import missing
from tests.running import ROOT
from tests.template import Template

PYTHON = ROOT / ".venv-sam" / "bin" / "python"
RESERVING = {
    "TranscribeFunction": "Transcribe",
    "AuthorizerFunction": "Authorizer",
    "AgentsFunction": "Agents",
}

pytestmark = missing.needs(missing.SAM_CLI)


class Translate(Protocol):
    """The translated template with these values of its parameters."""

    def __call__(self, **parameters: str) -> Template: ...


@pytest.fixture(scope="module")
def translate(tmp_path_factory: pytest.TempPathFactory) -> Translate:
    said = subprocess.run(
        [PYTHON, Path(__file__).parent / "translate.py", ROOT / "template.yaml"],
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    path = tmp_path_factory.mktemp("translated") / "template.json"
    path.write_text(said.stdout)
    return lambda **parameters: Template(path, parameters)


@pytest.fixture(scope="module")
def translated(translate: Translate) -> Any:
    """The document, with its intrinsic functions."""
    return translate().document


def reserved(template: Template, function: str) -> Any:
    """The function's ReservedConcurrentExecutions; None if absent."""
    return template.resolve(template.document["Resources"][function]["Properties"]).get(
        "ReservedConcurrentExecutions"
    )


@pytest.mark.parametrize(("function", "name"), RESERVING.items())
def test_a_function_reserves_what_its_parameter_says_or_has_no_such_property(
    translate: Translate, function: str, name: str
) -> None:
    assert reserved(translate(), function) is None
    assert reserved(translate(**{f"{name}ReservedConcurrency": "100"}), function) == "100"
    others = {f"{other}ReservedConcurrency": "7" for other in RESERVING.values() if other != name}
    assert reserved(translate(**others), function) is None


@pytest.mark.parametrize("name", RESERVING.values())
def test_a_reserve_that_would_turn_a_function_off_is_refused(translated: Any, name: str) -> None:
    parameter = translated["Parameters"][f"{name}ReservedConcurrency"]
    accepted = [
        text
        for text in ("", "1", "100", "1000", "0", "00", "01", "-1", "1.5", " ", "all")
        if re.fullmatch(parameter["AllowedPattern"], text)
    ]
    assert accepted == ["", "1", "100", "1000"]


def methods(template: Template) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    [(_, stage)] = template.resources("AWS::ApiGateway::Stage")
    return {(each["ResourcePath"], each["HttpMethod"]): each for each in stage["MethodSettings"]}


def test_heartbeats_have_their_own_throttle_with_room_for_ten_thousand_providers(
    translate: Translate, translated: Any
) -> None:
    settings = methods(translate())
    # "~1" replaces each slash except the first.
    [(path, method)] = settings.keys() - {("/*", "*")}
    route = path[0] + path[1:].removeprefix("~1").replace("~1", "/")
    assert method.lower() in translated["Resources"]["Api"]["Properties"]["Body"]["paths"][route]
    assert path == "/~1api~1inference~1agent~1heartbeat"
    heartbeats = settings[(path, method)]
    assert float(heartbeats["ThrottlingRateLimit"]) > 10_000 / 30
    assert float(heartbeats["ThrottlingBurstLimit"]) >= float(heartbeats["ThrottlingRateLimit"])
    assert settings[("/*", "*")]["ThrottlingRateLimit"]


def test_there_is_one_stage_and_it_is_throttled(translate: Translate) -> None:
    deployments = translate().resources("AWS::ApiGateway::Deployment")
    assert not any("StageName" in properties for _, properties in deployments)
    assert len(methods(translate())) == 2


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
    translate: Translate, given: dict[str, str], refused: str | None
) -> None:
    template = translate(**given)
    failed = [
        assertion["AssertDescription"]
        for rule in template.document["Rules"].values()
        if template.resolve(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not template.resolve(assertion["Assert"])
    ]
    assert len(failed) == (refused is not None)
    assert all(message.startswith(str(refused)) for message in failed)


def test_api_gateway_gets_every_answer_that_the_template_declares(
    translate: Translate, translated: Any
) -> None:
    body = translated["Resources"]["Api"]["Properties"]["Body"]
    answers = translate().resolve(body["x-amazon-apigateway-gateway-responses"])
    own = Template().api()["GatewayResponses"]
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
def test_the_functions_call_aws_where_the_parameter_says(
    translate: Translate, translated: Any, address: str
) -> None:
    assert translated["Parameters"]["AwsEndpointUrl"]["Default"] == ""
    template = translate(AwsEndpointUrl=address)
    for each in translated["Resources"].values():
        if each["Type"] == "AWS::Lambda::Function":
            variables = each["Properties"]["Environment"]["Variables"]
            assert template.resolve(variables["AWS_ENDPOINT_URL"]) == address


def test_every_permission_names_actions_and_is_for_this_stacks_resources(translated: Any) -> None:
    roles = [each for each in translated["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    statements = [
        statement
        for role in roles
        for policy in role["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert len(roles) == len(Template().functions())
    for statement in statements:
        assert "*" not in str(statement["Action"]), statement
        assert "*" not in str(statement["Resource"]).replace("/uploads/*", ""), statement
