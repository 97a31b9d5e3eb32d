"""Ends a process when its parent ends for any reason."""

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """Watches standard input, a pipe that only the parent holds open: it closes when the parent ends."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
