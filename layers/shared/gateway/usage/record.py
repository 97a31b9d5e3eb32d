"""The usage record of every transcription request, and its billed seconds."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

MEASURED, REPORTED, UNKNOWN = "measured", "provider", "unknown"


@dataclass(frozen=True, slots=True)
class Duration:
    """The audio's exact length in seconds and its source; `seconds` is None when unknown.

    `provider_seconds` is set when the provider's figure disagrees with the measured one.
    """

    seconds: float | None
    source: str
    provider_seconds: float | None = None

    @property
    def billed(self) -> int | None:
        """Rounded to a microsecond, then up to a whole second (contract section 3); None when unknown."""
        return None if self.seconds is None else math.ceil(round(self.seconds, 6))


def settle(measured: float | None, reported: float | None) -> Duration:
    """Choose the duration: the measured one, else the provider's, else unknown.

    Keeps the provider's figure beside the measured one when they differ by more than 5 % + 1 s.
    """
    if reported is not None:
        # DynamoDB refuses a record with a number closer to 0 than 1e-130.
        reported = round(reported, 6)
    if measured is None:
        return Duration(None, UNKNOWN) if reported is None else Duration(reported, REPORTED)
    disagrees = reported is not None and abs(reported - measured) > 0.05 * measured + 1
    return Duration(round(measured, 6), MEASURED, reported if disagrees else None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a deployment: its provider, outcome and duration."""

    provider: str
    outcome: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Record:
    """A request's usage, without prompt, transcript, audio or filename."""

    request_id: str
    user_id: str
    key_id: str
    started_at: float
    model: str | None = None
    provider: str | None = None
    service: str | None = None
    format: str | None = None
    bytes: int | None = None
    duration: Duration = Duration(None, UNKNOWN)
    requested_format: str | None = None
    returned_format: str | None = None
    language: str | None = None
    http_status: int = 0
    error_type: str | None = None
    attempts: tuple[Attempt, ...] = ()
    latency_ms: int = 0
    # Ids that a client can choose, recorded for searching, never used as keys.
    api_gateway_request_id: str | None = None
    client_request_id: str | None = None
    # Lists of timings that were dropped because they cannot be correct; logged, not stored.
    faults: tuple[str, ...] = ()

    @property
    def billed_seconds(self) -> int:
        """The billed seconds of a successful response, else 0."""
        return 0 if self.error_type or self.http_status != 200 else self.duration.billed or 0

    @property
    def status(self) -> str:
        """Whether the caller got a transcript."""
        return "failed" if self.error_type else "succeeded"


def timestamp(epoch_seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, which sorts as text."""
    moment = datetime.fromtimestamp(epoch_seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
