import pytest

from gateway.settings import CatalogSettings, RequestSettings, TranscribeSettings


def test_an_empty_environment_gives_the_contracts_defaults() -> None:
    settings = TranscribeSettings.read({})
    assert settings.catalog == CatalogSettings(provider_online_seconds=120, allow_private=False)
    assert (settings.request_budget_seconds, settings.max_attempts, settings.max_audio_seconds) == (
        600,
        3,
        14_400,
    )
    assert (settings.require_measured_audio, settings.provider_ca_bundle) == (False, None)
    assert RequestSettings.read({}).single_request_bytes == 4_400_000


def test_a_declared_but_empty_variable_has_its_default() -> None:
    env = {"MAX_ATTEMPTS": "", "PROVIDER_CA_BUNDLE": "", "ALLOW_PRIVATE_PROVIDERS": ""}
    assert TranscribeSettings.read(env) == TranscribeSettings.read({})


@pytest.mark.parametrize(("text", "on"), [("true", True), (" True ", True), ("false", False), ("1", False)])
def test_only_true_lifts_a_rule(text: str, on: bool) -> None:
    assert CatalogSettings.read({"ALLOW_PRIVATE_PROVIDERS": text}).allow_private is on


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_a_value_that_is_not_a_number_fails_at_the_start_and_names_the_variable(text: str) -> None:
    with pytest.raises(ValueError, match="MAX_ATTEMPTS"):
        TranscribeSettings.read({"MAX_ATTEMPTS": text})


def test_a_request_adds_the_hosts_it_used_to_reach_the_gateway() -> None:
    settings = CatalogSettings.read({"PUBLIC_URL": " https://stt.example.com ", "DOMAIN_NAME": "a.example"})
    assert (settings.public_url, settings.domain_name) == ("https://stt.example.com", "a.example")
    assert settings.reached_at(frozenset(["a:443"])).reached_at(frozenset(["b:443"])).own_hosts == {
        "a:443",
        "b:443",
    }


def test_the_id_of_this_deployment_is_the_configured_one_or_the_processs_own() -> None:
    assert TranscribeSettings.read({"GATEWAY_ID": "51AF3DC0-DA77-11E4-872E-1234567DB123"}).gateway_id == (
        "51af3dc0-da77-11e4-872e-1234567db123"
    )
    assert len(TranscribeSettings.read({}).gateway_id) == 32


@pytest.mark.parametrize("text", ["prod-1", "0123456789abcdeg", "a" * 65])
def test_an_id_that_would_never_be_found_in_a_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="GATEWAY_ID must be"):
        TranscribeSettings.read({"GATEWAY_ID": text})
