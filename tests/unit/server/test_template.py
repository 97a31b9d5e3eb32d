"""The reader of template.yaml, with the project's template and a small one."""

from pathlib import Path

import pytest

from server.template import TEMPLATE, Authorizer, EventSource, Template

PROJECT = Path(__file__).parents[2] / "integration" / "project" / "template.yaml"


@pytest.fixture
def template() -> Template:
    return Template(PROJECT, endpoint="http://127.0.0.1:1")


def test_a_reference_to_a_table_is_its_name(template: Template) -> None:
    assert template.functions()["EchoFunction"].environment["ITEMS_TABLE"] == "stt-gateway-local-ItemsTable"


def test_a_reference_to_a_queue_is_its_url_at_the_embedded_aws(template: Template) -> None:
    assert template.reference("ItemsQueue") == "http://127.0.0.1:1/123456789012/stt-gateway-local-ItemsQueue"


def test_a_key_is_known_by_an_alias_because_key_ids_are_random(template: Template) -> None:
    assert template.attribute("ItemsKey", "Arn").endswith(":alias/stt-gateway-local-ItemsKey")


def test_a_bucket_name_is_lower_case(template: Template) -> None:
    assert template.reference("ItemsBucket") == "stt-gateway-local-itemsbucket"


def test_a_substitution_takes_parameters_and_pseudo_parameters_and_leaves_literals(
    template: Template,
) -> None:
    greeting = template.functions()["EchoFunction"].environment["GREETING"]
    assert greeting == "hello from us-east-1, ${literal}"


def test_a_value_is_found_in_a_mapping(template: Template) -> None:
    assert template.functions()["EchoFunction"].environment["LOOKED_UP"] == "grüezi"


def test_a_parameter_wins_over_its_default() -> None:
    template = Template(PROJECT, parameters={"Greeting": "servus"})
    assert template.functions()["EchoFunction"].environment["GREETING"].startswith("servus from")


def test_a_condition_decides_a_value_and_a_resource(template: Template) -> None:
    with_extra = Template(PROJECT, parameters={"Extra": "more"})
    assert template.functions()["EchoFunction"].environment["OWN"] == "none"
    assert with_extra.functions()["EchoFunction"].environment["OWN"] == "more"
    assert [name for name, _ in template.resources("AWS::DynamoDB::Table")] == ["ItemsTable"]
    assert [name for name, _ in with_extra.resources("AWS::DynamoDB::Table")] == ["ItemsTable", "ExtraTable"]


def test_a_resource_with_its_own_name_keeps_it() -> None:
    template = Template(PROJECT, parameters={"Extra": "more"})
    assert template.physical_name("ExtraTable") == "more"


def test_globals_apply_to_a_function_and_its_own_settings_win(template: Template) -> None:
    echo, gatekeeper = template.functions()["EchoFunction"], template.functions()["GatekeeperFunction"]
    assert (echo.handler, echo.timeout_seconds, echo.memory_mb) == ("app.handler", 5.0, 256)
    assert gatekeeper.memory_mb == 128
    assert "OWN" not in gatekeeper.environment
    assert echo.code == PROJECT.parent / "functions" / "echo"


def test_routes_carry_method_path_and_whether_they_need_a_key(template: Template) -> None:
    routes = {(route.method, route.path): route.authorized for route in template.routes()}
    assert routes[("GET", "/v1/models/{id+}")] is True
    assert routes[("GET", "/healthz")] is False


def test_event_sources_name_the_resource_that_feeds_the_function(template: Template) -> None:
    assert template.functions()["EchoFunction"].event_sources == (
        EventSource("DynamoDB", "ItemsTable", 5),
        EventSource("SQS", "ItemsQueue", 10),
    )


def test_the_api_has_its_authorizer_binary_types_and_error_shapes(template: Template) -> None:
    api = template.api()
    assert api.authorizer == Authorizer("GatekeeperFunction", "Authorization", None)
    assert api.binary_media_types == ("multipart/form-data",)
    assert api.gateway_responses["UNAUTHORIZED"]["StatusCode"] == 401


def test_an_unknown_reference_is_an_error_not_an_empty_name(template: Template) -> None:
    with pytest.raises(KeyError):
        template.reference("NoSuchThing")


def test_every_function_of_the_gateway_has_its_handler_at_the_templates_path() -> None:
    for function in Template().functions().values():
        module, _, _ = function.handler.partition(".")
        assert (function.code / f"{module}.py").is_file()


def test_every_variable_of_the_gateway_resolves_to_a_string() -> None:
    for function in Template(endpoint="http://127.0.0.1:1").functions().values():
        assert all(isinstance(value, str) for value in function.environment.values())


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


def test_every_text_in_api_gateways_own_answers_is_written_once() -> None:
    written = TEMPLATE.read_text()
    for response in Template().api().gateway_responses.values():
        headers = response["ResponseParameters"]["Headers"]
        for text in (*response["ResponseTemplates"].values(), headers["access-control-expose-headers"]):
            assert written.count(text) == 1
