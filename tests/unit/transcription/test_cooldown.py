from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gateway.providers.deployments import Deployment
from gateway.transcription.cooldown import Cooldown
from tests.fakes import deployment

HOME = deployment()


def failing(cooldown: Cooldown, *moments: float, which: Deployment = HOME) -> None:
    for moment in moments:
        cooldown.failed(which, moment)


def services(count: int, provider: str = "home") -> list[Deployment]:
    return [deployment(provider, service=f"s{n}", features=["timestamps"]) for n in range(count)]


def renamed(each: Deployment, slug: str, served_id: str) -> Deployment:
    return replace(each, model=replace(each.model, slug=slug, served_id=served_id))


# --- cooling


def test_three_failures_within_a_minute_start_15_seconds_of_cooling() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 1)
    assert cooldown.cooling_until(HOME, 1) is None
    failing(cooldown, 2)
    assert cooldown.cooling_until(HOME, 2) == 17
    assert cooldown.cooling_until(HOME, 17) is None


def test_failures_further_apart_than_a_minute_do_not_add_up() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 1, 62)
    assert cooldown.cooling_until(HOME, 62) is None


def test_a_failed_probe_doubles_the_cooling_up_to_two_minutes() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 0, 0)
    now, spans = 0.0, []
    for _ in range(6):
        until = cooldown.cooling_until(HOME, now)
        assert until is not None
        spans.append(until - now)
        now = until
        failing(cooldown, now)
    assert spans == [15, 30, 60, 120, 120, 120]


def test_a_success_forgets_failures_and_cooling() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 0, 0)
    cooldown.succeeded(HOME, 1.0, 10.0)
    failing(cooldown, 1, 1)
    assert cooldown.cooling_until(HOME, 1) is None


def test_a_hundred_services_of_a_dead_server_cool_after_three_failures_together() -> None:
    cooldown, dead = Cooldown(), services(100)
    for each in dead[:3]:
        assert cooldown.cooling_until(dead[-1], 1.0) is None
        failing(cooldown, 1.0, which=each)
    assert {cooldown.cooling_until(each, 1.0) for each in dead} == {16.0}


def test_services_of_one_served_id_cool_together_whatever_model_they_claim_to_be() -> None:
    cooldown = Cooldown()
    dead = [renamed(each, f"slug-{n}", "whisper-1") for n, each in enumerate(services(100))]
    for each in dead[:3]:
        failing(cooldown, 1.0, which=each)
    assert all(cooldown.cooling_until(each, 1.0) for each in dead)


def test_another_provider_owner_or_model_does_not_cool() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 0, 0)
    others = [deployment("studio"), deployment(owner="bob"), renamed(HOME, "n", "Served/N")]
    assert [cooldown.cooling_until(each, 0) for each in others] == [None] * 3


def test_a_dead_service_stays_cool_while_its_provider_serves_with_another() -> None:
    cooldown = Cooldown()
    alive, dead = services(2)
    for _ in range(3):
        failing(cooldown, 0.0, which=dead)
        cooldown.succeeded(alive, 1.0, 10.0)
    assert cooldown.cooling_until(alive, 0.0) is None
    assert cooldown.cooling_until(dead, 0.0) == 15.0


# --- what the request may have caused


def test_one_callers_requests_cool_a_deployment_for_that_caller_only() -> None:
    cooldown = Cooldown()
    for moment in range(50):
        cooldown.failed(HOME, moment, suspect="mallory")
    assert cooldown.cooling_until(HOME, 50, "mallory") is not None
    assert cooldown.cooling_until(HOME, 50, "alice") is None
    assert cooldown.cooling_until(HOME, 50) is None


def test_three_callers_together_cool_a_deployment_for_everybody() -> None:
    cooldown = Cooldown()
    for caller in ("alice", "bob"):
        cooldown.failed(HOME, 0, suspect=caller)
    assert cooldown.cooling_until(HOME, 0, "dave") is None
    cooldown.failed(HOME, 0, suspect="carol")
    assert cooldown.cooling_until(HOME, 0, "dave") == 15


def test_one_caller_cannot_prolong_a_cooling_for_everybody() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 0, 0)
    for moment in range(30):
        cooldown.failed(HOME, moment, suspect="mallory")
    assert cooldown.cooling_until(HOME, 15, "alice") is None


def test_a_success_counts_for_everybody_and_for_its_caller() -> None:
    cooldown = Cooldown()
    failing(cooldown, 0, 0, 0)
    for _ in range(3):
        cooldown.failed(HOME, 0, suspect="bob")
    cooldown.succeeded(HOME, 1.0, 10.0, "alice")
    assert cooldown.cooling_until(HOME, 0, "alice") is None
    assert cooldown.cooling_until(HOME, 0, "bob") == 15
    cooldown.succeeded(HOME, 1.0, 10.0, "bob")
    assert cooldown.cooling_until(HOME, 0, "bob") is None


# --- timings


def test_a_deployment_without_timings_is_trusted_again_after_ten_minutes() -> None:
    cooldown = Cooldown()
    assert cooldown.has_timings(HOME, 0)
    cooldown.missed_timings(HOME, 0)
    assert not cooldown.has_timings(HOME, 599)
    assert cooldown.has_timings(HOME, 600)


def test_a_deployment_that_gives_timings_again_is_trusted_at_once() -> None:
    cooldown = Cooldown()
    cooldown.missed_timings(HOME, 0)
    cooldown.gave_timings(HOME)
    assert cooldown.has_timings(HOME, 1)


def test_one_deployment_without_timings_does_not_affect_its_sibling() -> None:
    cooldown = Cooldown()
    first, second = services(2)
    cooldown.missed_timings(first, 0)
    assert cooldown.has_timings(second, 0)


def test_three_deployments_without_timings_affect_all_of_their_owner() -> None:
    cooldown = Cooldown()
    farm = [each for n in range(3) for each in services(100, f"farm{n}")]
    for each in (farm[0], farm[100], farm[200]):
        assert cooldown.has_timings(farm[-1], 0)
        cooldown.missed_timings(each, 0)
    assert not any(cooldown.has_timings(each, 599) for each in farm)
    assert cooldown.has_timings(farm[-1], 600)
    assert cooldown.has_timings(deployment(owner="bob"), 0)


def test_the_same_deployment_without_timings_three_times_counts_as_one() -> None:
    cooldown = Cooldown()
    first, second = services(2)
    for moment in range(3):
        cooldown.missed_timings(first, moment)
    assert cooldown.has_timings(second, 3)


# --- pace


def test_the_pace_is_learned_and_follows_the_newest_answers() -> None:
    cooldown = Cooldown()
    assert cooldown.expected_seconds(HOME, 10) == 5
    cooldown.succeeded(HOME, 9.0, 10.0)
    assert cooldown.expected_seconds(HOME, 10) == 9
    cooldown.succeeded(HOME, 2.0, 10.0)
    assert 2 < cooldown.expected_seconds(HOME, 10) < 9


def test_slow_answers_do_not_earn_a_deployment_the_whole_time_of_later_requests() -> None:
    cooldown = Cooldown()
    for _ in range(10):
        cooldown.succeeded(HOME, 60.0, 1.0)
    assert cooldown.expected_seconds(HOME, 10) == 10


def test_a_short_clip_says_little_about_the_pace() -> None:
    cooldown = Cooldown()
    cooldown.succeeded(HOME, 0.5, 0.05)
    assert cooldown.expected_seconds(HOME, 10) == 1


def test_nothing_is_expected_of_audio_of_unknown_length() -> None:
    assert Cooldown().expected_seconds(HOME, None) == 0


def test_what_is_remembered_is_bounded() -> None:
    cooldown = Cooldown()
    for number in range(20_000):
        each = deployment(f"p{number}")
        cooldown.failed(each, 0.0, "mallory")
        cooldown.missed_timings(each, 0.0)
        cooldown.succeeded(each, 1.0, 1.0)
        cooldown.failed(each, 0.0, f"user{number}")
    tables = (cooldown._states, cooldown._paces, cooldown._untimed)
    assert max(len(table) for table in tables) <= 8192
    assert max(len(keys) for keys in cooldown._untimed.values()) <= 16


def test_requests_in_many_threads_count_every_failure() -> None:
    cooldown = Cooldown()
    deployments = [deployment(f"box-{number}") for number in range(50)]

    def fail_and_succeed(each: Deployment) -> None:
        for _ in range(200):
            cooldown.failed(each, 0.0, "alice")
            cooldown.missed_timings(each, 0.0)
            cooldown.has_timings(each, 0.0)
            cooldown.gave_timings(each)
            cooldown.succeeded(each, 1.0, 10.0, "alice")

    with ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(fail_and_succeed, each) for each in deployments * 2]:
            done.result()
    assert not any(cooldown.cooling_until(each, 0.0, "alice") for each in deployments)
