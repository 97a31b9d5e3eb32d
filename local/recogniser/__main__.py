"""`python -m local.recogniser --port N`: the recogniser as a server of its own."""

import argparse

from local.lifeline import end_with_parent
from local.recogniser.app import new_app
from server.listener import bind, serve
from server.worker_process import preload


def main() -> None:
    """Serves on 127.0.0.1 until it is told to stop."""
    parser = argparse.ArgumentParser(prog="local.recogniser", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=None, help="one for each core if not given")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    preload(["local.recogniser.speech"])
    serve(new_app(arguments.workers), bind(arguments.port))


if __name__ == "__main__":
    main()
