"""`python -m local.recogniser --port N`: the recogniser as a server of its own."""

import argparse

from local.recogniser.app import new_app
from local.recogniser.process import preload
from server.lifeline import end_with_parent
from server.listener import bind, listener_of, serve
from server.origins import Origins, OwnPagesOnly


def main() -> None:
    """Serves on 127.0.0.1 until stopped."""
    parser = argparse.ArgumentParser(prog="local.recogniser", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--fd", type=int, help="a bound socket, inherited, in place of --port")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    parser.add_argument("--workers", type=int, default=None, help="one for each core if not given")
    arguments = parser.parse_args()
    if arguments.lifeline:
        end_with_parent()
    listener = bind(arguments.port) if arguments.fd is None else listener_of(arguments.fd)
    preload(["local.recogniser.speech"])
    serve(OwnPagesOnly(new_app(arguments.workers), Origins()), listener)


if __name__ == "__main__":
    main()
