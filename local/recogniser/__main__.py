"""`python -m local.recogniser --port N`: the recogniser as a server of its own."""

import argparse

from local.lifeline import end_with_parent
from local.recogniser.app import new_app
from server.listener import add_arguments, listener_of, serve
from server.origins import Origins, OwnPagesOnly
from server.worker_process import preload


def main() -> None:
    """Serves on 127.0.0.1 until stopped."""
    parser = argparse.ArgumentParser(prog="local.recogniser", description=__doc__)
    add_arguments(parser, port=8080)
    parser.add_argument("--workers", type=int, default=None, help="one for each core if not given")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    preload(["local.recogniser.speech"])
    serve(OwnPagesOnly(new_app(arguments.workers), Origins()), listener_of(arguments))


if __name__ == "__main__":
    main()
