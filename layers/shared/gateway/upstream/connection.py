"""A TCP or TLS connection to a provider whose waits all end at the deadline."""

import errno
import math
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FailureKind = Literal[
    "address_refused",  # the URL, or an address its host has, may not be dialled
    "dns",  # the host name has no address
    "connect",  # no address accepted a TCP connection
    "tls",  # the handshake failed: certificate, name, protocol, or the peer closed during it
    "timeout",  # connecting took longer than allowed, or the deadline passed
    "reset",  # the connection ended before the answer was complete
    "oversized",  # the answer is larger than allowed, compressed or not
    "protocol",  # the answer is not HTTP, or the request cannot be expressed in HTTP
    "encoding",  # the answer's content encoding is unknown, or its body is damaged
]

# A provider that loses power does not close its connection. Probes detect this within 40 s, and keep the address
# translations of home routers alive during a long transcription.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
_RECEIVE_BYTES = 64 * 1024
_MIN_CONNECT_SECONDS = 1.0  # for one address when there are several; one SYN is repeated after 1 s


class ProviderError(Exception):
    """The provider sent no usable answer. `kind` is for metrics and routing, the text only for the log."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: FailureKind = kind


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline on a clock, in seconds, and the activity that it limits."""

    at: float
    clock: Callable[[], float]
    doing: str = "sending the request and reading the answer"

    def left(self) -> float:
        """Seconds left, more than 0. Raises ProviderError `timeout` when none are left."""
        seconds = self.at - self.clock()
        if seconds <= 0:
            raise ProviderError("timeout", f"time ran out while {self.doing}")
        return seconds

    def within(self, seconds: float, doing: str) -> "Deadline":
        """The deadline of a step of at most `seconds` from now."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock, doing)


@dataclass(frozen=True, slots=True)
class Peer:
    """One checked address of a provider, as `getaddrinfo` returned it."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def address(self) -> str:
        """The IP address as text."""
        return str(self.sockaddr[0])


class Connection:
    """An open connection: sends requests and receives answers until a deadline.

    The socket never blocks. Every wait is a poll for the time left, so a peer that reads slowly or sends one byte
    per second cannot hold a call past its deadline.
    """

    def __init__(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        self.address = address
        self.idle_since = time.time()
        self.received = 0
        self._sock = sock
        self._early = bytearray()

    def close(self) -> None:
        """Close at once, without waiting for an answer under way."""
        self._sock.close()

    def is_stale(self) -> bool:
        """Whether an idle connection is unusable: closed, or with unexpected data to read."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        return self._poll(select.POLLIN, 0) != 0

    def send(self, segments: Iterable[bytes | memoryview], deadline: Deadline) -> bool:
        """Send the segments without copying them; False if the peer ended the request early.

        Sending fails when a peer answers early, with 413 or 401, and closes. This is not an error here: the caller
        then reads that answer, and reading reports a reset if there is none.
        """
        self.received = 0
        watched = select.POLLIN | select.POLLOUT
        for segment in segments:
            rest = memoryview(segment)
            while rest:
                try:
                    rest = rest[self._sock.send(rest) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    if self._wait(watched, deadline) & select.POLLIN:
                        verdict = self._early_status()
                        if verdict in {"3", "4", "5", "closed"}:
                            return False
                        if verdict:  # an interim or successful answer: keep sending and read it later
                            watched = select.POLLOUT
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN, deadline)
                except OSError:
                    return False
        return True

    def receive(self, deadline: Deadline) -> bytes:
        """Receive at least one byte, or none at the end of the stream."""
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            return early
        while True:
            deadline.left()
            try:
                data = self._sock.recv(_RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                raise ProviderError("reset", _reason(error)) from None
            else:
                self.received += len(data)
                return data

    def _early_status(self) -> str:
        """The first digit of an early answer's status, "closed", or "" if there is no answer yet."""
        try:
            data = self._sock.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return ""  # a TLS session ticket, not data
        except OSError:
            return "closed"
        if not data:
            return "closed"
        self.received += len(data)
        self._early += data
        return self._early[9:10].decode("latin-1")  # "HTTP/1.1 413": the tenth character

    def _wait(self, events: int, deadline: Deadline) -> int:
        while not (ready := self._poll(events, deadline.left())):
            pass
        return ready

    def _poll(self, events: int, seconds: float) -> int:
        poll = select.poll()
        poll.register(self._sock, events)
        ready = poll.poll(math.ceil(seconds * 1000))
        return ready[0][1] if ready else 0


def dial(
    peers: Sequence[Peer], *, host: str, context: ssl.SSLContext | None, deadline: Deadline
) -> Connection:
    """Connect to the first address that accepts, with TLS for `host` if `context` is given."""
    sock, peer = _connect(peers, deadline)
    if context is None:
        return Connection(sock, peer.address)
    try:
        secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        sock.close()
        raise ProviderError("tls", _reason(error)) from None
    try:
        secure.settimeout(deadline.left())
        secure.do_handshake()  # its timeout covers the whole handshake, not each read
    except ProviderError:
        secure.close()
        raise
    except TimeoutError:
        secure.close()
        raise ProviderError("timeout", "the TLS handshake took too long") from None
    except (OSError, ValueError) as error:
        secure.close()
        raise ProviderError("tls", _reason(error)) from None
    return Connection(secure, peer.address)


def _connect(peers: Sequence[Peer], deadline: Deadline) -> tuple[socket.socket, Peer]:
    failure: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for position, peer in enumerate(peers):
        left = deadline.left()
        share = min(left, max(left / (len(peers) - position), _MIN_CONNECT_SECONDS))
        try:
            sock = socket.socket(peer.family, socket.SOCK_STREAM)
        except OSError as error:  # this machine does not support the address family
            failure = error
            continue
        try:
            sock.settimeout(share)
            sock.connect(peer.sockaddr)
            _set_options(sock)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock, peer
    if isinstance(failure, TimeoutError):
        raise ProviderError("timeout", "connecting took too long")
    raise ProviderError("connect", _reason(failure))


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS has other names
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _reason(error: Exception) -> str:
    """A short text without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
