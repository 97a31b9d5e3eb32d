"""Packets of audio in a container's track, measured in batches by their codec's counter."""

from itertools import accumulate

from .limits import BATCH, MAX_TRIM_SECONDS, Budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Packets(Protocol):
        """Counts samples of one codec's packets, which must come in order.

        `rate` is in Hz; `priming` is the samples at the start that the codec says are not played.
        `looped`: each packet costs an interpreter step, so it counts against the budget.
        """

        name: str
        rate: int
        priming: int
        looped: bool

        def count(self, view: memoryview, starts: Sequence[int], sizes: Sequence[int], /) -> int:
            """Samples in the packets that start at `starts`, `sizes` bytes long; none are empty."""
            ...


class Track:
    """One track of the file in `view`; `packets` is None if nothing here can count its codec."""

    __slots__ = ("_budget", "_sizes", "_starts", "_view", "codec", "long_enough", "packets", "samples")

    def __init__(
        self, codec: str | None, packets: "Packets | None", view: memoryview, budget: Budget
    ) -> None:
        self.codec = codec
        self.packets = packets
        self.samples = 0
        self.long_enough = False
        self._view = view
        self._budget = budget
        self._starts: list[int] = []
        self._sizes: list[int] = []

    @property
    def end(self) -> int:
        """Bytes in the file."""
        return len(self._view)

    def add(self, start: int, size: int) -> None:
        """Adds the packet of `size` bytes at `start`, which is within the file."""
        if size > 0 and self.packets:
            self._starts.append(start)
            self._sizes.append(size)
            if len(self._starts) >= BATCH:
                self.flush()

    def add_row(self, start: int, sizes: "Sequence[int]") -> None:
        """Adds consecutive packets from `start` on, up to the end of the file."""
        if start < 0 or not self.packets:
            return
        self._budget.spend(1 + len(sizes) // 16)
        if sizes and min(sizes) > 0 and start + sum(sizes) <= self.end:
            self._starts += accumulate(sizes[:-1], initial=start)
            self._sizes += sizes
            if len(self._starts) >= BATCH:
                self.flush()
            return
        self._budget.spend(len(sizes) // 4)
        for size in sizes:
            if start + size > self.end:
                break
            self.add(start, size)
            start += size

    def flush(self) -> None:
        """Measures what was added."""
        if self.packets and self._starts:
            self._budget.spend(len(self._starts) if self.packets.looped else len(self._starts) // 4)
            self.samples += self.packets.count(self._view, self._starts, self._sizes)
            self.long_enough = self.seconds() > self._budget.max_seconds
            self._starts.clear()
            self._sizes.clear()

    def seconds(self, before: float = 0.0, after: float = 0.0) -> float:
        """Seconds flushed so far, less what the container says is not played, if plausible."""
        if self.packets is None or not self.packets.rate:
            return 0.0
        before = before if before <= MAX_TRIM_SECONDS else 0.0
        before = max(before, self.packets.priming / self.packets.rate)
        after = after if after <= MAX_TRIM_SECONDS else 0.0
        return max(0.0, self.samples / self.packets.rate - before - after)
