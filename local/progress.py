"""Says what the local run is doing, until it is ready."""

import sys
from typing import TextIO


class Progress:
    """One line that changes on a terminal; a line for each step elsewhere."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._output = output
        self._changes = output.isatty()

    def say(self, step: str) -> None:
        """Show the step that begins."""
        self._output.write(f"\r\033[K{step} ..." if self._changes else f"{step} ...\n")
        self._output.flush()

    def end(self) -> None:
        """Make room for what comes next."""
        if self._changes:
            self._output.write("\r\033[K")
            self._output.flush()
