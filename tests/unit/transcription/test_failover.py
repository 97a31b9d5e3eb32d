from dataclasses import replace
from typing import Any

import pytest

from gateway.audio import Audio
from gateway.errors import UpstreamError
from gateway.providers.deployments import CredentialUnavailableError
from gateway.transcription import routing
from gateway.transcription.cooldown import Cooldown
from gateway.transcription.failover import Failover, Outcome, Success
from gateway.transcription.request import AudioFile, TranscriptionRequest
from gateway.upstream.client import ProviderError
from tests.fakes import ALICE, FakeClock, FakeProviderClient, answer, deployment

FILE = AudioFile(memoryview(b"audio"), Audio("wav", "pcm", 10.0, True), "wav", "audio/wav")
PLAIN = TranscriptionRequest(FILE, "m")
VERBOSE = TranscriptionRequest(FILE, "m", response_format="verbose_json", granularities=("word",))
GOOD = answer({"text": "hi"})
TIMED = answer({"text": "hi", "words": [{"word": "hi", "start": 0, "end": 1}]})
DOWN = ProviderError("connect", "refused by 192.168.1.7")


class Run:
    """One failover over scripted providers, in the given order."""

    def __init__(
        self,
        request: TranscriptionRequest = PLAIN,
        cooldown: Cooldown | None = None,
        caller: str | None = None,
        **answers: Any,
    ) -> None:
        self.clock = FakeClock()
        self.client = FakeProviderClient(answers)
        self.failover = Failover(
            self.client,  # type: ignore[arg-type]
            cooldown or Cooldown(),
            lambda _: None,
            3,
            self.clock,
        )
        self.caller = caller
        self.request = request
        self.order = [deployment(name, features=["timestamps"]) for name in answers]

    def run(self, seconds: float = 30) -> Outcome:
        self.outcome = self.failover.run(self.request, self.order, self.clock() + seconds, self.caller)
        return self.outcome

    def succeed(self) -> Success:
        success = self.run().success
        assert success
        return success

    def fail(self) -> UpstreamError:
        error = self.run().error
        assert error
        return error

    @property
    def outcomes(self) -> list[str]:
        return [attempt.outcome for attempt in self.outcome.attempts]


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        (DOWN, "connect"),
        (ProviderError("tls", ""), "tls"),
        (ProviderError("timeout", ""), "timeout"),
        (ProviderError("reset", ""), "reset"),
        (ProviderError("oversized", ""), "oversized"),
        (ProviderError("address_refused", ""), "address_refused"),
        (answer({}, 302), "redirect"),
        (answer({}, 401), "unauthorized"),
        (answer({}, 403), "unauthorized"),
        (answer({}, 404), "not_found"),
        (answer({}, 408), "timeout"),
        (answer({}, 413), "too_large"),
        (answer({}, 429), "busy"),
        (answer({}, 503), "busy"),
        (answer({}, 500), "server_error"),
        (answer({}, 204), "unexpected_status"),
        (answer([]), "not_json"),
        (answer({"no": "text"}), "no_text"),
    ],
)
def test_the_next_deployment_is_tried_after_any_failure(first: Any, outcome: str) -> None:
    run = Run(one=first, two=GOOD)
    assert run.succeed().deployment.provider == "two"
    assert run.outcomes == [outcome, "ok"]
    assert run.outcome.tried == 2


def test_at_most_the_configured_number_is_tried() -> None:
    run = Run(one=DOWN, two=DOWN, three=DOWN, four=GOOD)
    error = run.fail()
    assert run.client.asked == ["one", "two", "three"]
    assert error.headers["x-attempts"] == "3"
    assert error.headers["x-should-retry"] == "false"


def test_a_refused_request_gets_one_second_opinion_and_no_third() -> None:
    refusal = answer({"error": {"message": "language xx is not supported"}}, 400)
    run = Run(one=refusal, two=refusal, three=GOOD)
    assert "language xx is not supported" in run.fail().message
    assert run.client.asked == ["one", "two"]


def test_one_owner_alone_cannot_end_a_request_by_refusing_it() -> None:
    refusal = answer({"error": "no"}, 400)
    run = Run(one=refusal, two=refusal, three=GOOD)
    run.order[2] = deployment("three", owner="bob")
    assert run.succeed().deployment.owner == "bob"


def test_refusals_by_two_owners_are_final() -> None:
    refusal = answer({}, 400)
    run = Run(one=refusal, two=refusal, three=GOOD)
    run.order = [deployment("one"), deployment("two", owner="bob"), deployment("three", owner="carol")]
    run.fail()
    assert run.client.asked == ["one", "two"]


@pytest.mark.parametrize("status", [400, 415, 422])
def test_a_refusal_by_only_one_deployment_is_overruled(status: int) -> None:
    assert Run(one=answer({}, status), two=GOOD).succeed().deployment.provider == "two"


def test_a_refusal_says_nothing_about_the_deployments_health() -> None:
    cooldown = Cooldown()
    for _ in range(3):
        Run(cooldown=cooldown, one=answer({}, 400)).fail()
    assert cooldown.cooling_until(deployment("one"), 1000) is None


def test_a_refused_verbose_request_is_asked_once_more_for_json_of_the_same_deployment() -> None:
    run = Run(VERBOSE, one=[answer({}, 400), GOOD], two=TIMED)
    success = run.succeed()
    assert (success.deployment.provider, success.downgraded) == ("one", True)
    assert run.outcomes == ["refused_verbose", "ok"]
    assert [dict(request["fields"])["response_format"] for request in run.client.requests] == [
        "verbose_json",
        "json",
    ]
    assert run.outcome.tried == 1


def test_timings_that_were_received_are_not_a_downgrade() -> None:
    assert Run(VERBOSE, one=TIMED).succeed().downgraded is False


def test_declared_timings_that_are_missing_are_a_downgrade() -> None:
    assert Run(VERBOSE, one=GOOD).succeed().downgraded is True


UNTIMED = [
    GOOD,
    answer({"text": "hi", "words": [], "segments": []}),
    [answer({}, 400), GOOD],
    [answer({}, 400), TIMED],
]


@pytest.mark.parametrize("reply", UNTIMED)
def test_a_deployment_without_its_declared_timings_is_not_trusted_for_ten_minutes(reply: Any) -> None:
    cooldown, one = Cooldown(), deployment("one")
    Run(VERBOSE, cooldown, one=list(reply) if isinstance(reply, list) else reply).succeed()
    assert not cooldown.has_timings(one, 1599)
    assert cooldown.has_timings(one, 1600)


@pytest.mark.parametrize(
    "reply",
    [
        answer({"text": " "}),
        answer({"text": "hi", "words": [{"word": "hi", "start": 0, "end": 99}]}),
        [answer({}, 400), answer({}, 400)],
        [answer({}, 400), answer({}, 500)],
    ],
)
def test_silence_impossible_timings_and_refused_audio_say_nothing_about_timings(reply: Any) -> None:
    cooldown = Cooldown()
    Run(VERBOSE, cooldown, one=reply, two=TIMED).succeed()
    assert cooldown.has_timings(deployment("one"), 1000)


def test_an_untrusted_deployment_is_still_asked_for_timings_and_can_regain_trust() -> None:
    cooldown, one = Cooldown(), deployment("one")
    cooldown.missed_timings(one, 1000)
    assert Run(VERBOSE, cooldown, one=TIMED).succeed().downgraded is False
    assert cooldown.has_timings(one, 1000)


def test_a_plain_request_says_nothing_about_timings() -> None:
    cooldown = Cooldown()
    Run(PLAIN, cooldown, one=GOOD).succeed()
    assert cooldown.has_timings(deployment("one"), 1000)


@pytest.mark.parametrize(
    "reply",
    [
        answer({}, 500),
        answer({}, 403),
        answer({}, 413),
        answer([]),
        answer({}),
        ProviderError("timeout", ""),
    ],
)
def test_a_failure_that_a_request_may_have_caused_counts_for_its_caller_only(reply: Any) -> None:
    cooldown, one = Cooldown(), deployment("one")
    for _ in range(10):
        Run(PLAIN, cooldown, "mallory", one=reply, two=GOOD).succeed()
    assert cooldown.cooling_until(one, 1000, "mallory") is not None
    assert cooldown.cooling_until(one, 1000, "alice") is None


@pytest.mark.parametrize("reply", [DOWN, ProviderError("dns", ""), answer({}, 429), answer({}, 503)])
def test_a_failure_that_no_request_can_cause_cools_a_deployment_for_everybody(reply: Any) -> None:
    cooldown, one = Cooldown(), deployment("one")
    for _ in range(3):
        Run(PLAIN, cooldown, "mallory", one=reply, two=GOOD).succeed()
    assert cooldown.cooling_until(one, 1000, "alice") == 1015


def test_a_hundred_services_of_a_dead_server_cost_three_failures() -> None:
    cooldown, failures = Cooldown(), 0
    farm = [deployment("dead", owner="mallory", service=f"s{n}") for n in range(100)]
    home = deployment("home", owner="carol")
    for _ in range(100):
        run = Run(PLAIN, cooldown, "alice", dead=DOWN, home=GOOD)
        run.order = routing.order([*farm, home], ALICE, cooldown, 1000, verbose=False)
        assert run.succeed().deployment == home
        failures += run.client.asked.count("dead")
    assert failures == 3


def test_a_deployment_without_timestamps_is_asked_for_json() -> None:
    run = Run(VERBOSE, one=TIMED)
    run.order = [deployment("one")]
    assert run.succeed().downgraded is True
    assert dict(run.client.requests[0]["fields"])["response_format"] == "json"


def test_a_caller_is_told_when_to_retry_if_all_were_busy() -> None:
    error = Run(one=answer({}, 429, retry_after=7.2), two=answer({}, 503, retry_after=30)).fail()
    assert error.headers["retry-after"] == "8"
    assert "x-should-retry" not in error.headers


def test_a_long_wait_from_one_provider_does_not_hide_that_another_is_only_busy() -> None:
    error = Run(one=answer({}, 429, retry_after=120), two=answer({}, 503)).fail()
    assert error.headers["retry-after"] == "5"
    error = Run(one=answer({}, 429, retry_after=120), two=answer({}, 429, retry_after=1)).fail()
    assert error.headers["retry-after"] == "1"


def test_a_loop_behind_one_provider_is_that_providers_failure() -> None:
    cooldown = Cooldown()
    for _ in range(3):
        run = Run(cooldown=cooldown, caller="alice", one=answer({}, 508), two=GOOD)
        run.succeed()
        assert run.outcomes == ["server_error", "ok"]
    assert cooldown.cooling_until(deployment("one"), 1000, "alice") == 1015


def test_a_retry_does_not_help_if_one_failed_permanently() -> None:
    error = Run(one=answer({}, 429, retry_after=7), two=DOWN).fail()
    assert error.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.headers


def test_a_mix_of_busy_and_cooling_is_worth_a_retry() -> None:
    cooldown = Cooldown()
    for _ in range(3):
        cooldown.failed(deployment("two"), 1000)
    error = Run(cooldown=cooldown, one=answer({}, 429, retry_after=7), two=DOWN).fail()
    assert error.headers["retry-after"] == "7"
    assert "x-should-retry" not in error.headers


def test_a_retry_may_help_if_all_are_cooling_down() -> None:
    cooldown = Cooldown()
    for _ in range(3):
        cooldown.failed(deployment("one"), 1000)
    error = Run(cooldown=cooldown, one=DOWN).fail()
    assert error.headers["retry-after"] == "15"


def test_time_is_shared_so_that_a_silent_deployment_leaves_some_for_the_next() -> None:
    run = Run(one=GOOD, two=GOOD)
    deadlines = []

    def hang(request: dict[str, Any]) -> Any:
        deadlines.append(request["deadline"])
        run.clock.seconds = request["deadline"]
        raise ProviderError("timeout", "")

    run.client.answers = {"one": hang, "two": hang}
    run.fail()
    assert deadlines == [1015, 1030]


def test_no_deployment_is_asked_after_the_time_is_up() -> None:
    run = Run(one=GOOD)
    error = run.run(seconds=0).error
    assert error
    assert "could be asked" in error.message


def test_a_credential_that_cannot_be_decrypted_is_a_failed_attempt() -> None:
    def unavailable(_: Any) -> str:
        raise CredentialUnavailableError

    run = Run(one=GOOD)
    run.failover = replace(run.failover, decrypt=unavailable)
    run.fail()
    assert run.outcomes == ["credential"]


def test_an_error_names_kinds_of_failure_and_no_address() -> None:
    message = Run(one=DOWN, two=ProviderError("tls", "gpu.lan")).fail().message
    assert message == "All 2 deployments tried for this model failed: connect, tls."


def test_the_provider_gets_a_made_up_filename_and_the_canonical_type() -> None:
    run = Run(one=GOOD)
    run.succeed()
    request = run.client.requests[0]
    assert (request["filename"], request["content_type"], request["api_key"]) == (
        "audio.wav",
        "audio/wav",
        None,
    )
