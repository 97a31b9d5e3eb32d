"""WebM and Matroska: counts the frames in audio blocks (RFC 9559) and ignores the Duration element."""

from struct import Struct, unpack

from .aac import AacUnits, read_audio_specific_config
from .alac import read_magic_cookie
from .flac import FlacFrames, read_streaminfo_rate
from .limits import BATCH, Budget, occurrences
from .mpeg import MpegFrames
from .opus import read_opus_head
from .packets import Track
from .pcm import PcmBytes
from .result import Finding
from .vorbis import read_vorbis_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .packets import Packets

_EBML, _DOC_TYPE = 0x1A45DFA3, 0x4282
_SEGMENT, _CLUSTER, _BLOCK_GROUP, _TRACKS, _TRACK_ENTRY = 0x18538067, 0x1F43B675, 0xA0, 0x1654AE6B, 0xAE
_ENTERED = (_SEGMENT, _CLUSTER, _BLOCK_GROUP, _TRACKS)
_SIMPLE_BLOCK, _BLOCK, _DISCARD_PADDING = 0xA3, 0xA1, 0x75A2
_TRACK_NUMBER, _TRACK_TYPE, _CODEC_ID, _CODEC_PRIVATE, _CODEC_DELAY = 0xD7, 0x83, 0x86, 0x63A2, 0x56AA
_CONTENT_ENCODINGS, _AUDIO, _RATE, _CHANNELS, _BIT_DEPTH = 0x6D80, 0xE1, 0xB5, 0x9F, 0x6264
_AUDIO_TRACK = 2
_OTHER_TRACKS = (1, 16, 17, 18, 32, 33)  # video, logo, subtitle, buttons, control, metadata

EBML_ID = _EBML.to_bytes(4, "big")
_CLUSTER_ID = _CLUSTER.to_bytes(4, "big")
_LACING, _XIPH_LACING, _FIXED_LACING = 6, 2, 4  # bits of a block's flags
_SHORT_BLOCK, _LONG_BLOCK = _SIMPLE_BLOCK << 1 | 1, _SIMPLE_BLOCK << 2 | 1  # with a size of one or two bytes
_MAX_TRACKS = 16
_MAX_PRIVATE = 1 << 20  # bytes; a Vorbis setup is a few thousand

_WIDTH = bytes(9 - byte.bit_length() for byte in range(256))  # bytes of a variable-size integer by first byte
_peek = Struct(">Q").unpack_from
_NANOSECONDS = 1e9


def _read_size(view: memoryview, position: int) -> tuple[int, int]:
    """A variable-size integer (RFC 8794 section 4; -1 if all bits are set) and the position after it."""
    width = _WIDTH[view[position]]
    if width > 8 or position + width > len(view):
        raise IndexError
    mask = (1 << 7 * width) - 1
    value = int.from_bytes(view[position : position + width], "big") & mask
    return (-1 if value == mask else value), position + width


def _read_element(view: memoryview, position: int) -> tuple[int, int, int]:
    """ID, body position and body size (-1: unknown) of an element; IndexError if there is none."""
    width = _WIDTH[view[position]]
    if width > 4:
        raise IndexError
    ident = int.from_bytes(view[position : position + width], "big")
    size, body = _read_size(view, position + width)
    return ident, body, size


def _children(view: memoryview, budget: Budget) -> "Iterator[tuple[int, memoryview]]":
    """ID and body of each whole element in `view`."""
    position = 0
    while position < len(view):
        budget.spend()
        try:
            ident, body, size = _read_element(view, position)
        except IndexError:
            return
        if size < 0 or body + size > len(view):
            return
        yield ident, view[body : body + size]
        position = body + size


def is_webm(view: memoryview) -> bool:
    """An EBML header whose DocType is webm or matroska."""
    try:
        ident, body, size = _read_element(view, 0)
    except IndexError:
        return False
    if ident != _EBML:
        return False
    head = view[body : body + min(size, 4096)] if size >= 0 else view[body : body + 4096]
    types = [
        bytes(child).rstrip(b"\0") for ident, child in _children(head, Budget(0, 256)) if ident == _DOC_TYPE
    ]
    return types[:1] in ([b"webm"], [b"matroska"])


def measure_webm(view: memoryview, found: Finding, budget: Budget) -> None:
    """Measures the longest audio track.

    Reads the elements as one flat row: after a master element's header, it continues with the first child. So
    an unknown or false size does no harm, and nothing recurses.
    """
    walk = _Walk(view, found, budget)
    position = 0
    while position < len(view) and not any(track.long_enough for track in walk.audio_tracks.values()):
        try:
            position = walk.take_element(walk.take_simple_blocks(position))
        except IndexError:
            budget.spend(2)
            position = next(occurrences(view, _CLUSTER_ID, position + 1), len(view))
    found.seconds = walk.measure()
    if found.has_audio is None and walk.tracks_read and walk.other_tracks and not walk.unknown_tracks:
        found.has_audio = False


class _AudioTrack(Track):
    """A track entry; `delay` and `discard` are the seconds not played at its start and end."""

    __slots__ = ("delay", "discard")
    delay: float
    discard: float


class _Walk:
    """The tracks seen so far, by number."""

    def __init__(self, view: memoryview, found: Finding, budget: Budget) -> None:
        self._view = view
        self._found = found
        self._budget = budget
        self._latest: _AudioTrack | None = None  # the block that a DiscardPadding applies to
        self.audio_tracks: dict[int, _AudioTrack] = {}
        self.other_tracks = 0
        self.unknown_tracks = 0
        self.tracks_read = False

    def measure(self) -> float:
        """Measures what was added since the last call; seconds of the longest track."""
        longest = 0.0
        for track in self.audio_tracks.values():
            track.flush()
            longest = max(longest, track.seconds(track.delay, track.discard))
        return longest

    def take_simple_blocks(self, position: int) -> int:
        """Adds a batch of plain SimpleBlocks of audio from `position` on; returns where they end.

        Does what `take_element` does, but for the element that occurs hundreds of thousands of times: ID, size
        (1 or 2 bytes), track number (1), time (2), flags (1) (RFC 9559 section 10.2).
        """
        view, tracks = self._view, self.audio_tracks
        end = len(view)
        taken = 0
        while taken < BATCH and position + 8 <= end:
            word = _peek(view, position)[0]
            if word >> 55 == _SHORT_BLOCK:
                size, head, body = word >> 48 & 0x7F, word >> 16 & 0xFFFFFFFF, position + 2
            elif word >> 54 == _LONG_BLOCK:
                size, head, body = word >> 40 & 0x3FFF, word >> 8 & 0xFFFFFFFF, position + 3
            else:
                break
            track = tracks.get(head >> 24)
            if track is None or head & _LACING or not 4 < size < 0x3FFF or size == 0x7F or body + size > end:
                break
            track.add(body + 4, size - 4)
            track.discard = 0.0
            position = body + size
            taken += 1
        self._budget.spend(taken)
        return position

    def take_element(self, position: int) -> int:
        """Adds any element and returns where the next one is; IndexError if none is readable."""
        self._budget.spend(4)
        view = self._view
        if position >= len(view):
            return position
        ident, body, size = _read_element(view, position)
        if ident == _TRACKS:
            self.tracks_read = 0 <= size <= len(view) - body
        elif ident == _CLUSTER and self.other_tracks:
            self.tracks_read = True
        if ident in _ENTERED:
            return body
        if size < 0 or body + size > len(view):
            raise IndexError
        if ident == _TRACK_ENTRY:
            self._add_track(view[body : body + size])
        elif ident in (_SIMPLE_BLOCK, _BLOCK):
            self._add_block(body, body + size)
        elif ident == _DISCARD_PADDING and self._latest and 0 < size <= 8:
            # On any block but the last this could hide audio, so the next block undoes it.
            self._latest.discard = (
                max(0, int.from_bytes(view[body : body + size], "big", signed=True)) / _NANOSECONDS
            )
        return body + size

    def _add_track(self, entry: memoryview) -> None:
        self._budget.spend(20)
        values = {ident: bytes(child[:_MAX_PRIVATE]) for ident, child in _children(entry, self._budget)}
        number = int.from_bytes(values.get(_TRACK_NUMBER, b""), "big")
        kind = int.from_bytes(values.get(_TRACK_TYPE, b""), "big")
        if kind in _OTHER_TRACKS:
            self.other_tracks += 1
        elif kind != _AUDIO_TRACK:
            self.unknown_tracks += 1
        else:
            self._found.has_audio = True
            name = values.get(_CODEC_ID, b"").rstrip(b"\0").decode("ascii", "replace")
            packets = None if _CONTENT_ENCODINGS in values else _read_codec(name, values, self._budget)
            # A Vorbis decoder already skips its delay: the first packet yields nothing.
            delay = 0 if name == "A_VORBIS" else int.from_bytes(values.get(_CODEC_DELAY, b"")[:8], "big")
            codec = packets.name if packets else name.removeprefix("A_").lower() or None
            self._found.codec = self._found.codec or codec
            track = _AudioTrack(codec, packets, self._view, self._budget)
            track.delay, track.discard = delay / _NANOSECONDS, 0.0
            if len(self.audio_tracks) < _MAX_TRACKS:
                # Keyed by the number as a block's byte, marker bit included: see take_simple_blocks.
                self.audio_tracks.setdefault(number + 0x80, track)

    def _add_block(self, position: int, end: int) -> None:
        """Adds a Block or SimpleBlock (RFC 9559 section 10): track number, time, flags, frames, laced or not."""
        number, position = _read_size(self._view, position)
        track = self.audio_tracks.get(number + 0x80)
        if track is None or position + 3 > end:
            return
        flags = self._view[position + 2]
        if flags & _LACING and position + 3 < end:
            self._budget.spend(self._view[position + 3] * 3 // 2)
        self._latest = track
        track.discard = 0.0
        for start, size in _split_lacing(self._view, position + 3, end, flags & _LACING):
            track.add(start, size)


def _split_lacing(view: memoryview, position: int, end: int, lacing: int) -> list[tuple[int, int]]:
    """Start and size of each frame in a block (RFC 9559 section 10.3); skips what does not fit."""
    if not lacing:
        return [(position, end - position)]
    if position >= end:
        return []
    count = view[position] + 1
    position += 1
    sizes: list[int] = []
    if lacing == _FIXED_LACING:
        sizes = [(end - position) // count] * count
    else:
        for _ in range(count - 1):
            size = 0
            if lacing == _XIPH_LACING:
                while view[position] == 255:
                    size += 255
                    position += 1
                size += view[position]
                position += 1
            else:
                value, after = _read_size(view, position)
                # The first size is absolute; the others are differences, biased to be positive.
                size = sizes[-1] + value - (1 << 7 * (after - position) - 1) + 1 if sizes else value
                position = after
            sizes.append(size)
        sizes.append(end - position - sum(sizes))
    frames = []
    for size in sizes:
        if size < 0 or position + size > end:
            break
        frames.append((position, size))
        position += size
    return frames


def _read_codec(name: str, values: dict[int, bytes], budget: Budget) -> "Packets | None":
    """The counter for a codec (RFC 9559 registry and draft-ietf-cellar-codec); None if there is none."""
    private = values.get(_CODEC_PRIVATE, b"")
    audio = {
        ident: bytes(child[:8]) for ident, child in _children(memoryview(values.get(_AUDIO, b"")), budget)
    }
    rate = _read_float(audio.get(_RATE, b""), 8000)
    channels = int.from_bytes(audio.get(_CHANNELS, b"\x01"), "big")
    if name == "A_OPUS":
        return read_opus_head(private)
    if name == "A_VORBIS":
        frames = _split_lacing(memoryview(private), 0, len(private), _XIPH_LACING)
        headers = [private[start : start + size] for start, size in frames]
        return read_vorbis_headers(headers[0], headers[2]) if len(headers) == 3 else None
    if name.startswith("A_AAC"):
        return read_audio_specific_config(private) if private else AacUnits(rate, 1024, channels)
    if name in ("A_MPEG/L3", "A_MPEG/L2"):
        return MpegFrames("mp3" if name.endswith("3") else "mp2")
    if name == "A_FLAC" and private.startswith(b"fLaC"):
        return FlacFrames(read_streaminfo_rate(private[8:]))
    if name == "A_ALAC":
        return read_magic_cookie(private)
    if name.startswith("A_PCM/"):
        frame = channels * int.from_bytes(audio.get(_BIT_DEPTH, b""), "big") // 8
        return PcmBytes("pcm", rate, frame) if frame else None
    return None


def _read_float(body: bytes, default: int) -> int:
    """An EBML float (RFC 8794 section 7.3), rounded to whole hertz."""
    if len(body) not in (4, 8):
        return default
    value = unpack(">f" if len(body) == 4 else ">d", body)[0]
    return round(value) if 0 < value < 1e7 else 0
