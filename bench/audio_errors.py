"""Prints how far the audio prober differs from a full decode, for every sample of known duration."""

import sys

from gateway.audio import probe
from tests.unit.audio import corpus
from tests.unit.audio.recordings import decoded_seconds


def main() -> int:
    """Prints a row per sample: the manifest's full decode, libavcodec's on this machine, ours, its error."""
    entries = corpus.entries()
    if not entries:
        print(f"no samples in {corpus.FOLDER}", file=sys.stderr)
        return 1
    print("| sample | decoded, s | decoded by PyAV, s | measured, s | error, ms |\n|---|---|---|---|---|")
    for entry in entries:
        data = corpus.read(entry["file"])
        audio = probe(data)
        truth = entry["seconds_truth"]
        known = truth is not None and audio.seconds is not None
        error = f"{1000 * (audio.seconds - truth):.1f}".replace("-0.0", "0.0") if known else ""
        columns = [truth, decoded_seconds(data), audio.seconds]
        print(f"| {' | '.join([entry['file'], *map(_seconds, columns), error])} |")
    return 0


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    sys.exit(main())
