"""A provider's answer: read, checked, and rendered as the caller asked; never anything it did not say."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from gateway.usage.record import Duration

# A timing may end a little after the audio: decoders pad the last frame.
_TIMING_SLACK_SECONDS = 1.0
_MAX_MESSAGE = 200
# Levels of lists and objects in a list of segments: those of the engines have three. Python reads and writes
# thousands, but the caller's JSON reader may not.
_MAX_LEVELS = 16
# Lists and objects in an answer. 5 MiB hold 170,000 words with times; of empty lists they hold millions, whose reading
# takes as long as what is left between a request's deadline and its function's.
_MAX_CONTAINERS = 250_000
_UNSAFE = re.compile(
    r"\w+://\S*"  # URLs
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?"  # IPv4
    r"|\[?(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]{0,15}\]?(?::\d+)?"  # IPv6
    r"|\b(?:[\w-]+\.)+[A-Za-z]{2,}(?::\d+)?(?:/\S*)?"  # host names, and file names like them
    r"|\b[A-Za-z][\w-]*:\d{2,5}\b(?:/\S*)?"  # host and port
    r"|(?:/[\w.-]+){2,}"  # paths
    r"|\b(?:key|token|secret|password)\b\s*[:=]\s*\S+"  # what is said to be a secret
    r"|\b(?:sk|hf|pk|key|token|bearer)[-_ ][\w.-]{6,}"  # keys
    r"|[A-Za-z0-9+/_-]{32,}",  # long tokens
    re.IGNORECASE,
)


class UnusableAnswerError(Exception):
    """A 200 that is no transcript; `kind` is `not_json` or `no_text`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a provider said. Times in seconds; a list is None when it was not sent or not usable.

    `faults` names the lists that were left out because their timings cannot be true.
    """

    text: str
    language: str | None = None
    segments: list[dict[str, Any]] | None = None
    words: list[dict[str, Any]] | None = None
    reported_seconds: float | None = None
    faults: tuple[str, ...] = ()

    @property
    def has_timings(self) -> bool:
        """Whether any list of timings came; an empty one counts, silence has no words."""
        return self.segments is not None or self.words is not None or bool(self.faults)


def read_transcript(body: bytes, measured_seconds: float | None, max_seconds: float) -> Transcript:
    """The transcript in a 200's body, as UTF-8 whatever the charset claims. Raises UnusableAnswerError.

    No duration over `max_seconds` is believed (`media.max_seconds_in` says what the bytes can hold).
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
    """What a provider said when it refused the request, fit for strangers: short, one line, without URLs,
    addresses, names of hosts or files, the service's `api_key` or anything like one. None when it said nothing
    readable."""
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
    """The `json` body: text, and usage unless the duration is unknown."""
    return {"text": transcript.text} | _usage(duration)


def render_verbose(
    transcript: Transcript, duration: Duration, granularities: tuple[str, ...]
) -> dict[str, Any]:
    """The `verbose_json` body: what the provider said, of what was asked."""
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
        # NaN and Infinity are not JSON: as null they fail the checks below instead of our own reply.
        parsed = json.loads(body.decode("utf-8-sig"), parse_constant=lambda _: None, parse_float=_parse_float)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _parse_float(text: str) -> float | None:
    """1e999 is JSON, but Python makes it infinite, and would write it as what is not JSON."""
    value = float(text)
    return value if math.isfinite(value) else None


def _finite(value: Any) -> float | None:
    """A JSON number as it is (int stays int, so 0 is not rendered as 0.0); None for anything else."""
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
    """Whether nothing in it is nested deeper than _MAX_LEVELS. Goes level by level, because Python's own stack is
    what too deep a value would exhaust."""
    level: list[Any] = [value]
    for _ in range(_MAX_LEVELS):
        children = (child for each in level for child in (each.values() if isinstance(each, dict) else each))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return True
    return False


def _segments(value: Any, limit: float) -> list[dict[str, Any]] | None:
    """Segments with every key the provider sent (avg_logprob, ...); the place in the list where it gave no id."""
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
