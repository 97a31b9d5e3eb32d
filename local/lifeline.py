"""Ends a process when the one that started it is gone, however it went."""

import os
import signal
import sys
import threading


def end_with_parent() -> None:
    """Watches standard input, a pipe whose other end only the parent holds: its end means the parent's."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
