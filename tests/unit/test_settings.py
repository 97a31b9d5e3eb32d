import pytest

from gateway.settings import CatalogSettings, SiteSettings, TranscribeSettings


def test_an_empty_environment_gives_the_contracts_defaults() -> None:
    settings = TranscribeSettings.read({})
    assert settings.catalog == CatalogSettings(provider_online_seconds=120, allow_private=False)
    assert (settings.request_budget_seconds, settings.max_attempts, settings.max_audio_seconds) == (
        600,
        3,
        14_400,
    )
    assert (settings.require_measured_audio, settings.provider_ca_bundle) == (False, None)
    assert SiteSettings.read({}).single_request_bytes == 4_400_000


def test_a_variable_that_is_declared_but_empty_is_its_default() -> None:
    env = {"MAX_ATTEMPTS": "", "PROVIDER_CA_BUNDLE": "", "ALLOW_PRIVATE_PROVIDERS": ""}
    assert TranscribeSettings.read(env) == TranscribeSettings.read({})


@pytest.mark.parametrize(("text", "on"), [("true", True), (" True ", True), ("false", False), ("1", False)])
def test_only_true_lifts_a_rule(text: str, on: bool) -> None:
    assert CatalogSettings.read({"ALLOW_PRIVATE_PROVIDERS": text}).allow_private is on


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_a_number_that_is_none_fails_at_the_start_and_names_the_variable(text: str) -> None:
    with pytest.raises(ValueError, match="MAX_ATTEMPTS"):
        TranscribeSettings.read({"MAX_ATTEMPTS": text})
