"""A client that costs little: plain sockets kept alive, watched without ever sleeping.

It keeps a core of its own busy, so that its figures have no timer's millisecond in them.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field
from time import perf_counter

END = b"\r\n\r\n"
LENGTH = b"content-length: "
BUFFER = 1 << 18


def post(path: str, content_type: str, body: bytes) -> bytes:
    """The bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class Load:
    """Seconds of every answered request, how many were no 200, and how long all took."""

    seconds: list[float]
    failed: int
    took: float


class _Connection:
    """One request after the other."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request, self._answer = request, b""
        self.since = 0.0

    def send(self, since: float) -> None:
        self.since = since
        self.socket.sendall(self._request)

    def answered(self) -> bytes | None:
        """The whole answer, None while it is not all here."""
        piece = self.socket.recv(BUFFER)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self._answer += piece
        head = self._answer.find(END)
        if head < 0:
            return None
        start = self._answer.index(LENGTH) + len(LENGTH)
        length = int(self._answer[start : self._answer.index(b"\r", start)])
        if len(self._answer) < head + len(END) + length:
            return None
        answer, self._answer = self._answer, b""
        return answer


@dataclass
class Client:
    """Connections to a port, each of which sends the same request again and again."""

    port: int
    request: bytes
    connections: int
    _open: dict[int, _Connection] = field(default_factory=dict)

    def __enter__(self) -> Client:
        for _ in range(self.connections):
            made = _Connection(self.port, self.request)
            self._open[made.socket.fileno()] = made
        return self

    def __exit__(self, *reason: object) -> None:
        for each in self._open.values():
            each.socket.close()

    def run(self, seconds: float, rate: float | None = None) -> Load:
        """Send for so long.

        Without a rate every connection sends when it has its answer. With one, requests fall due
        ``rate`` times a second whether or not a connection is free, and are timed from when they
        fell due.
        """
        poll = select.epoll()
        for number in self._open:
            poll.register(number, select.EPOLLIN)
        free, busy = list(self._open.values()), 0
        times: list[float] = []
        failed = due = 0
        began = now = perf_counter()
        while busy or now < began + seconds:
            while free and now < began + seconds:
                since = now if rate is None else began + due / rate
                if since > now:
                    break
                free.pop().send(since)
                due, busy = due + 1, busy + 1
            for number, _ in poll.poll(0):
                answer = self._open[number].answered()
                if answer is not None:
                    times.append(perf_counter() - self._open[number].since)
                    failed += not answer.startswith(b"HTTP/1.1 200 ")
                    free.insert(0, self._open[number])
                    busy -= 1
            now = perf_counter()
        poll.close()
        return Load(times, failed, now - began)
