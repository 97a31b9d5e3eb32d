"""MP4, M4A and QuickTime: counts the audio samples that are present (ISO/IEC 14496-12).

Ignores the durations in mvhd, tkhd, mdhd, elst and the time-to-sample table: the codec's counter counts samples.
"""

from struct import unpack_from

from .boxes import boxes, find_box, read_integer
from .limits import Budget
from .packets import Track
from .result import Finding
from .sample_entry import read_sample_entry
from .sample_table import add_run_samples, add_table_samples

_IMAGES = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"jp2 ", b"jpx ", b"jpm ", b"crx ")
_WITHOUT_FTYP = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"sidx", b"moof")
_BEHIND_FTYP = (*_WITHOUT_FTYP, b"uuid", b"meta", b"pdin", b"ssix", b"prft", b"emsg")
_NO_AUDIO = b"vide auxv pict text sbtl subt subp clcp tmcd hint meta".split()
_MAX_TRACKS = 16


def is_mp4(view: memoryview, budget: Budget) -> bool:
    """A file type box that is not an image's; or boxes that include a movie, as in old QuickTime files."""
    kind = bytes(view[4:8])
    if kind == b"ftyp":
        brand = bytes(view[8:12])
        return 16 <= read_integer(view, 0, 4) <= 4096 and brand.isascii() and brand not in _IMAGES
    if kind not in _WITHOUT_FTYP:
        return False
    for kind, _, body, _ in boxes(view, budget):
        if kind in (b"moov", b"moof"):
            return any(child in (b"mvhd", b"mfhd") for child, *_ in boxes(body, budget))
    return False


def is_file_type(view: memoryview) -> bool:
    """Whether the file begins with a file type box followed by another box."""
    size = read_integer(view, 0, 4)
    if bytes(view[4:8]) != b"ftyp" or not 16 <= size <= 4096 or size % 4:
        return False
    return bytes(view[8:12]) not in _IMAGES and bytes(view[size + 4 : size + 8]) in _BEHIND_FTYP


def measure_mp4(view: memoryview, found: Finding, budget: Budget) -> None:
    """Measures the longest audio track: the samples in its table and in all fragments."""
    movie: _Movie | None = None
    for kind, position, body, whole in boxes(view, budget):
        if kind == b"moov" and movie is None:
            movie = _Movie(body, view, budget)
            found.has_audio = True if movie.tracks else False if whole and movie.is_silent() else None
            found.codec = next((track.codec for track in movie.tracks.values()), None)
            for track in movie.tracks.values():
                add_table_samples(track, track.table, budget)
        elif kind == b"moof" and movie:
            _add_fragments(movie, position, body, budget)
        if movie and any(track.long_enough for track in movie.tracks.values()):
            break
    if movie:
        for track in movie.tracks.values():
            track.flush()
        found.seconds = max((track.seconds(track.priming) for track in movie.tracks.values()), default=None)


class _AudioTrack(Track):
    """A track of a movie box; `priming` in seconds; `default_size` in bytes, of a sample in a fragment."""

    __slots__ = ("default_size", "priming", "table")

    def __init__(self, trak: memoryview, view: memoryview, budget: Budget) -> None:
        self.table = find_box(trak, "mdia/minf/stbl", budget)
        description = find_box(self.table, "stsd", budget)
        kind, _, entry, _ = next(boxes(description[8:], budget), (b"", 0, description[:0], False))
        codec, packets = read_sample_entry(kind, entry, budget)
        super().__init__(codec, packets, view, budget)
        self.default_size = 0
        self.priming = _read_priming(trak, budget)


def _read_priming(trak: memoryview, budget: Budget) -> float:
    """Seconds that the edit list skips at the start (ISO/IEC 14496-12 section 8.6.6).

    Empty edits only delay. Several edits of the media are an arrangement, not priming, and are ignored. A
    client can write anything into the edit's length, so padding at the end stays.
    """
    media = find_box(trak, "mdia/mdhd", budget)
    scale = read_integer(media, 20 if _is_wide(media) else 12, 4)
    body = find_box(trak, "edts/elst", budget)
    width, layout = (20, ">Qq") if _is_wide(body) else (12, ">Ii")
    count = min(read_integer(body, 4, 4), (len(body) - 8) // width, 16)
    starts = [unpack_from(layout, body, 8 + width * index)[1] for index in range(count)]
    starts = [start for start in starts if start >= 0]
    return starts[0] / scale if len(starts) == 1 and scale else 0.0


def _is_wide(body: memoryview) -> bool:
    """Whether a full box is version 1, with 64-bit times."""
    return read_integer(body, 0, 1) == 1


class _Movie:
    """The audio tracks of a movie box, by track id."""

    def __init__(self, moov: memoryview, view: memoryview, budget: Budget) -> None:
        self.tracks: dict[int, _AudioTrack] = {}
        self.nothing = Track(None, None, view, budget)
        self._handlers: list[bytes] = []
        for kind, _, trak, _ in boxes(moov, budget):
            if kind == b"trak":
                budget.spend(20)
                handler = bytes(find_box(trak, "mdia/hdlr", budget)[8:12])
                self._handlers.append(handler)
                if handler == b"soun" and len(self.tracks) < _MAX_TRACKS:
                    header = find_box(trak, "tkhd", budget)
                    number = read_integer(header, 20 if _is_wide(header) else 12, 4)
                    self.tracks.setdefault(number, _AudioTrack(trak, view, budget))
        for kind, _, defaults, _ in boxes(find_box(moov, "mvex", budget), budget):
            track = self.tracks.get(read_integer(defaults, 4, 4))
            if kind == b"trex" and track:
                track.default_size = read_integer(defaults, 16, 4)

    def is_silent(self) -> bool:
        """Whether there are tracks and none of them can be audio."""
        return bool(self._handlers) and all(handler in _NO_AUDIO for handler in self._handlers)


def _add_fragments(movie: _Movie, position: int, moof: memoryview, budget: Budget) -> None:
    """Adds the runs of the movie fragment at `position` (ISO/IEC 14496-12 sections 8.8.4 to 8.8.8)."""
    budget.spend(5)
    data_end = position
    for kind, _, traf, _ in boxes(moof, budget):
        if kind != b"traf":
            continue
        budget.spend(10)
        header = find_box(traf, "tfhd", budget)
        flags = read_integer(header, 1, 3)
        audio = movie.tracks.get(read_integer(header, 4, 4))
        size = audio.default_size if audio else 0
        # Without a base of its own, data starts at the fragment's start, or where the previous track's data
        # ended.
        base = position if flags & 0x020000 else data_end
        at = 8
        if flags & 0x01:
            base = read_integer(header, at, 8)
            at += 8
        at += 4 * (flags >> 1 & 1) + 4 * (flags >> 3 & 1)
        if flags & 0x10:
            size = read_integer(header, at, 4)
        data_end = base
        for child, _, run, _ in boxes(traf, budget):
            if child == b"trun":
                budget.spend(5)
                offset = read_integer(run, 8, 4)
                offset -= offset >> 31 << 32
                start = base + offset if read_integer(run, 1, 3) & 0x001 else data_end
                data_end = add_run_samples(audio or movie.nothing, run, start, size)
