"""`python -m server`: the gateway on this machine, with its own database, on plain HTTP."""

import argparse
import contextlib
import logging
import os
import resource
import secrets
import socket
import sys
from pathlib import Path

from functions import build_openapi
from gateway.settings import request_settings, transcribe_settings, usage_settings
from server import lock, presence
from server.lifeline import end_with_parent
from server.listener import PortInUse, bind, listener_of
from server.origins import Origins
from server.settings import DEFAULTS, HELP, ServerSettings

OPEN_FILES = 4096


def main() -> int:
    """The exit code: 0 after SIGTERM or Ctrl-C, 1 if the server cannot start."""
    arguments = _arguments()
    if arguments.lifeline:
        end_with_parent()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    _allow_files()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # New at each start, and the same for all workers: a request that returns here is recognised by it.
    os.environ.setdefault("GATEWAY_ID", secrets.token_hex(16))
    try:
        settings = ServerSettings.read()
        # The gateway reads these at their first use. Report a wrong value before anything starts.
        for read in (transcribe_settings, request_settings, usage_settings):
            read()
        origins = Origins.read(os.environ)
        return _serve(arguments, settings, origins)
    except (ValueError, PortInUse, lock.InUse) as error:
        return _cannot_start(str(error))
    except OSError as error:
        return _cannot_start(f"{error.filename or 'the system'}: {error.strerror}.")


def _serve(arguments: argparse.Namespace, settings: ServerSettings, origins: Origins) -> int:
    if arguments.worker:
        return _work(arguments, settings, origins, listener_of(arguments.fd))
    descriptor = lock.take(settings.data_dir)
    build_openapi.write_if_outdated()
    listener = bind(settings.port, settings.bind) if arguments.fd is None else listener_of(arguments.fd)
    if arguments.fd is None:
        sys.stderr.write(f"stt-gateway listens on {_url(listener)}; data in {settings.data_dir}\n")
    # A provider at this address would be the gateway itself, whatever PUBLIC_URL says.
    os.environ.setdefault("DOMAIN_NAME", f"localhost:{listener.getsockname()[1]}")
    presence.announce(settings.data_dir, _url(listener), os.environ)
    try:
        return _run(arguments, settings, origins, listener, descriptor)
    finally:
        presence.withdraw(settings.data_dir)


def _run(
    arguments: argparse.Namespace,
    settings: ServerSettings,
    origins: Origins,
    listener: socket.socket,
    descriptor: int,
) -> int:
    if settings.workers == 1:
        return _work(arguments, settings, origins, listener)
    from server.supervisor import Supervisor

    ready = [f"--ready-file={arguments.ready_file}"] if arguments.ready_file else []
    return Supervisor(settings, listener, descriptor, ready).run()


def _url(listener: socket.socket) -> str:
    """Where programs of this machine reach the server."""
    address, port = listener.getsockname()[:2]
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - compared, not bound
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _work(
    arguments: argparse.Namespace, settings: ServerSettings, origins: Origins, listener: socket.socket
) -> int:
    # Imported here: the parent of several workers needs neither the routes nor the stores.
    from server.sqlite.failure import StoreError
    from server.worker import work

    try:
        work(settings, origins, listener, arguments.ready_file)
    except StoreError as error:
        return _cannot_start(str(error))
    return 0


def _allow_files() -> None:
    """Raise this process's limit of open files, which some systems set to 256. A call in progress has two."""
    now, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if maximum == resource.RLIM_INFINITY else min(OPEN_FILES, maximum)
    if now < wanted:
        with contextlib.suppress(OSError):  # a sandbox may forbid it; the server then has what it has
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, maximum))


def _cannot_start(reason: str) -> int:
    sys.stderr.write(f"Cannot start: {reason}\n")
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve the gateway on plain HTTP, with the data of DATA_DIR, until SIGTERM or Ctrl-C.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for_parents = parser.add_argument_group("for a parent process")
    for_parents.add_argument("--fd", type=int, help="a bound socket, inherited, in place of BIND and PORT")
    for_parents.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    for_parents.add_argument("--ready-file", type=Path, help="/healthz answers 503 until this file is there")
    for_parents.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
