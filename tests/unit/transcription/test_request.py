from dataclasses import replace

import pytest

from gateway.audio import Audio
from gateway.errors import FileTooLarge, InvalidRequest, MissingFile, NotFound
from gateway.multipart import Part
from gateway.settings import TranscribeSettings
from gateway.transcription import media
from gateway.transcription import request as transcription_request
from gateway.transcription.request import AudioFile, SentFile, TranscriptionRequest

SETTINGS = TranscribeSettings.read({})
FILE = AudioFile(memoryview(b"x"), Audio("wav", "pcm", 1.0, True), "wav", "audio/wav")


def part(name: str, value: str | bytes, media_type: str | None = None) -> Part:
    return Part(name, media_type, memoryview(value.encode() if isinstance(value, str) else value))


def read(*fields: tuple[str, str]) -> TranscriptionRequest:
    return transcription_request.read_fields([part(*field) for field in (("model", "m"), *fields)], FILE)


def no_upload(_: str) -> tuple[memoryview, str | None]:
    raise NotFound("none", param="file_id")


def refused(*fields: tuple[str, str]) -> str | None:
    with pytest.raises(InvalidRequest) as error:
        read(*fields)
    return error.value.param


def test_the_default_is_json_and_nothing_else() -> None:
    request = read()
    assert request == TranscriptionRequest(FILE, "m")
    assert request.upstream_fields("Served", verbose=False) == [
        ("model", "Served"),
        ("response_format", "json"),
    ]


def test_every_field_is_sent_to_the_provider_with_the_served_id() -> None:
    request = read(
        ("language", "EN-us"),
        ("prompt", "Gr\u00fc\u00dfe"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities", "segment"),
        ("temperature", "0.2"),
        ("stream", "false"),
        ("x", "1"),
        ("x", "2"),
    )
    assert request.upstream_fields("Served", verbose=True) == [
        ("model", "Served"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("language", "en"),
        ("prompt", "Gr\u00fc\u00dfe"),
        ("temperature", "0.2"),
        ("x", "1"),
        ("x", "2"),
    ]


def test_a_downgraded_request_carries_no_granularities() -> None:
    request = read(("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))
    assert request.upstream_fields("s", verbose=False) == [("model", "s"), ("response_format", "json")]


def test_verbose_json_asks_for_segments_unless_told_otherwise() -> None:
    assert read(("response_format", "verbose_json")).granularities == ("segment",)


@pytest.mark.parametrize(
    ("given", "forwarded"),
    [("en", "en"), ("EN", "en"), ("en-US", "en"), ("zh_Hant_TW", "zh"), ("yue", "yue")],
)
def test_a_language_is_forwarded_without_its_region(given: str, forwarded: str) -> None:
    assert read(("language", given)).language == forwarded


@pytest.mark.parametrize("value", ["english", "e", "", "x" * 40, "e1", "en-", "\u0435\u043d", "en\nde"])
def test_an_invalid_language_code_is_refused(value: str) -> None:
    assert refused(("language", value)) == "language"


@pytest.mark.parametrize("value", ["0", "1", "0.5", "1.0", ".5", "1e-3", " 0.3 "])
def test_a_temperature_from_0_to_1_is_accepted(value: str) -> None:
    assert read(("temperature", value)).temperature == value.strip()


@pytest.mark.parametrize("value", ["1.01", "-0.1", "nan", "inf", "warm", "", "0_1", "\u0661", "1e999", "0x1"])
def test_any_other_temperature_is_refused(value: str) -> None:
    assert refused(("temperature", value)) == "temperature"


@pytest.mark.parametrize("value", ["text", "srt", "vtt", "diarized_json", "JSON", ""])
def test_any_other_response_format_is_refused(value: str) -> None:
    assert refused(("response_format", value)) == "response_format"


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
def test_granularities_need_verbose_json_and_known_values(name: str) -> None:
    assert refused((name, "word")) == "timestamp_granularities[]"
    assert refused(("response_format", "verbose_json"), (name, "sentence")) == "timestamp_granularities[]"


@pytest.mark.parametrize("value", ["true", "True", "1", ""])
def test_streaming_is_refused_and_the_message_names_the_alternative(value: str) -> None:
    with pytest.raises(InvalidRequest, match="one JSON body") as error:
        read(("stream", value))
    assert error.value.param == "stream"


def test_exactly_one_model_is_required() -> None:
    for fields in ([], [part("model", "  ")], [part("model", "a"), part("model", "b")]):
        with pytest.raises(InvalidRequest) as error:
            transcription_request.read_fields(fields, FILE)
        assert error.value.param == "model"


def test_further_fields_are_limited_in_number_and_size() -> None:
    assert len(read(*[("x", "y" * 8192)] * 32).others) == 32
    refused(*[("x", "y")] * 33)
    refused(("x", "y" * 8193))


def test_a_prompt_may_be_longer_than_a_further_field() -> None:
    assert read(("prompt", "p" * 20_000)).prompt == "p" * 20_000


def test_the_file_part_is_found_at_any_position() -> None:
    sent = transcription_request.find_file([part("model", "m"), part("file", "x", "audio/wav")], no_upload)
    assert (bytes(sent.content), sent.label) == (b"x", "audio/wav")


@pytest.mark.parametrize("parts", [[], [part("model", "m")], [part("file", "")], [part("file_id", " ")]])
def test_an_absent_or_empty_file_is_missing(parts: list[Part]) -> None:
    with pytest.raises(MissingFile):
        transcription_request.find_file(parts, no_upload)


def test_two_files_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        transcription_request.find_file([part("file", "x"), part("file", "y")], no_upload)


def test_an_upload_replaces_an_empty_file_part() -> None:
    parts = [part("file", ""), part("file_id", "upload_1")]
    sent = transcription_request.find_file(
        parts, lambda file_id: (memoryview(file_id.encode()), "audio/flac")
    )
    assert (bytes(sent.content), sent.label) == (b"upload_1", "audio/flac")


def test_an_unknown_upload_is_not_found_when_the_file_is_opened() -> None:
    with pytest.raises(NotFound):
        transcription_request.find_file([part("file_id", "nope")], no_upload)


def test_exactly_25_mb_pass_but_one_byte_more_does_not() -> None:
    most = bytes(media.MAX_AUDIO_BYTES)
    assert len(transcription_request.find_file([part("file", most)], no_upload).content) == 26_214_400
    with pytest.raises(FileTooLarge):
        transcription_request.find_file([part("file", most + b"x")], no_upload)


def test_audio_that_cannot_be_measured_is_refused_only_where_measuring_is_required() -> None:
    sent = SentFile(memoryview(b"not audio at all"), "audio/wav")
    assert transcription_request.admit_file(sent, SETTINGS).audio.seconds is None
    with pytest.raises(InvalidRequest):
        transcription_request.admit_file(sent, replace(SETTINGS, require_measured_audio=True))


def test_a_providers_duration_over_what_the_bytes_or_the_limit_allow_is_ignored() -> None:
    sent = SentFile(memoryview(b"?" * 750_000), "audio/wav")
    assert transcription_request.admit_file(sent, SETTINGS).max_seconds == 1000
    short = replace(SETTINGS, max_audio_seconds=60.0)
    assert transcription_request.admit_file(sent, short).max_seconds == 60
