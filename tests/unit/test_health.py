from gateway.health import Health

KEY = ("alice", "home", "asr", "m")


def failing(health: Health, *moments: float) -> None:
    for moment in moments:
        health.failed(KEY, moment)


def test_three_failures_within_a_minute_begin_15_seconds_of_cooling() -> None:
    health = Health()
    failing(health, 0, 1)
    assert health.cooling_until(KEY, 1) is None
    failing(health, 2)
    assert health.cooling_until(KEY, 2) == 17
    assert health.cooling_until(KEY, 17) is None


def test_failures_further_apart_than_a_minute_do_not_add_up() -> None:
    health = Health()
    failing(health, 0, 1, 62)
    assert health.cooling_until(KEY, 62) is None


def test_a_failed_probe_doubles_the_cooling_up_to_two_minutes() -> None:
    health = Health()
    failing(health, 0, 0, 0)
    now, spans = 0.0, []
    for _ in range(6):
        until = health.cooling_until(KEY, now)
        assert until is not None
        spans.append(until - now)
        now = until
        failing(health, now)
    assert spans == [15, 30, 60, 120, 120, 120]


def test_a_success_forgets_failures_and_cooling() -> None:
    health = Health()
    failing(health, 0, 0, 0)
    health.succeeded(KEY, 1.0, 10.0)
    failing(health, 1, 1)
    assert health.cooling_until(KEY, 1) is None


def test_the_pace_is_learnt_and_follows_the_newest_answers() -> None:
    health = Health()
    assert health.expected_seconds(KEY, 10) == 5
    health.succeeded(KEY, 20.0, 10.0)
    assert health.expected_seconds(KEY, 10) == 20
    health.succeeded(KEY, 10.0, 10.0)
    assert 10 < health.expected_seconds(KEY, 10) < 20


def test_nothing_is_expected_of_audio_of_unknown_length() -> None:
    assert Health().expected_seconds(KEY, None) == 0
