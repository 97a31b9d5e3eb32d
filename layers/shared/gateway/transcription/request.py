"""Turn the form's fields into a typed request, checked in the contract's order (section 3)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway import audio
from gateway.audio import Audio
from gateway.errors import FileTooLarge, InvalidRequest, MissingFile
from gateway.multipart import Part
from gateway.settings import TranscribeSettings
from gateway.transcription import media
from gateway.transcription.media import MAX_AUDIO_BYTES

JSON, VERBOSE_JSON = "json", "verbose_json"
GRANULARITIES = ("word", "segment")
_MAX_OTHER_FIELDS = 32
_MAX_OTHER_BYTES = 8192
_GRANULARITY_FIELDS = ("timestamp_granularities[]", "timestamp_granularities")
_SINGLE_FIELDS = ("model", "language", "prompt", "response_format", "temperature", "stream", "file_id")
_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8}){0,8}")
_DECIMAL = re.compile(r"[+]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class SentFile:
    """The file as sent: its bytes and the media type of its label."""

    content: memoryview
    label: str | None


@dataclass(frozen=True, slots=True)
class AudioFile:
    """The audio: its bytes, the probe's result, and its extension and type upstream.

    A duration from a provider is ignored when it exceeds `max_seconds`.
    """

    content: memoryview
    audio: Audio
    extension: str
    media_type: str
    max_seconds: float = 14_400.0


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """The request's fields. `others` are unknown fields that the gateway forwards."""

    file: AudioFile
    model: str
    language: str | None = None
    prompt: str | None = None
    response_format: str = JSON
    granularities: tuple[str, ...] = ()
    temperature: str | None = None
    others: tuple[tuple[str, str], ...] = ()
    # Ids of the gateways it passed through, this one last.
    via: tuple[str, ...] = ()

    @property
    def is_verbose(self) -> bool:
        """Whether the request asks for timings."""
        return self.response_format == VERBOSE_JSON

    def upstream_fields(self, served_id: str, *, verbose: bool) -> list[tuple[str, str]]:
        """The text fields to send to a provider."""
        fields = [("model", served_id), ("response_format", VERBOSE_JSON if verbose else JSON)]
        if verbose:
            fields += [("timestamp_granularities[]", each) for each in self.granularities]
        known = (("language", self.language), ("prompt", self.prompt), ("temperature", self.temperature))
        fields += [(name, value) for name, value in known if value is not None]
        return fields + list(self.others)


# Resolves a file_id to its bytes and media type; raises NotFound when the caller has no such upload.
OpenUpload = Callable[[str], tuple[memoryview, str | None]]


def find_file(parts: Sequence[Part], open_upload: OpenUpload) -> SentFile:
    """Find the file. Raises MissingFile, FileTooLarge, NotFound, and InvalidRequest for two files."""
    files = [part for part in parts if part.name == "file"]
    if len(files) > 1:
        raise InvalidRequest("The form has more than one 'file' part. Send exactly one.", param="file")
    if files and len(files[0].content):
        content, label = files[0].content, files[0].media_type
    else:
        file_id = next((part.text().strip() for part in parts if part.name == "file_id"), "")
        if not file_id:
            raise MissingFile
        content, label = open_upload(file_id)
    if not len(content):
        raise MissingFile
    if len(content) > MAX_AUDIO_BYTES:
        raise FileTooLarge(
            f"The audio is over the limit of {MAX_AUDIO_BYTES} bytes (25 MB): compress it.", param="file"
        )
    return SentFile(content, label)


def admit_file(sent: SentFile, settings: TranscribeSettings) -> AudioFile:
    """Measure the audio. Raises UnsupportedMediaType, and InvalidRequest when it is too long, or cannot be
    measured although the settings require it."""
    found = audio.probe(sent.content, max_seconds=settings.max_audio_seconds)
    extension, media_type = media.admit(sent.label, found)
    if found.seconds is not None and found.seconds > settings.max_audio_seconds:
        raise InvalidRequest(
            f"The audio is over the limit of {settings.max_audio_seconds:g} seconds: split it.",
            param="file",
        )
    if found.seconds is None and settings.require_measured_audio:
        raise InvalidRequest(
            "The duration of this audio cannot be measured: send another format.", param="file"
        )
    max_seconds = min(media.max_seconds_in(len(sent.content)), settings.max_audio_seconds)
    return AudioFile(sent.content, found, extension, media_type, max_seconds)


def read_fields(parts: Sequence[Part], file: AudioFile) -> TranscriptionRequest:
    """Read the text fields. Raises InvalidRequest, whose `param` names the field."""
    fields: dict[str, list[str]] = {}
    for part in parts:
        if part.name != "file":
            fields.setdefault(part.name, []).append(part.text())
    known = {name: _single(fields, name) for name in _SINGLE_FIELDS}
    _check_stream(known["stream"])
    response_format = _response_format(known["response_format"])
    return TranscriptionRequest(
        file=file,
        model=_model(known["model"]),
        language=_language(known["language"]),
        prompt=known["prompt"],
        response_format=response_format,
        granularities=_granularities(fields, response_format),
        temperature=_temperature(known["temperature"]),
        others=_others(fields),
    )


def _single(fields: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = fields.get(name, ())
    if len(values) > 1:
        raise InvalidRequest(f"The field '{name}' was sent {len(values)} times; send it once.", param=name)
    return values[0] if values else None


def _model(value: str | None) -> str:
    if value is None or not value.strip():
        raise InvalidRequest(
            "The field 'model' is required. GET /v1/models lists the models online.", param="model"
        )
    return value.strip()


def _language(value: str | None) -> str | None:
    if value is None:
        return None
    code = _LANGUAGE.fullmatch(value.strip())
    if not code:
        raise InvalidRequest(
            "The field 'language' must be a code of 2 or 3 letters such as 'en', with or without a region.",
            param="language",
        )
    return code[1].lower()


def _response_format(value: str | None) -> str:
    if value not in (None, JSON, VERBOSE_JSON):
        raise InvalidRequest(
            f"The field 'response_format' must be '{JSON}' or '{VERBOSE_JSON}'.", param="response_format"
        )
    return value or JSON


def _granularities(fields: Mapping[str, Sequence[str]], response_format: str) -> tuple[str, ...]:
    asked = [value for name in _GRANULARITY_FIELDS for value in fields.get(name, ())]
    if any(value not in GRANULARITIES for value in asked):
        raise InvalidRequest(
            "The field 'timestamp_granularities[]' accepts only 'word' and 'segment'.",
            param="timestamp_granularities[]",
        )
    if asked and response_format != VERBOSE_JSON:
        raise InvalidRequest(
            "The field 'timestamp_granularities[]' needs response_format 'verbose_json'.",
            param="timestamp_granularities[]",
        )
    if response_format != VERBOSE_JSON:
        return ()
    return tuple(each for each in GRANULARITIES if each in asked) or ("segment",)


def _temperature(value: str | None) -> str | None:
    if value is None:
        return None
    text = value.strip()
    if not _DECIMAL.fullmatch(text) or not 0 <= float(text) <= 1:
        raise InvalidRequest("The field 'temperature' must be a number from 0 to 1.", param="temperature")
    return text


def _check_stream(value: str | None) -> None:
    if value is not None and value.strip().lower() != "false":
        raise InvalidRequest(
            "The field 'stream' must be false or left out: the reply is always one JSON body.",
            param="stream",
        )


def _others(fields: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    others = tuple(
        (name, value)
        for name, values in fields.items()
        if name not in _SINGLE_FIELDS and name not in _GRANULARITY_FIELDS
        for value in values
    )
    if len(others) > _MAX_OTHER_FIELDS:
        raise InvalidRequest(f"The form has more than {_MAX_OTHER_FIELDS} unknown text fields: send fewer.")
    for name, value in others:
        if len(name.encode("utf-8", "replace")) > 256 or len(value.encode()) > _MAX_OTHER_BYTES:
            raise InvalidRequest(f"An unknown text field is longer than {_MAX_OTHER_BYTES} bytes.")
    return others
