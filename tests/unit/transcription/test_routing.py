from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.accounts.keys import Caller
from gateway.providers.deployments import Deployment
from gateway.transcription import routing
from gateway.transcription.cooldown import Cooldown
from tests.fakes import ALICE, deployment

OWN, OTHER = deployment("own"), deployment("other", owner="bob")
CAPABLE = deployment("capable", owner="bob", features=["timestamps"])
PREFERS_OWN = replace(ALICE, preference="prefer_own")
# A fair share of 2000 draws differs from its mean by more than 150 less than once in 10^10.
DRAWS, SLACK = 2000, 150


def ordered(
    *deployments: Deployment,
    caller: Caller = ALICE,
    cooldown: Cooldown | None = None,
    now: float = 0.0,
    verbose: bool = False,
) -> list[Deployment]:
    return routing.order(deployments, caller, cooldown or Cooldown(), now, verbose=verbose)


def names(*deployments: Deployment, **options: Any) -> list[str]:
    return [each.provider for each in ordered(*deployments, **options)]


def owners(*deployments: Deployment, **options: Any) -> list[str]:
    return [each.owner for each in ordered(*deployments, **options)]


def cooled(*deployments: Deployment, at: float = 0.0) -> Cooldown:
    cooldown = Cooldown()
    for each in deployments:
        for _ in range(3):
            cooldown.failed(each, at)
    return cooldown


def services(count: int, provider: str = "farm", owner: str = "mallory", **changes: Any) -> list[Deployment]:
    return [deployment(provider, owner=owner, service=f"s{n}", **changes) for n in range(count)]


def firsts(deployments: Sequence[Deployment], by: str, *, verbose: bool = False) -> Counter[str]:
    """Who is tried first, in DRAWS requests."""
    cooldown = Cooldown()
    return Counter(
        getattr(routing.order(deployments, ALICE, cooldown, 0.0, verbose=verbose)[0], by)
        for _ in range(DRAWS)
    )


# --- tiers


def test_the_callers_own_come_first_when_preferred() -> None:
    assert all(names(OTHER, OWN, CAPABLE, caller=PREFERS_OWN)[0] == "own" for _ in range(20))


def test_deployments_with_timestamps_come_first_when_timings_are_requested() -> None:
    assert all(names(OTHER, OWN, CAPABLE, verbose=True)[0] == "capable" for _ in range(20))


def test_preference_outranks_timestamps() -> None:
    assert names(CAPABLE, OWN, caller=PREFERS_OWN, verbose=True) == ["own", "capable"]


def test_equals_share_the_load_at_random() -> None:
    firsts = {names(OTHER, OWN)[0] for _ in range(100)}
    assert firsts == {"own", "other"}


def test_a_cooling_deployment_is_skipped_whatever_its_features() -> None:
    assert names(CAPABLE, OTHER, cooldown=cooled(CAPABLE), verbose=True) == ["other", "capable"]


def test_the_least_bad_is_first_when_all_are_cooling() -> None:
    cooldown = cooled(OWN)
    for _ in range(3):
        cooldown.failed(OTHER, 5.0)
    assert names(OTHER, OWN, cooldown=cooldown, now=6.0) == ["own", "other"]


def test_a_deployment_that_gave_no_timings_ranks_with_those_without_timestamps() -> None:
    cooldown = Cooldown()
    cooldown.missed_timings(CAPABLE, 0.0)
    honest = deployment("honest", owner="carol", features=["timestamps"])
    assert all(
        names(CAPABLE, honest, OWN, cooldown=cooldown, now=599.0, verbose=True)[0] == "honest"
        for _ in range(20)
    )
    assert {names(CAPABLE, OWN, cooldown=cooldown, now=599.0, verbose=True)[0] for _ in range(100)} == {
        "capable",
        "own",
    }
    assert all(
        names(CAPABLE, OWN, cooldown=cooldown, now=600.0, verbose=True)[0] == "capable" for _ in range(20)
    )


# --- no capture


def test_a_hundred_services_in_one_manifest_weigh_as_much_as_one() -> None:
    drawn = firsts([deployment("home", owner="carol"), *services(100)], "owner")
    assert abs(drawn["carol"] - DRAWS / 2) < SLACK


def test_twenty_providers_of_one_owner_weigh_as_much_as_one() -> None:
    farm = [each for n in range(20) for each in services(5, f"farm{n}")]
    drawn = firsts([deployment("home", owner="carol"), *farm], "owner")
    assert abs(drawn["carol"] - DRAWS / 2) < SLACK


def test_each_provider_of_an_owner_weighs_the_same() -> None:
    drawn = firsts([deployment("small", owner="mallory"), *services(100, "large")], "provider")
    assert abs(drawn["small"] - DRAWS / 2) < SLACK


def test_each_deployment_of_a_provider_weighs_the_same() -> None:
    drawn = firsts(services(4), "service")
    assert len(drawn) == 4
    assert all(abs(count - DRAWS / 4) < SLACK for count in drawn.values())


def test_one_owners_many_capable_services_weigh_as_much_as_one_capable_service() -> None:
    honest = deployment("home", owner="carol", features=["timestamps"])
    farm = services(100, model=honest.model)
    plain = [deployment(f"p{n}", owner=f"user{n}") for n in range(5)]
    drawn = firsts([honest, *farm, *plain], "owner", verbose=True)
    assert abs(drawn["carol"] - DRAWS / 2) < SLACK
    assert drawn["carol"] + drawn["mallory"] == DRAWS


def test_one_requests_attempts_go_to_different_owners_while_any_are_left() -> None:
    farm = [each for n in range(4) for each in services(10, f"farm{n}")]
    others = [deployment("home", owner="carol"), deployment("home", owner="dave")]
    for _ in range(50):
        assert set(owners(*farm, *others)[:3]) == {"mallory", "carol", "dave"}


def test_an_untried_owner_outranks_features_after_the_first_attempt() -> None:
    capable = services(10, model=CAPABLE.model)
    for _ in range(20):
        assert owners(*capable, OTHER, OWN, verbose=True)[0] == "mallory"
        assert set(owners(*capable, OTHER, OWN, verbose=True)[1:3]) == {"alice", "bob"}


def test_a_failed_own_deployment_is_followed_by_another_owners() -> None:
    own = services(5, "own", "alice")
    ordered = owners(*own, OTHER, caller=PREFERS_OWN)
    assert ordered == ["alice", "bob", *["alice"] * 4]


def test_the_second_attempt_at_an_owner_goes_to_another_of_its_providers() -> None:
    ordered = names(*services(10, "large"), deployment("small", owner="mallory"))
    assert set(ordered[:2]) == {"large", "small"}


def test_cooling_deployments_are_last_even_if_their_owners_are_untried() -> None:
    dead = deployment("dead", owner="dave")
    ordered = owners(*services(3), dead, cooldown=cooled(dead))
    assert ordered == ["mallory", "mallory", "mallory", "dave"]


def test_untried_owners_are_first_among_cooling_deployments() -> None:
    half_dead, dead = deployment("half", owner="mallory"), deployment("dead", owner="dave")
    cooldown = cooled(half_dead, at=0.0)
    for _ in range(3):
        cooldown.failed(dead, 5.0)
    assert owners(*services(1), half_dead, dead, cooldown=cooldown, now=6.0) == ["mallory", "dave", "mallory"]


def test_an_order_contains_every_deployment_once() -> None:
    pool = [*services(7), *services(3, "farm2"), OWN, OTHER, CAPABLE]
    ordered = routing.order(pool, ALICE, cooled(OTHER), 1.0, verbose=True)
    assert sorted(each.key for each in ordered) == sorted(each.key for each in pool)


# --- the candidates of one request


def test_few_candidates_are_all_drawn() -> None:
    pool = [*services(60), OWN]
    assert sorted(each.key for each in routing.draw(pool, 100, "alice")) == sorted(each.key for each in pool)


def test_one_owners_thousand_deployments_push_nobody_out_of_the_draw() -> None:
    honest = [deployment("home", owner=f"user{n}") for n in range(40)]
    farm = [each for n in range(20) for each in services(100, f"farm{n}")]
    drawn = routing.draw([*farm, *honest], 100, "alice")
    assert len(drawn) == 100
    assert {each.owner for each in drawn} == {"mallory", *(each.owner for each in honest)}


def test_owners_that_outnumber_the_places_are_drawn_equally_and_never_twice() -> None:
    pool = [*services(100), *(deployment("home", owner=f"user{n}") for n in range(199))]
    times: Counter[str] = Counter()
    for _ in range(DRAWS // 10):
        drawn = [each.owner for each in routing.draw(pool, 100, "alice")]
        assert len(drawn) == len(set(drawn)) == 100
        times.update(drawn)
    # 100 of 200 on average, with a deviation of 7.
    assert 50 < times["mallory"] < 150


def test_the_callers_own_are_always_drawn_and_displace_nobody() -> None:
    own = [each for n in range(20) for each in services(10, f"own{n}", "alice")]
    crowd = [deployment("home", owner=f"user{n}") for n in range(300)]
    drawn = routing.draw([*crowd, *own], 100, "alice")
    assert len(drawn) == 100
    assert {each.provider for each in drawn if each.owner == "alice"} == {f"own{n}" for n in range(20)}
    assert sum(each.owner != "alice" for each in drawn) == 50
    # An owner with few keeps them all.
    assert set(own[:3]) <= set(routing.draw([*crowd, *own[:3]], 100, "alice"))


def test_places_that_others_leave_go_to_the_callers_own() -> None:
    drawn = routing.draw([*services(200, "own", "alice"), OTHER], 100, "alice")
    assert Counter(each.owner for each in drawn) == {"alice": 99, "bob": 1}


# --- time


def test_a_sole_or_last_deployment_gets_all_the_time_left() -> None:
    assert routing.attempt_deadline(100, 130, 1, expected_seconds=1) == 130


def test_an_attempt_gets_its_share_when_others_are_waiting() -> None:
    assert routing.attempt_deadline(100, 130, 3, expected_seconds=1) == 110


def test_a_slow_honest_deployment_gets_twice_its_expected_time() -> None:
    assert routing.attempt_deadline(100, 130, 3, expected_seconds=8) == 116


def test_long_audio_does_not_give_one_silent_deployment_the_whole_time() -> None:
    assert routing.attempt_deadline(100, 130, 3, expected_seconds=80) == 122.5
    assert routing.attempt_deadline(100, 130, 2, expected_seconds=80) == 122.5
    # Of an unknown deployment and a minute of audio, on AWS.
    expected = Cooldown().expected_seconds(deployment(), 60)
    assert routing.attempt_deadline(0, 26.5, 3, expected) < 20
