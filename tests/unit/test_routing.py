from dataclasses import replace

from gateway import routing
from gateway.health import Health
from tests.fakes import ALICE, deployment

OWN, OTHER = deployment("own"), deployment("other", owner="bob")
CAPABLE = deployment("capable", owner="bob", features=["timestamps"])


def names(*deployments, caller=ALICE, health=None, now=0.0, verbose=False):  # type: ignore[no-untyped-def]
    ordered = routing.order(deployments, caller, health or Health(), now, verbose=verbose)
    return [each.provider for each in ordered]


def cooled(*deployments, at=0.0):  # type: ignore[no-untyped-def]
    health = Health()
    for each in deployments:
        for _ in range(3):
            health.failed(each.key, at)
    return health


def test_the_callers_own_come_first_when_preferred() -> None:
    caller = replace(ALICE, preference="prefer_own")
    assert all(names(OTHER, OWN, CAPABLE, caller=caller)[0] == "own" for _ in range(20))


def test_deployments_with_timestamps_come_first_when_timings_are_asked() -> None:
    assert all(names(OTHER, OWN, CAPABLE, verbose=True)[0] == "capable" for _ in range(20))


def test_preference_outranks_timestamps() -> None:
    caller = replace(ALICE, preference="prefer_own")
    assert names(CAPABLE, OWN, caller=caller, verbose=True) == ["own", "capable"]


def test_equals_share_the_load_at_random() -> None:
    firsts = {names(OTHER, OWN)[0] for _ in range(100)}
    assert firsts == {"own", "other"}


def test_a_cooling_deployment_is_passed_over_whatever_it_can_do() -> None:
    assert names(CAPABLE, OTHER, health=cooled(CAPABLE), verbose=True) == ["other", "capable"]


def test_when_all_are_cooling_the_least_bad_is_first() -> None:
    health = cooled(OWN)
    for _ in range(3):
        health.failed(OTHER.key, 5.0)
    assert names(OTHER, OWN, health=health, now=6.0) == ["own", "other"]


def test_a_sole_or_last_deployment_gets_everything_that_is_left() -> None:
    assert routing.attempt_deadline(100, 130, 1, expected_seconds=1) == 130


def test_with_others_waiting_an_attempt_gets_its_share() -> None:
    assert routing.attempt_deadline(100, 130, 3, expected_seconds=1) == 110


def test_a_slow_honest_deployment_gets_twice_what_is_expected_of_it() -> None:
    assert routing.attempt_deadline(100, 130, 3, expected_seconds=8) == 116
    assert routing.attempt_deadline(100, 130, 3, expected_seconds=80) == 130
