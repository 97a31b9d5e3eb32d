"""An HTTP proxy in front of the embedded AWS that never answers the requests that it is told to hold."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# The headers and the body of a request: whether it is never answered.
Holds = Callable[[str, bytes], bool]


class HangingProxy:
    """Hands requests on to `endpoint`, and keeps silent on those that `holds` picks."""

    def __init__(self, endpoint: str) -> None:
        self.upstream = urlsplit(endpoint).netloc
        self.holds: Holds = lambda headers, body: False
        self.held = 0
        self.ended = threading.Event()


@contextmanager
def hanging_proxy(endpoint: str) -> Iterator[tuple[str, HangingProxy]]:
    """The proxy's address, and the proxy."""
    proxy = HangingProxy(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if proxy.holds(f"{self.command} {self.path}\n{self.headers}", body):
                proxy.held += 1
                proxy.ended.wait(60)
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(proxy.upstream, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (
                    "transfer-encoding",
                    "content-length",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
