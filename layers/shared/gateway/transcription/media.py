"""Decide which audio files are accepted, and their extension and type upstream (contract section 3)."""

from typing import TYPE_CHECKING

from gateway.errors import UnsupportedMediaType

if TYPE_CHECKING:  # the prober takes 100 ms to import, and uploads do not use it
    from gateway.audio import Audio

# Per file, sent in one request or in parts (contract section 3).
MAX_AUDIO_BYTES = 26_214_400
# The lowest bit rate of coded speech (Opus, 6 kbit/s), used for audio that cannot be measured.
MIN_BITS_PER_SECOND = 6_000
ACCEPTED = "wav, mp3, m4a/mp4, flac, ogg (vorbis, opus) and webm"

_WAV, _MP3, _MP4, _AAC = (
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
)
_FLAC, _OGG, _WEBM = ("flac", "audio/flac"), ("ogg", "audio/ogg"), ("webm", "audio/webm")

# Label -> extension and canonical type. Files whose bytes are not recognised go by label; the provider decides.
_LABELS = {
    **dict.fromkeys(("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), _WAV),
    **dict.fromkeys(("audio/mpeg", "audio/mp3", "audio/mpga"), _MP3),
    **dict.fromkeys(("audio/mp4", "audio/m4a", "audio/x-m4a", "video/mp4", "application/mp4"), _MP4),
    **dict.fromkeys(("audio/flac", "audio/x-flac"), _FLAC),
    **dict.fromkeys(("audio/ogg", "audio/opus", "audio/vorbis", "video/ogg", "application/ogg"), _OGG),
    **dict.fromkeys(("audio/webm", "video/webm"), _WEBM),
    "audio/aac": _AAC,
}
_FORMATS = {"wav": _WAV, "mp3": _MP3, "mp4": _MP4, "flac": _FLAC, "ogg": _OGG, "webm": _WEBM, "aac": _AAC}
# Recognised and measured, but accepted only with a matching label: not one of the contract's six formats.
_BY_LABEL_ONLY = "aac"


def max_seconds_in(size: int) -> float:
    """The maximum seconds of audio that `size` bytes can hold."""
    return size * 8 / MIN_BITS_PER_SECOND


def admit(label: str | None, audio: "Audio") -> tuple[str, str]:
    """Return the extension and canonical type to send upstream.

    `label` is the part's media type, `audio` the result of probing its bytes. Raises UnsupportedMediaType.
    """
    unsure = label is None or label == "application/octet-stream" or label.startswith("audio/")
    if label not in _LABELS and not unsure:
        raise UnsupportedMediaType(
            f"This content type is not accepted. Accepted audio: {ACCEPTED}.", param="file"
        )
    if audio.has_audio is False:
        raise UnsupportedMediaType(f"The file has no audio track. Accepted audio: {ACCEPTED}.", param="file")
    if audio.format is not None and (audio.format != _BY_LABEL_ONLY or label in _LABELS):
        return _FORMATS[audio.format]
    if label in _LABELS:
        return _LABELS[label]
    raise UnsupportedMediaType(
        f"The file is not recognised as audio. Accepted audio: {ACCEPTED}.", param="file"
    )
