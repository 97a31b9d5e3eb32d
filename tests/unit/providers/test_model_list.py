from dataclasses import replace

from gateway.providers import model_list
from gateway.providers.deployments import Deployment, provider_id
from tests.fakes import deployment


def test_the_same_slug_on_several_providers_is_one_model_with_all_their_features() -> None:
    pool = [
        deployment("one", features=["timestamps"], published_at=20),
        deployment("two", owner="bob", features=["diarize"], published_at=10),
    ]
    (entry,) = model_list.list_models(pool)["data"]
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
    listing = model_list.list_models([zulu, deployment()])
    assert [each["id"] for each in listing["data"]] == ["m", "z"]
    assert ["display_name" in each for each in listing["data"]] == [False, True]


def test_an_empty_listing_is_a_list() -> None:
    assert model_list.list_models([]) == {"object": "list", "data": []}


def test_a_served_id_finds_the_model_it_serves() -> None:
    assert model_list.pool_of("served/m", [deployment()]) == [deployment()]
    assert model_list.pool_of("served/m", []) == []


def named(slug: str, served_id: str, provider: str, owner: str = "alice") -> Deployment:
    made = deployment(provider, owner=owner)
    return replace(made, model=replace(made.model, slug=slug, served_id=served_id))


def test_publishing_a_name_as_a_slug_joins_deployments_that_serve_it_as_an_id() -> None:
    honest = [named("openai/whisper-large-v3", "whisper-1", f"p{n}", f"user{n}") for n in range(3)]
    late = named("whisper-1", "whisper-1", "late", "mallory")
    pool = model_list.pool_of("whisper-1", [*honest, late])
    assert sorted(each.provider for each in pool) == ["late", "p0", "p1", "p2"]
    assert pool[0] == late


def test_a_served_id_names_the_model_that_most_owners_serve_under_it() -> None:
    farm = [named("aaa", "whisper-1", f"farm{n}", "mallory") for n in range(20)]
    honest = [named("openai/whisper-large-v3", "whisper-1", f"p{n}", f"user{n}") for n in range(2)]
    pool = model_list.pool_of("whisper-1", [*farm, *honest])
    assert len(pool) == 22
    assert pool[:2] == honest
    assert model_list.pool_of("whisper-1", [farm[0], honest[0]])[0] == farm[0]
