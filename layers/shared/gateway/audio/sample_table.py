"""Locates the samples of an MP4 track: chunk tables and fragment runs (ISO/IEC 14496-12 8.7, 8.8)."""

from struct import unpack_from

from .boxes import find_box, read_integer
from .limits import BATCH, Budget
from .packets import Track
from .pcm import PcmBytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def add_table_samples(track: Track, table: memoryview, budget: Budget) -> None:
    """Adds the samples of a sample table box (`stbl`) until they are long enough."""
    sizes = find_box(table, "stsz", budget)
    equal, total = read_integer(sizes, 4, 4), read_integer(sizes, 8, 4)
    if not equal:
        total = min(total, (len(sizes) - 12) // 4)
    index = 0
    for start, in_chunk in _chunks(track, table, budget):
        samples = min(in_chunk, total - index)
        if samples <= 0 or track.packets is None or track.long_enough:
            break
        if equal:
            _add_equal(track, start, samples, equal)
        else:
            _add_rows(track, start, _rows(sizes[12 + 4 * index :], samples))
        index += samples


def _chunks(track: Track, table: memoryview, budget: Budget) -> "Iterator[tuple[int, int]]":
    """File position and number of samples of each chunk (`stsc` with `stco` or `co64`)."""
    runs = find_box(table, "stsc", budget)
    offsets, width, layout = find_box(table, "stco", budget), 4, ">I"
    if not offsets:
        offsets, width, layout = find_box(table, "co64", budget), 8, ">Q"
    run, run_count = 0, min(read_integer(runs, 4, 4), (len(runs) - 8) // 12)
    next_run, samples = 1, 0
    for chunk in range(min(read_integer(offsets, 4, 4), (len(offsets) - 8) // width)):
        while run < run_count and chunk + 1 >= next_run:
            budget.spend()
            _, samples, description = unpack_from(">III", runs, 8 + 12 * run)
            run += 1
            next_run = unpack_from(">I", runs, 8 + 12 * run)[0] if run < run_count else 1 << 32
            if description != 1:
                track.packets = None  # unread codec or rate: do not count it as the first
        budget.spend()
        yield unpack_from(layout, offsets, 8 + width * chunk)[0], samples


def add_run_samples(track: Track, run: memoryview, start: int, size: int) -> int:
    """Adds the samples of a track run box (`trun`) whose data starts at `start`; returns where the data ends.

    `size` is the size of each sample if the run does not give sizes.
    """
    flags, samples = read_integer(run, 1, 3), read_integer(run, 4, 4)
    if not flags & 0x200:
        if size:
            _add_equal(track, start, samples, size)
        return start + samples * size
    fields = 8 + (4 if flags & 0x001 else 0) + (4 if flags & 0x004 else 0)
    columns = (flags >> 8 & 15).bit_count()
    samples = min(samples, max(0, len(run) - fields) // (4 * columns))
    return _add_rows(track, start, _rows(run[fields:], samples, columns, 1 if flags & 0x100 else 0))


def _rows(table: memoryview, samples: int, columns: int = 1, column: int = 0) -> "Iterator[tuple[int, ...]]":
    """One column of a table of 32-bit numbers, in batches."""
    for first in range(0, samples, BATCH):
        batch = min(samples - first, BATCH)
        yield unpack_from(f">{batch * columns}I", table, 4 * first * columns)[column::columns]


def _add_rows(track: Track, start: int, rows: "Iterator[tuple[int, ...]]") -> int:
    """Adds consecutive samples from `start` on; returns where they end."""
    for sizes in rows:
        track.add_row(start, sizes)
        start += sum(sizes)
    return start


def _add_equal(track: Track, start: int, count: int, size: int) -> None:
    """Adds `count` samples of `size` bytes each, up to the end of the file."""
    if isinstance(track.packets, PcmBytes):
        # A sample is one frame. QuickTime always gives its size as 1.
        size = track.packets.frame_bytes if size == 1 else size
        track.add(start, min(count * size, track.end - start))
        return
    count = min(count, max(0, track.end - start) // size)
    while count > 0 and not track.long_enough:
        batch = min(count, BATCH)
        track.add_row(start, [size] * batch)
        start += batch * size
        count -= batch
