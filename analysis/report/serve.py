"""The report in a browser while its sweep runs: one page on a local port, kept up to date.

    /<token>/           the page, with a script that keeps it up to date
    /<token>/version    number of the latest version, and "running" or "ended"
    /<token>/update     the latest version without plotly's code, which the page has already

Whoever does not know the token gets nothing; nothing but the page can be had.
"""

import hmac
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import plotly.offline

from analysis.results import ResultsError

LOOPBACK = "127.0.0.1"
_POLICY = "default-src 'none';"
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LivePage:
    """The page as it stands, for a server's threads to read.

    ``url`` is where a browser finds it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()  # held while version and page are set or read together
        self._version = 0  # reports published so far
        self._ended = False  # whether the sweep has
        # The report as it was published last; until then a page that asks again.
        self._page = "<!doctype html><meta http-equiv=refresh content=2><p>reading the results"

    def publish(self, report: str) -> None:
        """The report has been written anew."""
        with self._lock:
            self._version, self._page = self._version + 1, report

    def end(self) -> None:
        """The sweep has ended: no newer version will come."""
        self._ended = True

    def answer(self, path: str) -> tuple[str, str] | None:
        """Content type and text of what lies at ``path`` below the token; None if nothing does."""
        with self._lock:
            version, page = self._version, self._page
        match path:
            case "":
                return "text/html", _live(page, version) if version else page
            case "version":
                return "text/plain", f"{version} {'ended' if self._ended else 'running'}"
            case "update":
                return "text/html", page.replace(plotly.offline.get_plotlyjs(), "")
        return None


def _live(page: str, version: int) -> str:
    """The page, allowed to ask its own server, and with the script that does."""
    script = files("analysis.report").joinpath("templates", "live.js").read_text(encoding="utf-8")
    page = page.replace(_POLICY, f"{_POLICY} connect-src 'self';", 1)
    # The last one: text of a sweep may hold another.
    head, _, tail = page.rpartition("</body>")
    return f'{head}<script data-version="{version}">{script}</script>\n</body>{tail}'


def _listening(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> HTTPServer:
    try:
        return ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise ResultsError(f"cannot serve at {host}, port {port}: {error.strerror}") from None


@contextmanager
def serving(host: str = LOOPBACK, port: int = 0) -> Iterator[LivePage]:
    """Serve a page to whoever knows its URL, from threads of their own.

    Args:
        host: address to listen on; others than loopback let other machines in.
        port: 0 takes any that is free.

    Raises:
        ResultsError: the port is taken, or the address is none of this machine's.
    """
    token = secrets.token_urlsafe(16)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, given, *rest = self.path.split("/", 2)
            # In constant time: how long a wrong token takes says nothing of the right one.
            known = hmac.compare_digest(given.encode(), token.encode())
            found = page.answer(rest[0]) if known and rest else None
            kind, text = found or ("text/plain", "not found")
            body = text.encode()
            self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal shows the reports."""

    with _listening(host, port, Handler) as server:
        page = LivePage(f"http://{host}:{server.server_address[1]}/{token}/")
        # A daemon: a request that hangs keeps no program from ending.
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield page
        finally:
            server.shutdown()
            thread.join()
