"""Recognises a container by its content alone: at the first byte, after tags, or after junk."""

from .adts import find_adts, is_adts, measure_adts
from .flac import is_flac, measure_flac
from .limits import MAX_JUNK_BYTES, Budget, occurrences
from .mp3 import find_mp3, is_mp3, measure_mp3, skip_id3
from .mp4 import is_file_type, is_mp4, measure_mp4
from .ogg import is_page, measure_ogg
from .result import Finding
from .wav import RIFF, is_wav, measure_wav
from .webm import EBML_ID, is_webm, measure_webm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    IsReal = Callable[[memoryview, Budget], bool]


def measure_audio(view: memoryview, found: Finding, budget: Budget) -> None:
    """Recognises the container and measures it.

    A container at the first byte, or after ID3 tags, wins. If there is none, the next 64 KiB are searched:
    decoders skip junk, so one byte of it must not hide the audio.
    """
    start = skip_id3(view, budget)
    _measure_at(view, start, found, budget)
    if found.seconds or _is_container(found.format, view[start:], budget):
        return
    behind = list(_behind_junk(view, start, budget))
    # Decoders differ in what they treat as junk: a short decoy must not hide a long recording, or one whose
    # length cannot be measured.
    if behind and all(each.seconds for each in behind):
        found.take(max(behind, key=lambda each: each.seconds or 0))


def _is_container(format: str | None, body: memoryview, budget: Budget) -> bool:
    """Whether it is more than four bytes of magic, or frames without samples."""
    if format == "ogg":
        return is_page(body, budget)
    if format == "flac":
        return is_flac(body)
    return format in ("wav", "webm", "mp4")


def _measure_at(view: memoryview, start: int, found: Finding, budget: Budget) -> None:
    """Measures what begins at `start`; `found.format` stays None if it is unknown."""
    body = view[start:]
    magic = bytes(body[:4])
    if is_wav(body):
        _measure_container("wav", body, found, budget)
    elif magic == b"OggS":
        _measure_container("ogg", body, found, budget)
    elif magic == b"fLaC":
        _measure_container("flac", body, found, budget)
    elif is_webm(body):
        _measure_container("webm", body, found, budget)
    elif is_mp4(body, budget):
        _measure_container("mp4", body, found, budget)
    elif is_mp3(view, start, tagged=start > 0):
        found.format = "mp3"
        measure_mp3(view, start, found, budget)
    elif is_adts(view, start, tagged=start > 0):
        found.format = "aac"
        measure_adts(view, start, found, budget)


def _measure_container(format: str, body: memoryview, found: Finding, budget: Budget) -> None:
    found.format = format
    _MEASURES[format](body, found, budget)


_MEASURES = {
    "wav": measure_wav,
    "ogg": measure_ogg,
    "flac": measure_flac,
    "webm": measure_webm,
    "mp4": measure_mp4,
}
# Per format: its magic, the magic's position in the file, and a check that it is no coincidence or decoy.
_BEGINNINGS: "tuple[tuple[str, bytes, int, IsReal], ...]" = (
    *(("wav", riff, 0, lambda body, _: is_wav(body)) for riff in RIFF),
    ("ogg", b"OggS", 0, is_page),
    ("flac", b"fLaC", 0, lambda body, _: is_flac(body)),
    ("webm", EBML_ID, 0, lambda body, _: is_webm(body)),
    ("mp4", b"ftyp", 4, lambda body, _: is_file_type(body)),
)


def _behind_junk(view: memoryview, start: int, budget: Budget) -> "Iterator[Finding]":
    """What begins within 64 KiB after `start`: the first of each kind, without pictures and other bytes."""
    end = start + MAX_JUNK_BYTES
    for format, needle, offset, is_real in _BEGINNINGS:
        for at in occurrences(view[: end + offset + len(needle)], needle, start + 1 + offset):
            budget.spend(8)
            body = view[at - offset :]
            if is_real(body, budget):
                found = Finding()
                _measure_container(format, body, found, budget)
                if found.has_audio:
                    yield found
                break
    for at in occurrences(view[: end + 3], b"ID3", start + 1):
        budget.spend(8)
        after = at + skip_id3(view[at:], budget)
        found = Finding()
        if after > at:
            _measure_at(view, after, found, budget)
        if found.seconds:
            yield found
            break
    yield from _streams_behind_junk(view, start, end, budget)


def _streams_behind_junk(view: memoryview, start: int, end: int, budget: Budget) -> "Iterator[Finding]":
    """MP3 and ADTS have no magic: enough frames in a row identify one."""
    found = Finding()
    if (first := find_mp3(view, start, end, budget)) is not None:
        found.format = "mp3"
        measure_mp3(view, first, found, budget)
        if found.seconds:
            yield found
    found = Finding()
    if (first := find_adts(view, start, end, budget)) is not None:
        found.format = "aac"
        measure_adts(view, first, found, budget)
        if found.seconds:
            yield found
