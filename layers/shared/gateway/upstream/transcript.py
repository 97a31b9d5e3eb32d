"""Read and check a provider's transcript, and render it as the caller asked without adding to it."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from gateway.usage.record import Duration

# A timing may end a little after the audio, because decoders pad the last frame.
_TIMING_SLACK_SECONDS = 1.0
_MAX_MESSAGE = 200
# Max nesting of a list of segments. The engines use three levels. Python handles thousands, but the caller's JSON
# reader may not.
_MAX_LEVELS = 16
# Max lists and objects in an answer. 5 MiB hold 170,000 timed words, but millions of empty lists, which take so long
# to parse that the function may end first.
_MAX_CONTAINERS = 250_000
_UNSAFE = re.compile(
    r"\w+://\S*"  # URLs
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?"  # IPv4
    r"|\[?(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]{0,15}\]?(?::\d+)?"  # IPv6
    r"|\b(?:[\w-]+\.)+[A-Za-z]{2,}(?::\d+)?(?:/\S*)?"  # host names, and file names like them
    r"|\b[A-Za-z][\w-]*:\d{2,5}\b(?:/\S*)?"  # host and port
    r"|(?:/[\w.-]+){2,}"  # paths
    r"|\b(?:key|token|secret|password)\b\s*[:=]\s*\S+"  # labelled secrets
    r"|\b(?:sk|hf|pk|key|token|bearer)[-_ ][\w.-]{6,}"  # keys
    r"|[A-Za-z0-9+/_-]{32,}",  # long tokens
    re.IGNORECASE,
)


class UnusableAnswerError(Exception):
    """A 200 without a transcript; `kind` is `not_json` or `no_text`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Transcript:
    """A provider's transcript. Times are in seconds. A list is None when it was not sent or is not usable.

    `faults` names the lists that were dropped because their timings cannot be correct.
    """

    text: str
    language: str | None = None
    segments: list[dict[str, Any]] | None = None
    words: list[dict[str, Any]] | None = None
    reported_seconds: float | None = None
    faults: tuple[str, ...] = ()

    @property
    def has_timings(self) -> bool:
        """Whether any list of timings was sent. An empty one counts, because silence has no words."""
        return self.segments is not None or self.words is not None or bool(self.faults)


def read_transcript(body: bytes, measured_seconds: float | None, max_seconds: float) -> Transcript:
    """Read the transcript in a 200's body, as UTF-8 whatever its charset. Raises UnusableAnswerError.

    Ignores a duration over `max_seconds` (see `media.max_seconds_in`).
    """
    answer = _object(body)
    if answer is None:
        raise UnusableAnswerError("not_json")
    text = answer.get("text")
    if not isinstance(text, str):
        raise UnusableAnswerError("no_text")
    reported = _reported_seconds(answer, max_seconds)
    known = measured_seconds if measured_seconds is not None else reported
    limit = math.inf if known is None else known + _TIMING_SLACK_SECONDS
    segments, words = _segments(answer.get("segments"), limit), _words(answer.get("words"), limit)
    sent = {"segments": segments, "words": words}
    language = answer.get("language")
    return Transcript(
        text=text,
        language=language if isinstance(language, str) and language else None,
        segments=segments,
        words=words,
        reported_seconds=reported,
        faults=tuple(name for name, found in sent.items() if found is None and answer.get(name) is not None),
    )


def refusal_message(body: bytes, api_key: str | None = None) -> str | None:
    """Make a refusing provider's message safe to show: one short line without URLs, addresses, host or file names,
    the service's `api_key` or anything like a key. None when there is no readable message."""
    answer = _object(body) or {}
    error = answer.get("error")
    said = error.get("message") if isinstance(error, dict) else error
    said = said or answer.get("message") or answer.get("detail")
    if not isinstance(said, str):
        return None
    line = " ".join("".join(each if each.isprintable() else " " for each in said[:2000]).split())
    if api_key:
        line = line.replace(api_key, "...")
    line = _UNSAFE.sub("...", line)
    return line[:_MAX_MESSAGE] or None


def render_json(transcript: Transcript, duration: Duration) -> dict[str, Any]:
    """Build the `json` body: text, and usage unless the duration is unknown."""
    return {"text": transcript.text} | _usage(duration)


def render_verbose(
    transcript: Transcript, duration: Duration, granularities: tuple[str, ...]
) -> dict[str, Any]:
    """Build the `verbose_json` body: those requested fields that the provider sent."""
    body: dict[str, Any] = {"task": "transcribe"}
    if transcript.language is not None:
        body["language"] = transcript.language
    if duration.seconds is not None:
        body["duration"] = duration.seconds
    body["text"] = transcript.text
    if "segment" in granularities and transcript.segments is not None:
        body["segments"] = transcript.segments
    if "word" in granularities and transcript.words is not None:
        body["words"] = transcript.words
    return body | _usage(duration)


def _usage(duration: Duration) -> dict[str, Any]:
    return {} if duration.billed is None else {"usage": {"type": "duration", "seconds": duration.billed}}


def _object(body: bytes) -> dict[str, Any] | None:
    if body.count(b"[") + body.count(b"{") > _MAX_CONTAINERS:
        return None
    try:
        # NaN and Infinity are not JSON. As null they fail the checks below and cannot break our own reply.
        parsed = json.loads(body.decode("utf-8-sig"), parse_constant=lambda _: None, parse_float=_parse_float)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _parse_float(text: str) -> float | None:
    """Parse a float; None when it is infinite. Python reads 1e999 as infinity and would write invalid JSON."""
    value = float(text)
    return value if math.isfinite(value) else None


def _finite(value: Any) -> float | None:
    """Return a finite JSON number unchanged (an int stays an int, so 0 is not rendered as 0.0), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _reported_seconds(answer: dict[str, Any], max_seconds: float) -> float | None:
    usage = answer.get("usage")
    for value in (usage.get("seconds") if isinstance(usage, dict) else None, answer.get("duration")):
        number = _finite(value)
        # vLLM sends the number as text.
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,18})?", value):
            number = float(value)
        if number is not None and 0 <= number <= max_seconds:
            return float(number)
    return None


def _is_timed(entry: Any, limit: float) -> bool:
    if not isinstance(entry, dict):
        return False
    start, end = _finite(entry.get("start")), _finite(entry.get("end"))
    return start is not None and end is not None and 0 <= start <= end <= limit


def _is_shallow(value: list[Any]) -> bool:
    """Whether nothing is nested deeper than _MAX_LEVELS. Goes level by level, because deep recursion would exhaust
    Python's stack."""
    level: list[Any] = [value]
    for _ in range(_MAX_LEVELS):
        children = (child for each in level for child in (each.values() if isinstance(each, dict) else each))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return True
    return False


def _segments(value: Any, limit: float) -> list[dict[str, Any]] | None:
    """Segments with all keys that the provider sent (avg_logprob, ...). A missing id becomes the list position."""
    if not isinstance(value, list):
        return None
    if not all(_is_timed(each, limit) and isinstance(each.get("text"), str) for each in value):
        return None
    if not _is_shallow(value):
        return None
    return [
        each if _finite(each.get("id")) is not None else {**each, "id": n} for n, each in enumerate(value)
    ]


def _words(value: Any, limit: float) -> list[dict[str, Any]] | None:
    if not isinstance(value, list):
        return None
    if not all(_is_timed(each, limit) and isinstance(each.get("word"), str) for each in value):
        return None
    return [{"word": each["word"], "start": each["start"], "end": each["end"]} for each in value]
