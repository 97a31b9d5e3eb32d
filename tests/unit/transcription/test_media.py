import pytest

from gateway.audio import Audio
from gateway.errors import UnsupportedMediaType
from gateway.transcription import media

UNKNOWN = Audio(None, None, None, None)
MP3 = Audio("mp3", "mp3", 1.0, True)
MUTE = Audio("mp4", None, None, False)
ACCEPTED = [
    *(
        f"audio/{name}"
        for name in ("wav", "x-wav", "wave", "vnd.wave", "mpeg", "mp3", "mpga", "mp4", "m4a", "x-m4a")
    ),
    *(f"audio/{name}" for name in ("aac", "flac", "x-flac", "ogg", "opus", "vorbis", "webm")),
    *("video/mp4", "video/webm", "video/ogg", "application/ogg", "application/mp4"),
]


@pytest.mark.parametrize("label", ACCEPTED)
def test_a_file_with_an_audio_label_is_accepted_even_if_its_bytes_are_unknown(label: str) -> None:
    extension, media_type = media.admit(label, UNKNOWN)
    assert media_type == f"audio/{ {'mp3': 'mpeg', 'm4a': 'mp4'}.get(extension, extension) }"


@pytest.mark.parametrize("label", [None, "application/octet-stream", "audio/3gpp", "audio/x-unheard-of"])
def test_the_bytes_decide_if_the_label_is_unclear(label: str | None) -> None:
    assert media.admit(label, MP3) == ("mp3", "audio/mpeg")
    with pytest.raises(UnsupportedMediaType):
        media.admit(label, UNKNOWN)


@pytest.mark.parametrize("label", ["text/plain", "application/pdf", "video/quicktime", "image/png", "audio"])
def test_any_other_label_is_refused_whatever_the_bytes(label: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        media.admit(label, MP3)


ADTS = Audio("aac", "aac", 1.0, True)


@pytest.mark.parametrize("label", ["audio/aac", "audio/mpeg", "audio/mp4"])
def test_adts_is_accepted_by_its_label_and_named_by_its_bytes(label: str) -> None:
    assert media.admit(label, ADTS) == ("aac", "audio/aac")


@pytest.mark.parametrize("label", [None, "application/octet-stream", "audio/x-aac"])
def test_adts_is_not_one_of_the_six_formats_accepted_by_their_bytes(label: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        media.admit(label, ADTS)


def test_bytes_hold_at_most_their_duration_at_6_kbit_per_second() -> None:
    assert media.max_seconds_in(26_214_400) == pytest.approx(34_952.53)
    assert media.max_seconds_in(750) == 1.0


def test_the_bytes_win_over_the_label() -> None:
    assert media.admit("audio/wav", MP3) == ("mp3", "audio/mpeg")


@pytest.mark.parametrize("label", ["video/mp4", "application/octet-stream"])
def test_a_container_without_an_audio_track_is_refused(label: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        media.admit(label, MUTE)
