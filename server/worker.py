"""One process that serves: it opens the stores, answers requests until it is told to end, and closes the stores."""

import logging
import socket
import sys
import threading
import time
from pathlib import Path

from starlette.types import ASGIApp

from gateway import compose
from gateway.errors import GatewayError
from server import heap, refusals
from server.access_log import AccessLog, Line
from server.app import MAX_AUDIO_CALLS, MAX_CALLS_WITHOUT_KEY, MAX_OTHER_CALLS, Front
from server.listener import serve
from server.metrics import Metrics, serve_on
from server.metrics_route import MetricsRoute
from server.origins import Origins, OwnPagesOnly
from server.places import Places
from server.settings import ServerSettings
from server.sqlite.stores import SqliteStores, open_stores

logger = logging.getLogger(__name__)
SWEEP_SECONDS = 300.0
MEGABYTE = 1024 * 1024


def work(
    settings: ServerSettings, origins: Origins, listener: socket.socket, ready_file: Path | None
) -> None:
    """Serve until SIGTERM or SIGINT. Raises StoreError when the data cannot be opened."""
    heap.keep_freed()
    stores = open_stores(settings.data_dir)
    metrics, log = Metrics(), AccessLog(sys.stdout)
    state = _State(ready_file)
    ended = threading.Event()
    try:
        compose.use(stores, metrics.report)
        compose.transcription()  # reads certificates, which the first caller should not wait for
        sweeper = threading.Thread(target=_sweep, args=(stores, ended), name="sweep", daemon=True)
        sweeper.start()
        if settings.metrics_port is not None and settings.workers == 1:
            serve_on(settings.metrics_port, metrics.registry())
        app = _application(settings, origins, state, metrics, log)
        serve(app, listener, lifespan="off", drain_seconds=settings.drain_seconds, on_drain=state.drain)
        ended.set()
        sweeper.join()
    finally:
        stores.close()
        log.close()


def _application(
    settings: ServerSettings, origins: Origins, state: "_State", metrics: Metrics, log: AccessLog
) -> ASGIApp:
    def note(line: Line) -> None:
        log.add(line)
        metrics.request(line)

    app: ASGIApp = Front(
        identify=lambda key: compose.keys().identify(key, time.time()),
        budget_seconds=settings.budget_seconds,
        refusing=state.refusing,
        is_ready=state.is_ready,
        log=note,
        audio=Places(MAX_AUDIO_CALLS, metrics.in_flight("audio")),
        audio_bytes=Places(settings.max_audio_megabytes * MEGABYTE),
        other=Places(MAX_OTHER_CALLS, metrics.in_flight("other")),
        without_key=Places(MAX_CALLS_WITHOUT_KEY, metrics.in_flight("without_key")),
    )
    if settings.metrics_token:
        app = MetricsRoute(app, settings.metrics_token, metrics.text)
    return OwnPagesOnly(app, origins)


class _State:
    """Whether the server takes requests, and whether all that belongs to it is ready."""

    def __init__(self, ready_file: Path | None) -> None:
        self._ready_file = ready_file
        self._is_draining = False

    def drain(self) -> None:
        self._is_draining = True

    def refusing(self) -> GatewayError | None:
        return refusals.draining() if self._is_draining else None

    def is_ready(self) -> bool:
        if self._ready_file is not None and self._ready_file.exists():
            self._ready_file = None
        return self._ready_file is None


def _sweep(stores: SqliteStores, ended: threading.Event) -> None:
    while not ended.wait(SWEEP_SECONDS):
        heap.give_back()
        try:
            stores.sweep(time.time())
        except Exception as error:
            logger.error("expired data could not be deleted: %s", type(error).__name__)
