"""A real TLS server that misbehaves on request: the first segment of a request's path names the fault.

    with MisbehavingServer(trustme.CA()) as server:
        client.transcribe(server.url("drip-body"), ...)

Every fault is a base URL, so that each can also be declared as a provider of a whole gateway. What arrives is
recorded in `server.requests`. It listens on 127.0.0.1 only, one thread for each connection.
"""

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Self

import trustme

from tests.faults import FAULTS, Exchange, Received

NAMES = ("127.0.0.1", "localhost", "provider.test")
# Faults that begin before a request can be read have a port of their own.
OWN_PORT = (
    "refuse",
    "no-handshake",
    "drip-handshake",
    "hang-up-in-handshake",
    "plain-http",
    "wrong-certificate",
    "expired-certificate",
    "hostname-mismatch",
    "slow-reader",
)


class MisbehavingServer:
    """The server; `url(fault)` is a base URL for any of FAULTS and OWN_PORT."""

    def __init__(self, ca: trustme.CA, *, tls: bool = True) -> None:
        self.requests: list[Received] = []
        self.stopping = threading.Event()
        self._ca = ca
        self._tls = tls
        self._listeners: dict[str, socket.socket] = {}
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen on free ports of 127.0.0.1."""
        good = self._context(self._ca.issue_cert(*NAMES)) if self._tls else None
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        issued = past - datetime.timedelta(days=30)
        self._listen("", good)
        self._listen("slow-reader", good, receive_buffer=4096)
        for fault in ("no-handshake", "drip-handshake", "hang-up-in-handshake", "plain-http"):
            self._listen(fault, None)
        self._listen("wrong-certificate", self._context(trustme.CA().issue_cert(*NAMES)))
        self._listen(
            "expired-certificate",
            self._context(self._ca.issue_cert(*NAMES, not_before=issued, not_after=past)),
        )
        self._listen("hostname-mismatch", self._context(self._ca.issue_cert("other.test")))
        # A bound socket that does not listen refuses connections, and keeps its port.
        self._listeners["refuse"] = socket.socket()
        self._listeners["refuse"].bind(("127.0.0.1", 0))
        return self

    def stop(self) -> None:
        """Close every socket and wait for the threads."""
        self.stopping.set()
        for sock in [*self._listeners.values(), *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def url(self, fault: str, host: str = "127.0.0.1") -> str:
        """The base URL under which the fault happens."""
        if fault not in FAULTS and fault not in OWN_PORT:
            raise KeyError(fault)
        scheme = "https" if self._tls or fault not in FAULTS else "http"
        return f"{scheme}://{host}:{self.port(fault)}/{fault}/v1"

    def port(self, fault: str = "") -> int:
        """The port on which the fault happens."""
        listener = self._listeners.get(fault) or self._listeners[""]
        port: int = listener.getsockname()[1]
        return port

    def received(self, fault: str) -> list[Received]:
        """The requests for this fault so far."""
        return [request for request in self.requests if request.fault == fault]

    def _context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)

        def remember(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            sock.server_name_seen = name  # type: ignore[attr-defined]

        context.sni_callback = remember
        return context

    def _listen(
        self, fault: str, context: ssl.SSLContext | None, *, receive_buffer: int | None = None
    ) -> None:
        listener = socket.socket()
        if receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        self._listeners[fault] = listener
        self._run(self._accept, listener, fault, context)

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, fault: str, context: ssl.SSLContext | None) -> None:
        with contextlib.suppress(OSError):
            while not self.stopping.is_set():
                sock, _ = listener.accept()
                self._run(self._serve, sock, fault, context)

    def _serve(self, sock: socket.socket, fault: str, context: ssl.SSLContext | None) -> None:
        self._open.add(sock)
        # Whatever the peer does to the connection is its right.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if fault in _BEFORE_TLS:
                _BEFORE_TLS[fault](self, sock)
            else:
                if context is not None:
                    sock = context.wrap_socket(sock, server_side=True)
                    self._open.add(sock)
                self._exchange_all(sock)
        self._open.discard(sock)
        sock.close()

    def _exchange_all(self, sock: socket.socket) -> None:
        exchange = Exchange(sock, self.requests, self.stopping)
        while exchange.read_head() and FAULTS[exchange.received.fault](exchange):
            pass


def _no_handshake(server: MisbehavingServer, _: socket.socket) -> None:
    server.stopping.wait(600)


def _drip_handshake(server: MisbehavingServer, sock: socket.socket) -> None:
    sock.sendall(b"\x16\x03\x03\x40\x00")  # the header of a 16 KiB handshake record
    while not server.stopping.wait(0.2):
        sock.sendall(b"\x02")


def _hang_up(_: MisbehavingServer, sock: socket.socket) -> None:
    sock.recv(65536)


def _plain_http(_: MisbehavingServer, sock: socket.socket) -> None:
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    time.sleep(0.05)


_BEFORE_TLS: dict[str, Callable[[MisbehavingServer, socket.socket], None]] = {
    "no-handshake": _no_handshake,
    "drip-handshake": _drip_handshake,
    "hang-up-in-handshake": _hang_up,
    "plain-http": _plain_http,
}
