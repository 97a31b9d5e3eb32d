"""MP3: reads frame header by frame header (ISO/IEC 11172-3, 13818-3), past tags and damage."""

from struct import Struct

from .limits import BATCH, Budget, occurrences
from .mpeg import KEY_SHIFT, SAME_STREAM, frame_sizes, read_frame
from .result import Finding

_unpack_header = Struct(">I").unpack_from

# Frames in a row that identify an MP3: at the first byte, after an ID3 tag, and after junk, where random bytes
# and other containers match more often. Two are enough if they end where the file ends.
_CHAIN_AT_START, _CHAIN_AFTER_TAG, _CHAIN_AFTER_JUNK = 3, 2, 8
_SYNC = 0x7FF  # eleven bits
_MAX_FREE_FRAME = (
    5760  # bytes between two headers of a free-format stream: 640 kbit/s in MPEG-1 layer III at 16 kHz
)


def skip_id3(view: memoryview, budget: Budget) -> int:
    """The position after all leading ID3v2 tags (ID3v2.4.0 main structure, sections 3.1 and 3.4)."""
    position = 0
    while bytes(view[position : position + 3]) == b"ID3" and position + 10 <= len(view):
        budget.spend(2)
        sizes = view[position + 6 : position + 10].tolist()
        if max(sizes) > 127 or view[position + 3] == 255:
            break
        footer = 10 if view[position + 5] & 0x10 else 0
        position += 10 + (sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]) + footer
    return position


def is_mp3(view: memoryview, position: int, *, tagged: bool) -> bool:
    """Whether `position` starts enough consecutive frames; `tagged`: an ID3 tag ends there."""
    return _is_chain(view, position, _CHAIN_AFTER_TAG if tagged else _CHAIN_AT_START)


def find_mp3(view: memoryview, start: int, end: int, budget: Budget) -> int | None:
    """Where a stream begins after junk, between `start` and `end`."""
    for position in occurrences(view[: end + 1], b"\xff", start):
        budget.spend()
        if _is_chain(view, position, _CHAIN_AFTER_JUNK):
            return position
    return None


def measure_mp3(view: memoryview, start: int, found: Finding, budget: Budget) -> None:
    """Measures the frames from `start` on."""
    first = read_frame(_read_header(view, start))
    found.codec = first.codec if first else None
    found.has_audio = True
    found.seconds = measure_frames(view, start, budget)


def measure_frames(view: memoryview, start: int, budget: Budget) -> float:
    """Seconds of all whole frames from `start` on, less what the encoder's tag says is not recorded."""
    position, previous, frames = start, 0, 0
    seconds = 0.0
    while position + 4 <= len(view) and seconds <= budget.max_seconds:
        budget.spend(8)  # even the shortest run of frames costs this much
        header = _read_header(view, position)
        frame = read_frame(header)
        size = _frame_size(view, position)
        if frame is None or position + size > len(view) or not size:
            position = _resync(view, position + 1, previous, budget)
            continue
        if not previous:
            start = position
        previous = header
        count, position = _count_run(view, position, header, size, budget)
        frames += count
        seconds += count * frame.samples / frame.rate
    return max(0.0, seconds - _unrecorded_seconds(view, start, frames)) if frames else 0.0


def _read_header(view: memoryview, position: int) -> int:
    return int(_unpack_header(view, position)[0]) if position + 4 <= len(view) else 0


def _frame_size(view: memoryview, position: int) -> int:
    """Bytes of the frame at `position`, 0 for none. A free-format frame ends where the next one starts."""
    header = _read_header(view, position)
    frame = read_frame(header)
    if frame is None or frame.size:
        return frame.size if frame else 0
    needle = bytes(view[position : position + 2])
    for at in occurrences(view[: position + _MAX_FREE_FRAME], needle, position + 24):
        if not (_read_header(view, at) ^ header) & (SAME_STREAM | 0xF000):
            return at - position
    return 0


def _count_run(view: memoryview, position: int, header: int, size: int, budget: Budget) -> tuple[int, int]:
    """Number of consecutive whole frames of one stream, and where they end; `size`: of the first."""
    sizes = frame_sizes(header, size)
    last = len(view) - 4
    count = 0
    while position <= last:
        length = sizes.get(_unpack_header(view, position)[0] >> KEY_SHIFT)
        if length is None or position + length > last + 4:
            break
        position += length
        count += 1
        if not count % BATCH:
            budget.spend(BATCH)
            if count * 0.008 > budget.max_seconds:  # no frame is shorter than 576 samples at 72 kHz
                break
    budget.spend(count % BATCH)
    return count, position


def _resync(view: memoryview, position: int, previous: int, budget: Budget) -> int:
    """Where frames continue after tags, damage or junk; the end of the file if they do not.

    One frame of the current stream is enough, as in decoders, so junk between frames cannot hide any.
    """
    for at in occurrences(view, b"\xff", position):
        budget.spend(2)
        header = _read_header(view, at)
        if header >> 21 != _SYNC:
            continue
        if previous and not (header ^ previous) & SAME_STREAM:
            if 0 < _frame_size(view, at) <= len(view) - at:
                return at
        elif _is_chain(view, at, 2):
            return at
    return len(view)


def _is_chain(view: memoryview, position: int, wanted: int) -> bool:
    """Whether `wanted` consistent frames are consecutive, or two that end with the file."""
    first = _read_header(view, position)
    for count in range(wanted):
        header = _read_header(view, position)
        size = 0 if (header ^ first) & SAME_STREAM else _frame_size(view, position)
        if not size:
            return count >= 2 and (position >= len(view) or bytes(view[position : position + 3]) == b"TAG")
        position += size
    return position <= len(view) or wanted > 2


def _unrecorded_seconds(view: memoryview, start: int, count: int) -> float:
    """Seconds of the first frame, if it is the encoder's tag, and of the delay and padding in the tag.

    Xing/Info and VBRI frames are not played (Xing VBR header SDK; mp3-tech.org). Delay and padding are 12 bits
    each, so a false value is small; padding counts only if the last frame that the tag counts is there.
    """
    frame = read_frame(_read_header(view, start))
    if frame is None:
        return 0.0
    tag = bytes(view[start : start + max(frame.size, 200)])
    side_info = (17 if frame.mono else 32) if frame.mpeg1 else (9 if frame.mono else 17)
    at = 4 + side_info
    if tag[36:40] == b"VBRI":
        return frame.samples / frame.rate
    if tag[at : at + 4] not in (b"Xing", b"Info"):
        return 0.0
    flags = int.from_bytes(tag[at + 4 : at + 8], "big")
    frames = int.from_bytes(tag[at + 8 : at + 12], "big") if flags & 1 else 0
    lame = at + 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    samples = frame.samples
    if tag[lame : lame + 4] in (b"LAME", b"Lavf", b"Lavc"):
        delays = int.from_bytes(tag[lame + 21 : lame + 24], "big")
        samples += (delays >> 12) + 529  # a decoder's own delay is 528 samples plus one
        if 0 < frames < count:
            samples += max(0, (delays & 4095) - 529)
    return samples / frame.rate
