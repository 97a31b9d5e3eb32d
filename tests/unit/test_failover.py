from typing import Any

import pytest

from gateway.audio import Audio
from gateway.deployments import CredentialUnavailableError
from gateway.errors import UpstreamError
from gateway.failover import Failover, Success
from gateway.health import Health
from gateway.provider_client import ProviderFailure
from gateway.transcription_request import AudioFile, TranscriptionRequest
from tests.fakes import FakeClock, FakeProviderClient, answer, deployment

FILE = AudioFile(memoryview(b"audio"), Audio("wav", "pcm", 10.0, True), "wav", "audio/wav")
PLAIN = TranscriptionRequest(FILE, "m")
VERBOSE = TranscriptionRequest(FILE, "m", response_format="verbose_json", granularities=("word",))
GOOD = answer({"text": "hi"})
TIMED = answer({"text": "hi", "words": [{"word": "hi", "start": 0, "end": 1}]})
DOWN = ProviderFailure("connect", "refused by 192.168.1.7")


class Run:
    """One failover over providers that answer as told, in the order given."""

    def __init__(
        self, request: TranscriptionRequest = PLAIN, health: Health | None = None, **answers: Any
    ) -> None:
        self.clock = FakeClock()
        self.client = FakeProviderClient(answers)
        self.failover = Failover(self.client, health or Health(), lambda _: None, 3, self.clock)  # type: ignore[arg-type]
        self.request = request
        self.order = [deployment(name, features=["timestamps"]) for name in answers]

    def succeed(self) -> Success:
        return self.failover.run(self.request, self.order, self.clock() + 30)

    def fail(self) -> UpstreamError:
        with pytest.raises(UpstreamError) as error:
            self.succeed()
        return error.value

    @property
    def outcomes(self) -> list[str]:
        return [attempt.outcome for attempt in self.failover.attempts]


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        (DOWN, "connect"),
        (ProviderFailure("tls", ""), "tls"),
        (ProviderFailure("timeout", ""), "timeout"),
        (ProviderFailure("reset", ""), "reset"),
        (ProviderFailure("oversized", ""), "oversized"),
        (ProviderFailure("address_refused", ""), "address_refused"),
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
def test_whatever_goes_wrong_with_one_deployment_the_next_is_tried(first: Any, outcome: str) -> None:
    run = Run(one=first, two=GOOD)
    assert run.succeed().deployment.provider == "two"
    assert run.outcomes == [outcome, "ok"]
    assert run.failover.tried == 2


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


@pytest.mark.parametrize("status", [400, 415, 422])
def test_a_refusal_that_only_one_deployment_holds_is_overcome(status: int) -> None:
    assert Run(one=answer({}, status), two=GOOD).succeed().deployment.provider == "two"


def test_a_refusal_says_nothing_about_the_deployments_health() -> None:
    health = Health()
    for _ in range(3):
        Run(health=health, one=answer({}, 400)).fail()
    assert health.cooling_until(deployment("one").key, 1000) is None


def test_a_refused_verbose_request_is_asked_once_more_for_json_of_the_same_deployment() -> None:
    run = Run(VERBOSE, one=[answer({}, 400), GOOD], two=TIMED)
    success = run.succeed()
    assert (success.deployment.provider, success.downgraded) == ("one", True)
    assert run.outcomes == ["refused_verbose", "ok"]
    assert [dict(request["fields"])["response_format"] for request in run.client.requests] == [
        "verbose_json",
        "json",
    ]
    assert run.failover.tried == 1


def test_timings_that_came_are_no_downgrade() -> None:
    assert Run(VERBOSE, one=TIMED).succeed().downgraded is False


def test_timings_that_were_declared_but_did_not_come_are_a_downgrade() -> None:
    assert Run(VERBOSE, one=GOOD).succeed().downgraded is True


def test_a_deployment_without_timestamps_is_asked_for_json() -> None:
    run = Run(VERBOSE, one=TIMED)
    run.order = [deployment("one")]
    assert run.succeed().downgraded is True
    assert dict(run.client.requests[0]["fields"])["response_format"] == "json"


def test_when_all_were_merely_busy_the_caller_learns_when_to_come_back() -> None:
    error = Run(one=answer({}, 429, retry_after=7.2), two=answer({}, 503, retry_after=30)).fail()
    assert error.headers["retry-after"] == "8"
    assert "x-should-retry" not in error.headers


def test_when_one_failed_for_good_trying_again_is_no_help() -> None:
    error = Run(one=answer({}, 429, retry_after=7), two=DOWN).fail()
    assert error.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.headers


def test_busy_and_cooling_together_are_worth_another_try() -> None:
    health = Health()
    for _ in range(3):
        health.failed(deployment("two").key, 1000)
    error = Run(health=health, one=answer({}, 429, retry_after=7), two=DOWN).fail()
    assert error.headers["retry-after"] == "7"
    assert "x-should-retry" not in error.headers


def test_when_all_are_cooling_down_trying_again_may_help() -> None:
    health = Health()
    for _ in range(3):
        health.failed(deployment("one").key, 1000)
    error = Run(health=health, one=DOWN).fail()
    assert error.headers["retry-after"] == "15"


def test_time_is_shared_so_that_a_silent_deployment_leaves_some_for_the_next() -> None:
    run = Run(one=GOOD, two=GOOD)
    deadlines = []

    def hang(request: dict[str, Any]) -> Any:
        deadlines.append(request["deadline"])
        run.clock.seconds = request["deadline"]
        raise ProviderFailure("timeout", "")

    run.client.answers = {"one": hang, "two": hang}
    run.fail()
    assert deadlines == [1015, 1030]


def test_no_deployment_is_asked_after_the_time_is_up() -> None:
    run = Run(one=GOOD)
    with pytest.raises(UpstreamError, match="could be asked"):
        run.failover.run(PLAIN, run.order, run.clock())


def test_a_credential_that_cannot_be_decrypted_is_a_failed_attempt() -> None:
    def unavailable(_: Any) -> str:
        raise CredentialUnavailableError

    run = Run(one=GOOD)
    run.failover.decrypt = unavailable
    run.fail()
    assert run.outcomes == ["credential"]


def test_an_error_names_kinds_of_failure_and_no_address() -> None:
    message = Run(one=DOWN, two=ProviderFailure("tls", "gpu.lan")).fail().message
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
