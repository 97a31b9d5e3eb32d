"""Measures what sending audio to a provider costs: `python -m bench.provider_client`.

Compares the client's own segments with a bare socket and with requests-toolbelt's MultipartEncoder, and TLS
with plain. Also measures the cost of a dead deployment and of a first connection. The peer is another process
on 127.0.0.1 that reads and answers.
"""

import multiprocessing
import multiprocessing.connection
import selectors
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests
import trustme
from requests_toolbelt import MultipartEncoder

from gateway.upstream.client import ProviderClient, ProviderError

SIZES = {"100 KB": 100_000, "4 MB": 4_000_000, "25 MB": 25_000_000}
FIELDS = [("model", "whisper-1"), ("language", "en"), ("response_format", "json")]
ANSWER = b'{"text": "one two three"}'


def main() -> None:
    """Print one table and four figures."""
    with tempfile.TemporaryDirectory() as folder:
        ca = trustme.CA()
        roots, chain = Path(folder, "roots.pem"), Path(folder, "chain.pem")
        ca.cert_pem.write_to_path(str(roots))
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(chain))
        ports = {"http": start_sink(None), "https": start_sink(str(chain))}
        print("one POST over a warm connection, median ms\n")
        print(f"{'audio':8}{'':8}{'bare socket':>12}{'segments':>12}{'toolbelt':>12}")
        medians: dict[tuple[str, str], list[float]] = {}
        for name, size in SIZES.items():
            for scheme, port in ports.items():
                medians[scheme, name] = compare(scheme, port, bytes(size), str(roots))
                print(f"{name:8}{scheme:8}" + "".join(f"{value:12.2f}" for value in medians[scheme, name]))
        bare, own = (medians["https", "4 MB"][i] / medians["http", "4 MB"][i] for i in (0, 1))
        print(f"\nTLS / plain at 4 MB: bare socket {bare:.1f}, segments {own:.1f}")
        print(f"dead deployment (connection refused), ms   {dead_deployment():8.2f}   goal: under 20")
        print(
            f"first connection with TLS, 100 KB, ms      {first_connection(ports['https'], str(roots)):8.2f}"
        )
        print(f"making the client (reads the roots), ms    {median(20, ProviderClient):8.2f}")


def compare(scheme: str, port: int, audio: bytes, roots: str) -> list[float]:
    """Median milliseconds of one POST: a bare socket, the client's segments, requests with toolbelt."""
    url = f"{scheme}://127.0.0.1:{port}/v1"
    client = ProviderClient(allow_private=True, ca_bundle=roots)
    session = requests.Session()
    session.trust_env = False
    session.verify = roots
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "https":
        sock = ssl.create_default_context(cafile=roots).wrap_socket(sock, server_hostname="127.0.0.1")

    def bare() -> None:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(audio))
        sock.sendall(audio)
        assert sock.recv(65536).endswith(ANSWER)

    def segments() -> None:
        post(client, url, audio)

    def toolbelt() -> None:
        form = MultipartEncoder([*FIELDS, ("file", ("audio.wav", audio, "audio/wav"))])
        headers = {"Content-Type": form.content_type}
        answer = session.post(f"{url}/audio/transcriptions", data=form, headers=headers, timeout=30)
        assert answer.content == ANSWER

    ways = (bare, segments, toolbelt)
    rounds = 100 if len(audio) < 1_000_000 else 40
    # alternate, so that other load affects all equally; the first round opens the connections
    times = [[milliseconds(way) for way in ways] for _ in range(rounds + 1)][1:]
    client.close()
    session.close()
    sock.close()
    return [statistics.median(column) for column in zip(*times, strict=True)]


def post(client: ProviderClient, url: str, audio: bytes) -> None:
    """Send one transcription."""
    answer = client.transcribe(
        url,
        fields=FIELDS,
        audio=audio,
        filename="audio.wav",
        content_type="audio/wav",
        api_key=None,
        deadline=time.monotonic() + 30,
    )
    assert answer.body == ANSWER


def dead_deployment() -> float:
    """Median milliseconds until a refused connection is reported, including the name lookup."""
    client = ProviderClient(allow_private=True)
    with socket.socket() as bound:  # bound but not listening: refuses
        bound.bind(("127.0.0.1", 0))
        url = f"https://localhost:{bound.getsockname()[1]}/v1"

        def attempt() -> None:
            try:
                post(client, url, bytes(4_000_000))
            except ProviderError as failure:
                assert failure.kind == "connect"

        return median(100, attempt)


def first_connection(port: int, roots: str) -> float:
    """Median milliseconds of a 100 KB POST that opens its connection."""
    client = ProviderClient(allow_private=True, ca_bundle=roots)

    def attempt() -> None:
        client.close()
        post(client, f"https://127.0.0.1:{port}/v1", bytes(SIZES["100 KB"]))

    return median(50, attempt)


def median(rounds: int, action: Callable[[], object]) -> float:
    """The action's median milliseconds."""
    return statistics.median(milliseconds(action) for _ in range(rounds))


def milliseconds(action: Callable[[], object]) -> float:
    """The action's duration."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def start_sink(chain: str | None) -> int:
    """Start the process that reads every request and answers it; returns its port."""
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=sink, args=(theirs, chain), daemon=True).start()
    port: int = ours.recv()
    return port


def sink(pipe: multiprocessing.connection.Connection, chain: str | None) -> None:
    """Serve connections one at a time."""
    context = None
    if chain is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    pipe.send(listener.getsockname()[1])
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock is listener:
                sock, _ = listener.accept()
                if context is not None:
                    sock = context.wrap_socket(sock, server_side=True)
                selector.register(sock, selectors.EVENT_READ)
            elif not answer_one(sock):
                selector.unregister(sock)
                sock.close()


def answer_one(sock: socket.socket) -> bool:
    """Read one request and answer it; False at the end of the connection."""
    buffer = bytearray()
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        data = sock.recv(65536)
        if not data:
            return False
        buffer += data
    head = bytes(buffer[:end]).lower()
    left = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) - (len(buffer) - end - 4)
    scratch = bytearray(262_144)
    while left > 0:
        left -= sock.recv_into(scratch, min(left, len(scratch)))
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
    return True


if __name__ == "__main__":
    main()
