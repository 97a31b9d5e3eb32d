from dataclasses import replace

from gateway import catalog
from gateway.deployments import provider_id
from tests.fakes import deployment


def test_the_same_slug_on_several_providers_is_one_model_with_what_any_of_them_can() -> None:
    pool = [
        deployment("one", features=["timestamps"], published_at=20),
        deployment("two", owner="bob", features=["diarize"], published_at=10),
    ]
    (entry,) = catalog.list_models(pool)["data"]
    first = min(pool, key=lambda each: provider_id(*each.provider_key))
    assert entry == {
        "id": "m",
        "object": "model",
        "created": 10,
        "owned_by": first.provider,
        "service_type": "stt",
        "input_modalities": ["audio"],
        "output_modalities": ["text"],
        "supported_features": ["diarize", "timestamps"],
        "context_length": None,
        "providers": 2,
    }


def test_models_are_sorted_by_id_and_carry_a_display_name_only_when_there_is_one() -> None:
    zulu = replace(deployment(), model=replace(deployment().model, slug="z", display_name="Zulu"))
    listing = catalog.list_models([zulu, deployment()])
    assert [each["id"] for each in listing["data"]] == ["m", "z"]
    assert ["display_name" in each for each in listing["data"]] == [False, True]


def test_an_empty_listing_is_a_list() -> None:
    assert catalog.list_models([]) == {"object": "list", "data": []}


def test_a_served_id_finds_the_model_it_serves() -> None:
    assert catalog.pool_of("served/m", [deployment()]) == [deployment()]
    assert catalog.pool_of("served/m", []) == []


def test_a_slug_outranks_a_served_id_of_the_same_name() -> None:
    alias = replace(deployment("two"), model=replace(deployment().model, slug="other", served_id="m"))
    assert catalog.pool_of("m", [alias, deployment("one")]) == [deployment("one")]
