import json
import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from types import MappingProxyType
from typing import Any

import pytest

from gateway.accounts.keys import Caller, Limits
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    MissingFile,
    NoProvider,
    NotFound,
    RateLimited,
    StorageUnavailable,
    UnsupportedMediaType,
    UpstreamError,
)
from gateway.multipart import Part
from gateway.settings import TranscribeSettings
from gateway.transcription import service
from gateway.transcription.service import Dependencies, Reply, RequestContext
from gateway.upstream.client import ProviderError
from gateway.usage.record import Record
from tests.fakes import ALICE, BOB, FakeCatalog, FakeClock, FakeLimits, FakeProviderClient, answer, deployment

SETTINGS = TranscribeSettings.read({})
WORDS = [{"word": "hi", "start": 0, "end": 0.5}]


def wav(seconds: float = 2.5) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(bytes(int(seconds * 32_000)))
    return file.getvalue()


def form(*fields: tuple[str, str], file: bytes | None = None, label: str | None = "audio/wav") -> list[Part]:
    parts = [Part(name, None, memoryview(value.encode())) for name, value in fields]
    return [*parts, Part("file", label, memoryview(wav() if file is None else file))]


MODEL = ("model", "M")
VERBOSE = ("response_format", "verbose_json")


class World:
    """A gateway whose store and providers are fakes."""

    def __init__(
        self,
        *deployments: Any,
        now: float = 0.0,
        settings: Mapping[str, Any] = MappingProxyType({}),
        **answers: Any,
    ) -> None:
        self.records: list[Record] = []
        self.client = FakeProviderClient(answers)
        self.clock = FakeClock()
        self.limits = FakeLimits()
        found = list(deployments) or [deployment(name, features=["timestamps"]) for name in answers]
        self.dependencies = Dependencies(
            settings=replace(SETTINGS, **settings),
            catalog=FakeCatalog(found),
            client=self.client,  # type: ignore[arg-type]
            open_upload=lambda caller: lambda file_id: (memoryview(wav()), "audio/wav"),
            decrypt=lambda _: None,
            limits=self.limits,
            save=self.records.append,
            now=lambda: now,
            clock=self.clock,
        )

    def run(self, parts: Sequence[Part], caller: Caller = ALICE, **call: Any) -> Reply:
        return service.run(
            RequestContext(caller, "r1", 0.0, self.clock() + 30, **call), lambda: parts, self.dependencies
        )

    def fail(self, parts: Sequence[Part], caller: Caller = ALICE, **call: Any) -> GatewayError:
        with pytest.raises(GatewayError) as error:
            self.run(parts, caller, **call)
        return error.value

    @property
    def record(self) -> Record:
        (record,) = self.records
        return record


def test_a_transcript_is_text_and_the_billed_seconds() -> None:
    world = World(home=answer({"text": "hi", "duration": 2.5}))
    reply = world.run(form(MODEL))
    assert json.loads(reply.body) == {"text": "hi", "usage": {"type": "duration", "seconds": 3}}
    assert reply.headers == {"x-provider": "alice/home", "x-attempts": "1"}


def test_the_record_of_a_success_names_the_model_and_its_provider() -> None:
    world = World(home=answer({"text": "hi", "language": "de"}))
    world.run(form(MODEL))
    record = world.record
    assert (record.model, record.provider, record.service, record.format) == ("m", "alice/home", "asr", "wav")
    assert (record.bytes, record.duration.seconds, record.duration.source) == (len(wav()), 2.5, "measured")
    assert (record.billed_seconds, record.http_status, record.error_type) == (3, 200, None)
    assert (record.requested_format, record.returned_format, record.language) == ("json", "json", "de")


def test_verbose_json_is_real_timings_and_the_exact_measured_duration() -> None:
    world = World(home=answer({"text": "hi", "words": WORDS, "duration": 99}))
    reply = world.run(form(MODEL, VERBOSE, ("timestamp_granularities[]", "word")))
    assert json.loads(reply.body) == {
        "task": "transcribe",
        "duration": 2.5,
        "text": "hi",
        "words": WORDS,
        "usage": {"type": "duration", "seconds": 3},
    }
    assert world.record.duration.provider_seconds == 99


def test_a_verbose_request_is_downgraded_when_no_deployment_declares_timestamps() -> None:
    world = World(deployment("home"), home=answer({"text": "hi", "words": WORDS}))
    reply = world.run(form(MODEL, VERBOSE))
    assert json.loads(reply.body) == {"text": "hi", "usage": {"type": "duration", "seconds": 3}}
    assert reply.headers["x-downgraded-response-format"] == "json"
    assert (world.record.requested_format, world.record.returned_format) == ("verbose_json", "json")


def test_impossible_timings_are_left_out_and_noted() -> None:
    world = World(
        home=answer({"text": "hi", "words": WORDS, "segments": [{"start": 0, "end": 60, "text": "hi"}]})
    )
    reply = world.run(form(MODEL, VERBOSE))
    assert "segments" not in json.loads(reply.body)
    assert world.record.faults == ("segments",)


def test_silence_is_a_success() -> None:
    assert json.loads(World(home=answer({"text": ""})).run(form(MODEL)).body)["text"] == ""


def test_the_providers_duration_counts_when_the_audio_cannot_be_measured() -> None:
    world = World(home=answer({"text": "hi", "duration": 7.2}))
    assert json.loads(world.run(form(MODEL, file=b"?" * 6000)).body)["usage"]["seconds"] == 8
    assert world.record.duration.source == "provider"


def test_an_unknown_duration_leaves_usage_out() -> None:
    world = World(home=answer({"text": "hi"}))
    assert json.loads(world.run(form(MODEL, file=b"?" * 6000)).body) == {"text": "hi"}
    assert (world.record.duration.seconds, world.record.billed_seconds) == (None, 0)


def test_a_served_id_is_also_a_name_of_the_model() -> None:
    world = World(home=answer({"text": "hi"}))
    world.run(form(("model", " served/m ")))
    assert world.record.model == "m"
    assert dict(world.client.requests[0]["fields"])["model"] == "Served/M"


def test_no_provider_names_up_to_five_models_that_this_caller_can_call() -> None:
    found = [
        replace(deployment(f"p{n}"), model=replace(deployment().model, slug=f"model-{n}", served_id="x"))
        for n in range(7)
    ]
    error = World(*found).fail(form(MODEL))
    assert isinstance(error, NoProvider)
    assert error.message.count("model-") == 5


@pytest.mark.parametrize(
    "unusable",
    [
        deployment("home", access="private"),
        deployment("home", access="restricted", allowed_users=("carol",)),
        deployment("home", last_seen_at=-121.0),
        deployment("home", base_url="http://home.example"),
        deployment("home", base_url="https://10.0.0.7"),
    ],
)
def test_a_model_that_a_caller_cannot_reach_does_not_exist(unusable: Any) -> None:
    error = World(unusable, home=answer({"text": "hi"})).fail(form(MODEL), caller=BOB)
    assert isinstance(error, NoProvider)
    assert "No model is online for this key" in error.message


def test_a_caller_who_wants_only_own_deployments_gets_no_others() -> None:
    world = World(deployment("home"), home=answer({"text": "hi"}))
    assert isinstance(world.fail(form(MODEL), caller=replace(BOB, preference="only_own")), NoProvider)


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ([], MissingFile),
        (form(("language", "english"), file=b""), MissingFile),
        (form(("language", "english"), label="text/plain"), UnsupportedMediaType),
        (form(("model", "unknown"), ("language", "english")), InvalidRequest),
        (form(("model", "unknown")), NoProvider),
    ],
)
def test_the_first_failed_check_wins(parts: list[Part], error: type[GatewayError]) -> None:
    assert type(World(home=answer({"text": "hi"})).fail(parts)) is error


def test_every_failure_is_recorded_with_its_type_and_not_billed() -> None:
    world = World(home=ProviderError("connect", ""))
    error = world.fail(form(MODEL))
    assert isinstance(error, UpstreamError)
    record = world.record
    assert (record.http_status, record.error_type, record.billed_seconds) == (502, "upstream_error", 0)
    assert [(each.provider, each.outcome) for each in record.attempts] == [("alice/home", "connect")]
    assert record.duration.seconds == 2.5


def test_an_unreadable_form_is_also_recorded() -> None:
    world = World(home=answer({"text": "hi"}))

    def broken() -> list[Part]:
        raise InvalidRequest("broken")

    with pytest.raises(InvalidRequest):
        service.run(RequestContext(ALICE, "r1", 0.0, 30.0), broken, world.dependencies)
    assert (world.record.error_type, world.record.http_status) == ("invalid_request_error", 400)


def test_a_defect_is_recorded_as_our_error() -> None:
    world = World(home=lambda _: 1 / 0)
    error = world.fail(form(MODEL))
    assert isinstance(error.__cause__, ZeroDivisionError)
    # The SDKs would send the audio twice more.
    assert (error.status, error.headers["x-should-retry"]) == (500, "false")
    assert (world.record.error_type, world.record.http_status) == ("api_error", 500)


def test_a_record_is_written_before_the_caller_gets_the_answer() -> None:
    world = World(home=answer({"text": "hi"}))

    def lose(_: Record) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        service.run(
            RequestContext(ALICE, "r1", 0.0, world.clock() + 30),
            lambda: form(MODEL),
            replace(world.dependencies, save=lose),
        )


@pytest.mark.parametrize("text", ["x" * 5_800_000, '"' * 3_200_000])
def test_an_answer_too_large_for_a_reply_is_an_upstream_error_and_not_billed(text: str) -> None:
    world = World(home=answer({"text": text}))
    assert isinstance(world.fail(form(MODEL)), UpstreamError)
    assert world.record.billed_seconds == 0


def test_half_a_surrogate_pair_does_not_break_the_reply() -> None:
    reply = World(home=answer({"text": "\ud800"})).run(form(MODEL))
    assert json.loads(reply.body.encode())["text"] == "\ud800"


def test_an_upload_is_transcribed_like_a_file() -> None:
    world = World(home=answer({"text": "hi"}))
    world.run([*form(MODEL, file=b""), Part("file_id", None, memoryview(b"file_1"))])
    assert bytes(world.client.requests[0]["audio"]) == wav()


def test_another_users_upload_is_not_found() -> None:
    world = World(home=answer({"text": "hi"}))

    def open_upload(_: Caller) -> Any:
        def none(_: str) -> Any:
            raise NotFound("No such upload.", param="file_id")

        return none

    parts = [*form(MODEL, file=b""), Part("file_id", None, memoryview(b"file_1"))]
    with pytest.raises(NotFound):
        service.run(
            RequestContext(ALICE, "r1", 0.0, 30.0),
            lambda: parts,
            replace(world.dependencies, open_upload=open_upload),
        )


LIMITED = replace(ALICE, limits=Limits(requests_per_minute=2, audio_seconds_per_day=5))


def test_a_request_over_the_rate_is_refused_before_its_body_is_read_and_recorded() -> None:
    world = World(home=answer({"text": "hi"}))
    for remaining in ("1", "0"):
        reply = world.run(form(MODEL, file=b"?" * 75_000), caller=LIMITED)
        assert reply.headers["x-ratelimit-limit-requests"] == "2"
        assert reply.headers["x-ratelimit-remaining-requests"] == remaining
    error = world.fail([], caller=LIMITED)
    assert isinstance(error, RateLimited)
    assert (error.code, error.headers["retry-after"]) == ("rate_limit_exceeded", "30")
    assert [record.http_status for record in world.records] == [200, 200, 429]


def test_an_error_also_tells_a_limited_user_what_is_left() -> None:
    error = World(home=answer({"text": "hi"})).fail([], caller=LIMITED)
    assert error.headers["x-ratelimit-remaining-requests"] == "1"


def test_a_user_without_limits_gets_no_rate_limit_headers() -> None:
    reply = World(home=answer({"text": "hi"})).run(form(MODEL))
    assert not [name for name in reply.headers if name.startswith("x-ratelimit")]


def test_audio_over_the_daily_quota_is_refused_before_a_provider_gets_it() -> None:
    world = World(home=answer({"text": "hi"}))
    world.run(form(MODEL), caller=replace(LIMITED, limits=Limits(None, 5)))
    error = world.fail(form(MODEL), caller=replace(LIMITED, limits=Limits(None, 5)))
    assert (error.type, error.code) == ("rate_limit_error", "quota_exceeded")
    assert len(world.client.requests) == 1


def test_a_failed_request_returns_its_reserved_seconds() -> None:
    world = World(home=[ProviderError("connect", ""), answer({"text": "hi"}), answer({"text": "hi"})])
    caller = replace(LIMITED, limits=Limits(None, 3))
    assert isinstance(world.fail(form(MODEL), caller=caller), UpstreamError)
    world.run(form(MODEL), caller=caller)
    assert isinstance(world.fail(form(MODEL), caller=caller), RateLimited)


def test_seconds_known_only_from_the_provider_are_charged_to_the_quota_afterwards() -> None:
    world = World(home=answer({"text": "hi", "duration": 99}))
    caller = replace(LIMITED, limits=Limits(None, 5))
    world.run(form(MODEL, file=b"?" * 75_000), caller=caller)
    assert world.limits.seconds == {("alice", 0): 99}
    assert isinstance(world.fail(form(MODEL, file=b"?" * 75_000), caller=caller), RateLimited)


def test_audio_of_unknown_length_reserves_an_estimate_by_its_size_until_it_is_known() -> None:
    taken: list[int] = []

    def reply(_: Any) -> Any:
        taken.append(world.limits.seconds["alice", 0])
        return answer({"text": "hi", "duration": 3})

    world = World(home=reply)
    caller = replace(LIMITED, limits=Limits(None, 100))
    world.run(form(MODEL, file=b"?" * 40_001), caller=caller)
    assert taken == [11]  # at 32 kbit/s
    assert world.limits.seconds == {("alice", 0): 3}


def test_audio_of_unknown_length_is_not_refused_if_its_estimate_exceeds_the_quota() -> None:
    world = World(home=answer({"text": "hi", "duration": 3}))
    world.run(form(MODEL, file=b"?" * 400_000), caller=replace(LIMITED, limits=Limits(None, 5)))
    assert world.limits.seconds == {("alice", 0): 3}


def test_a_model_that_nobody_serves_costs_no_seconds() -> None:
    world = World(home=answer({"text": "hi"}))
    assert isinstance(world.fail(form(("model", "unknown")), caller=LIMITED), NoProvider)
    assert world.limits.seconds == {}


# --- loops

THIS, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
HERE = {"gateway_id": THIS}


@pytest.mark.parametrize(
    "sent",
    [
        {"via": THIS},
        {"via": f"{OTHER}, {THIS.upper()}"},
        {"proxies": f"1.1 nginx, 1.1 {THIS}"},
        {"proxies": f"1.1 {THIS}:443 (gateway)"},
    ],
)
def test_a_request_sent_by_this_gateway_is_refused_and_recorded_without_a_provider_call(
    sent: dict[str, Any],
) -> None:
    world = World(home=answer({"text": "hi"}), settings=HERE)
    error = world.fail([], **sent)
    assert (error.status, error.type, error.code) == (508, "upstream_error", "loop_detected")
    assert error.headers == {"x-should-retry": "false"}
    assert world.client.requests == []
    assert (world.record.http_status, world.record.billed_seconds) == (508, 0)


@pytest.mark.parametrize("sent", [{"proxies": "1.1 nginx, 2 cdn.example (CloudFront)"}, {"via": OTHER}])
def test_the_via_of_other_proxies_and_gateways_is_accepted(sent: dict[str, Any]) -> None:
    World(home=answer({"text": "hi"}), settings=HERE).run(form(MODEL), **sent)


def test_a_provider_is_told_every_gateway_that_the_request_passed() -> None:
    world = World(home=answer({"text": "hi"}), settings=HERE)
    world.run(form(MODEL), via=f"{OTHER}, a line\r\nx-injected: 1")
    assert world.client.requests[0]["via"] == (OTHER, THIS)


def test_a_request_that_passed_too_many_gateways_is_refused() -> None:
    others = ", ".join(f"{number:032x}" for number in range(8))
    error = World(home=answer({"text": "hi"}), settings=HERE).fail(form(MODEL), via=others)
    assert error.code == "loop_detected"


def test_a_deployment_at_the_gateways_own_host_is_not_tried() -> None:
    world = World(home=answer({"text": "hi"}))
    error = world.fail(form(MODEL), own_hosts=frozenset(["home.example:443"]))
    assert isinstance(error, NoProvider)


# --- in flight


def test_a_users_transcriptions_in_flight_are_limited() -> None:
    refusals: list[GatewayError] = []

    def reply(_: Any) -> Any:
        if len(world.client.requests) < 5:
            try:
                world.run(form(MODEL))
            except GatewayError as error:
                refusals.append(error)
        return answer({"text": "hi"})

    world = World(home=reply, settings={"max_in_flight_per_user": 3})
    world.run(form(MODEL))
    assert len(world.client.requests) == 3
    (error,) = refusals
    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "1")
    # All have ended, so every place is free again.
    assert world.limits.leases == {("alice", "requests"): []}
    world.run(form(MODEL))


def test_an_unlimited_user_needs_no_counter_of_calls_in_flight() -> None:
    world = World(home=answer({"text": "hi"}), settings={"max_in_flight_per_user": 0})
    world.run(form(MODEL))
    assert world.limits.leases == {}


def test_a_place_is_released_when_a_request_fails() -> None:
    world = World(home=ProviderError("connect", ""))
    world.fail(form(MODEL))
    assert world.limits.leases == {("alice", "requests"): []}


def test_the_record_is_written_before_waiting_for_limits() -> None:
    done: list[str] = []

    class Slow(FakeLimits):
        def release(self, user_id: str, counter: str, lease: str) -> Any:
            done.append("begun")
            return lambda: done.append("given back")

    world = World(home=answer({"text": "hi"}))
    gateway = replace(world.dependencies, limits=Slow(), save=lambda _: done.append("kept"))
    service.run(RequestContext(ALICE, "r1", 0.0, world.clock() + 30), lambda: form(MODEL), gateway)
    assert done == ["begun", "kept", "given back"]


def test_a_place_is_given_back_when_the_record_cannot_be_stored() -> None:
    done: list[str] = []

    class Slow(FakeLimits):
        def release(self, user_id: str, counter: str, lease: str) -> Any:
            return lambda: done.append("given back")

    def lose(_: Record) -> None:
        raise StorageUnavailable

    world = World(home=answer({"text": "hi"}))
    gateway = replace(world.dependencies, limits=Slow(), save=lose)
    with pytest.raises(StorageUnavailable):
        service.run(RequestContext(ALICE, "r1", 0.0, world.clock() + 30), lambda: form(MODEL), gateway)
    assert done == ["given back"]
