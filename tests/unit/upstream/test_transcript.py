import json
from typing import Any

import pytest

from gateway.transcription import media
from gateway.upstream.transcript import (
    Transcript,
    UnusableAnswerError,
    read_transcript,
    refusal_message,
    render_json,
    render_verbose,
)
from gateway.usage.record import MEASURED, UNKNOWN, Duration

TEN = Duration(9.2, MEASURED)
WORD = {"word": "hi", "start": 0, "end": 0.5}
SEGMENT = {"id": 0, "start": 0.0, "end": 1.5, "text": "hi"}


def read(answer: Any, seconds: float | None = 10.0, max_seconds: float = 14_400.0) -> Transcript:
    return read_transcript(json.dumps(answer).encode(), seconds, max_seconds)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'"text"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"text"']
)
def test_a_body_that_is_not_a_json_object_is_not_an_answer(body: bytes) -> None:
    with pytest.raises(UnusableAnswerError) as unusable:
        read_transcript(body, 1.0, 10.0)
    assert unusable.value.kind == "not_json"


def test_an_answer_of_millions_of_small_values_is_refused_before_it_is_read() -> None:
    segment = '{"start": 0, "end": 0, "text": "", "x": [' + "[[[[[[[[[[]]]]]]]]]]," * 200_000 + "0]}"
    with pytest.raises(UnusableAnswerError) as unusable:
        read_transcript(f'{{"text": "", "segments": [{segment}]}}'.encode(), 1.0, 10.0)
    assert unusable.value.kind == "not_json"


def test_an_answer_with_as_many_words_as_fit_is_read() -> None:
    word = '{"word":"a","start":0,"end":1},'
    body = '{"text": "", "words": [' + (word * (5 * 1024 * 1024 // len(word) - 2))[:-1] + "]}"
    assert len(read_transcript(body.encode(), 1.0, 10.0).words or ()) > 150_000


@pytest.mark.parametrize("answer", [{}, {"text": None}, {"text": 1}, {"error": {"message": "no"}}])
def test_an_answer_without_text_is_unusable(answer: dict[str, Any]) -> None:
    with pytest.raises(UnusableAnswerError) as unusable:
        read(answer)
    assert unusable.value.kind == "no_text"


def test_silence_is_an_answer() -> None:
    assert read({"text": ""}).text == ""


def test_utf8_is_read_whatever_the_header_says_and_a_byte_order_mark_is_not_text() -> None:
    assert read_transcript('\ufeff{"text": "\u00fc\u4f60"}'.encode(), None, 10.0).text == "\u00fc\u4f60"


@pytest.mark.parametrize(
    "entry",
    [
        {"start": -0.1},
        {"start": 2, "end": 1},
        {"end": 11.1},
        {"start": "0"},
        {"start": None},
        {"start": True},
        {"end": 10**400},
    ],
)
def test_an_impossible_timing_removes_its_whole_list(entry: dict[str, Any]) -> None:
    transcript = read({"text": "hi", "words": [WORD, WORD | entry], "segments": [SEGMENT | entry]})
    assert (transcript.words, transcript.segments) == (None, None)
    assert transcript.faults == ("segments", "words")


def test_a_timing_may_end_up_to_a_second_after_the_audio() -> None:
    assert read({"text": "hi", "words": [WORD | {"end": 11.0}]}).words is not None


def test_nan_in_a_timing_is_not_a_timing() -> None:
    body = b'{"text": "hi", "words": [{"word": "hi", "start": 0, "end": NaN}]}'
    assert read_transcript(body, 1.0, 10.0).faults == ("words",)


def test_unknown_keys_of_segments_are_kept_and_a_missing_id_is_the_index() -> None:
    segment = {"start": 0, "end": 1, "text": "hi", "avg_logprob": -0.2, "no_speech_prob": 0.01}
    assert read({"text": "hi", "segments": [segment]}).segments == [segment | {"id": 0}]


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"usage": {"seconds": 3}, "duration": 9}, 3.0),
        ({"usage": {"type": "tokens"}, "duration": 9.5}, 9.5),
        ({"duration": "9.5"}, 9.5),
        ({"duration": 0}, 0.0),
        ({"duration": -1}, None),
        ({"duration": 1e300}, None),
        ({"usage": {"seconds": 1e9}, "duration": 3}, 3.0),
        ({"duration": "999999999"}, None),
        ({"duration": 14_400}, 14_400.0),
        ({"duration": 14_400.001}, None),
        ({"usage": {"seconds": 14_401}, "duration": "14_400"}, None),
        ({"usage": {"seconds": "14401"}, "duration": "14400"}, 14_400.0),
        ({"duration": True}, None),
        ({"duration": "soon"}, None),
        ({"usage": [], "duration": None}, None),
        ({}, None),
    ],
)
def test_the_reported_duration_is_a_number_from_usage_or_else_duration(
    answer: dict[str, Any], seconds: float | None
) -> None:
    assert read({"text": ""} | answer).reported_seconds == seconds


def test_a_duration_that_the_bytes_cannot_hold_is_ignored() -> None:
    said = {"text": "", "usage": {"seconds": 61}, "duration": 60}
    assert read(said, None, media.max_seconds_in(45_000)).reported_seconds == 60.0
    assert read(said, None, media.max_seconds_in(44_999)).reported_seconds is None


@pytest.mark.parametrize(
    "depth", [*range(17, 40), 500, *range(900, 1020), 5000, *range(9_900, 10_020), 100_000]
)
def test_segments_nested_too_deeply_for_callers_are_left_out(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    segment = f'{{"id": 0, "start": 0, "end": 1, "text": "hi", "x": {nested}}}'
    try:
        found = read_transcript(f'{{"text": "hi", "segments": [{segment}]}}'.encode(), 1.0, 10.0)
    except UnusableAnswerError as unusable:
        assert unusable.kind == "not_json"
        return
    assert (found.segments, found.faults) == (None, ("segments",))


def test_segments_keep_the_lists_and_objects_that_engines_add() -> None:
    segment = SEGMENT | {"tokens": [1, 2], "words": [WORD | {"alternatives": [{"word": "high"}]}]}
    assert read({"text": "hi", "segments": [segment]}).segments == [segment]


def test_a_number_too_large_for_python_is_null_and_not_infinity() -> None:
    body = (
        b'{"text": "hi", "segments": [{"id": 0, "start": 0, "end": 1, "text": "hi", "avg_logprob": -1e999}]}'
    )
    segments = read_transcript(body, 1.0, 10.0).segments
    assert segments is not None
    assert segments[0]["avg_logprob"] is None


def test_json_is_exactly_text_and_usage() -> None:
    assert render_json(Transcript("hi"), TEN) == {
        "text": "hi",
        "usage": {"type": "duration", "seconds": 10},
    }


def test_usage_is_left_out_when_the_duration_is_unknown() -> None:
    assert render_json(Transcript("hi"), Duration(None, UNKNOWN)) == {"text": "hi"}


def test_verbose_json_holds_only_the_requested_parts_of_the_answer() -> None:
    transcript = read({"text": "hi", "language": "en", "words": [WORD], "segments": [SEGMENT]})
    assert render_verbose(transcript, TEN, ("word",)) == {
        "task": "transcribe",
        "language": "en",
        "duration": 9.2,
        "text": "hi",
        "words": [WORD],
        "usage": {"type": "duration", "seconds": 10},
    }
    assert "words" not in render_verbose(transcript, TEN, ("segment",))


def test_a_language_that_was_not_reported_is_left_out() -> None:
    assert "language" not in render_verbose(read({"text": ""}), TEN, ("segment",))


@pytest.mark.parametrize(
    "secret",
    [
        "https://10.0.0.7:8000/v1",
        "10.0.0.7",
        "fe80::1",
        "gpu-box.lan",
        "talk-with-mum.mp3",
        "sk-live-0123456789abcdef",
        "hf_abcdefghijklmnop",
        "/srv/models/whisper",
        "a" * 40,
        "localhost:8000",
        "gpu-tower:8000",
        "key: abc123def",
        "secret=swordfish99",
    ],
)
def test_a_refusal_is_passed_on_without_addresses_keys_or_names(secret: str) -> None:
    body = json.dumps({"error": {"message": f"cannot\nread {secret} today"}}).encode()
    message = refusal_message(body)
    assert message is not None
    assert secret not in message
    assert message.startswith("cannot read")


def test_a_refusal_is_short_and_one_line() -> None:
    message = refusal_message(json.dumps({"detail": "no \x00\n" * 1000}).encode())
    assert message is not None
    assert len(message) <= 200
    assert message.isprintable()


def test_the_services_own_credential_is_never_repeated() -> None:
    body = json.dumps({"error": {"message": "who is hunter2?"}}).encode()
    assert refusal_message(body, "hunter2") == "who is ...?"
