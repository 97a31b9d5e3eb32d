"""Send one transcription request to one provider: the only outbound HTTP of the project."""

import queue
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.providers import addresses
from gateway.providers.addresses import BaseUrl
from gateway.upstream.connection import Connection, Deadline, FailureKind, Peer, ProviderError, dial
from gateway.upstream.response import Answer, read_answer

__all__ = ["Answer", "FailureKind", "ProviderClient", "ProviderError"]

USER_AGENT = "stt-gateway/0.1.0"
_IDLE_SECONDS = 60.0
# As many as one process has transcriptions in flight.
_IDLE_CONNECTIONS = 96
# How browsers escape names in form data (WHATWG HTML, multipart/form-data encoding algorithm).
_NAME_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})

Resolver = Callable[..., Sequence[tuple[Any, ...]]]


class ProviderClient:
    """Sends audio to providers over checked, pinned and verified connections, and keeps them warm.

    Ignores proxies and netrc from the environment. Does not follow redirects: they are ordinary answers.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        allow_private: bool = False,
        ca_bundle: str | None = None,
        connect_seconds: float = 3.0,
        answer_bytes: int = 5 * 1024 * 1024,
        resolve: Resolver = socket.getaddrinfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ca_bundle` is a PEM file of roots to trust besides the system's. Raises OSError if it is unreadable."""
        self._allow_private = allow_private
        self._connect_seconds = connect_seconds
        self._answer_bytes = answer_bytes
        self._resolve = resolve
        self._clock = clock
        self._context = tls_context(ca_bundle)
        self._idle: list[tuple[tuple[str, str, int], Connection]] = []
        self._lock = threading.Lock()

    def transcribe(  # noqa: PLR0913
        self,
        base_url: str,
        *,
        fields: Sequence[tuple[str, str]],
        audio: memoryview | bytes,
        filename: str,
        content_type: str,
        api_key: str | None,
        deadline: float,
        via: Sequence[str] = (),
    ) -> Answer:
        """POST the audio to `<base_url>/audio/transcriptions`. Any HTTP status is an answer, including 3xx.

        `via` are the ids of the gateways that the request passed through, this one last. `deadline`, in seconds on
        the client's clock, covers DNS, connecting, sending and reading the whole answer. Raises ProviderError.
        """
        whole = Deadline(deadline, self._clock)
        audio = memoryview(audio).cast("B")
        reason = addresses.refusal(base_url, allow_private=self._allow_private)
        if reason is not None:
            raise ProviderError("address_refused", reason)
        base = addresses.parse(base_url)
        before, after = _form(fields, filename, content_type, boundary := secrets.token_hex(16))
        head = _head(base, boundary, len(before) + len(audio) + len(after), api_key, via)
        segments = (head + before, audio, after)

        opening = whole.within(self._connect_seconds, "connecting")
        peers = self._checked_peers(base, opening)
        connection = self._take_idle(base, peers)
        if connection is not None:
            # The peer may be closing the idle connection: it closes without a byte of an answer, or sends a 408.
            # It did not handle the request, so send it again on a new connection.
            try:
                answer = self._exchange(base, connection, segments, whole)
                if answer.status != 408:
                    return answer
            except ProviderError as failure:
                if failure.kind != "reset" or connection.received:
                    raise
            opening = whole.within(self._connect_seconds, "connecting")
        context = self._context if base.scheme == "https" else None
        connection = dial(peers, host=base.host, context=context, deadline=opening)
        return self._exchange(base, connection, segments, whole)

    def close(self) -> None:
        """Close the idle connections. The client stays usable (for SnapStart's restore)."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _exchange(
        self,
        base: BaseUrl,
        connection: Connection,
        segments: Sequence[bytes | memoryview],
        deadline: Deadline,
    ) -> Answer:
        reusable = False
        try:
            complete = connection.send(segments, deadline)
            answer, reusable = read_answer(connection, deadline, self._answer_bytes)
            reusable = reusable and complete
        finally:
            if reusable:
                self._keep(base, connection)
            else:
                connection.close()
        return answer

    def _checked_peers(self, base: BaseUrl, deadline: Deadline) -> list[Peer]:
        """Resolve the host once and check that all addresses are public, unless private ones are allowed."""
        if base.address is not None:  # refusal() has checked it
            family = socket.AF_INET6 if ":" in base.address else socket.AF_INET
            return [Peer(family, (base.address, base.port))]
        found = self._resolved(base, deadline)
        peers = [Peer(entry[0], entry[4]) for entry in found if entry[0] in {socket.AF_INET, socket.AF_INET6}]
        if not peers:
            raise ProviderError("dns", "the host name has no address")
        if not self._allow_private:
            refused = next((peer.address for peer in peers if not addresses.is_public(peer.address)), None)
            if refused is not None:
                raise ProviderError(
                    "address_refused", f"{base.host} has the address {refused}, which is not public"
                )
        return list(dict.fromkeys(peers))

    def _resolved(self, base: BaseUrl, deadline: Deadline) -> Sequence[tuple[Any, ...]]:
        """Resolve the host in a thread, because getaddrinfo has no timeout."""
        outcome: queue.SimpleQueue[Sequence[tuple[Any, ...]] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                outcome.put(self._resolve(base.host, base.port, type=socket.SOCK_STREAM))
            except Exception as error:
                outcome.put(error)

        threading.Thread(target=look_up, name="resolve", daemon=True).start()
        try:
            found = outcome.get(timeout=deadline.left())
        except queue.Empty:
            raise ProviderError("timeout", "the host name was not resolved in time") from None
        if isinstance(found, OSError | UnicodeError):
            raise ProviderError("dns", "the host name cannot be resolved") from None
        if isinstance(found, Exception):
            raise found
        return found

    def _take_idle(self, base: BaseUrl, peers: Sequence[Peer]) -> Connection | None:
        """Take a warm connection to one of the addresses that this call has checked, if there is one."""
        key = (base.scheme, base.host, base.port)
        checked = {peer.address for peer in peers}
        while True:
            with self._lock:
                position = next((i for i, (owner, _) in enumerate(self._idle) if owner == key), None)
                if position is None:
                    return None
                connection = self._idle.pop(position)[1]
            # Use the wall clock: a monotonic one may stop while a Lambda environment is frozen.
            age = abs(time.time() - connection.idle_since)
            if connection.address in checked and age <= _IDLE_SECONDS and not connection.is_stale():
                return connection
            connection.close()

    def _keep(self, base: BaseUrl, connection: Connection) -> None:
        connection.idle_since = time.time()
        with self._lock:
            self._idle.insert(0, ((base.scheme, base.host, base.port), connection))
            surplus, self._idle = self._idle[_IDLE_CONNECTIONS:], self._idle[:_IDLE_CONNECTIONS]
        for _, old in surplus:
            old.close()


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Verify against the system's roots (certifi's if there are none) and those in `ca_bundle`."""
    context = ssl.create_default_context()
    # Use the same rules on every Python. By default, 3.13 and later refuse the roots that `openssl req -x509` makes
    # (they have no key usage) and accept a bundle with an intermediate or the server's own certificate.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    if not _has_roots(context):
        import certifi  # rarely needed; loads 200 KB of PEM

        context.load_verify_locations(certifi.where())
    if ca_bundle is not None:
        context.load_verify_locations(ca_bundle)
    return context


def _has_roots(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509_ca"]:
        return True
    # OpenSSL reads a directory of hashed certificates only during a handshake; until then it counts as 0.
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).glob("*.[0-9]"))


def _form(
    fields: Sequence[tuple[str, str]], filename: str, content_type: str, boundary: str
) -> tuple[bytes, bytes]:
    """Build the bytes before and after the audio in the form."""
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n{value}\r\n'
        for name, value in fields
    ]
    if not _is_header_text(content_type):
        raise ValueError("content_type must be printable ASCII")
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_escaped(filename)}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return "".join(lines).encode("utf-8", "replace"), f"\r\n--{boundary}--\r\n".encode()


def _head(base: BaseUrl, boundary: str, length: int, api_key: str | None, via: Sequence[str]) -> bytes:
    if api_key is not None and not _is_header_text(api_key):
        raise ProviderError("protocol", "the provider's api_key has characters that no header can carry")
    authorization = "" if api_key is None else f"Authorization: Bearer {api_key}\r\n"
    # Proxies detect loops by `Via` (RFC 9110, section 7.6.3). Our own header survives those that rewrite `Via`.
    passed = f"Via: 1.1 {via[-1]}\r\nx-stt-gateway-via: {', '.join(via)}\r\n" if via else ""
    return (
        f"POST {base.path}/audio/transcriptions HTTP/1.1\r\n"
        f"Host: {base.authority}\r\n"
        f"{authorization}"
        f"{passed}"
        f"User-Agent: {USER_AGENT}\r\n"
        "Accept: application/json\r\n"
        "Accept-Encoding: identity\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode("ascii")


def _escaped(name: str) -> str:
    return name.translate(_NAME_ESCAPES)


def _is_header_text(text: str) -> bool:
    return all(" " <= character <= "~" for character in text)
