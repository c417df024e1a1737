"""A small blocking HTTP client: one request a socket, so that nothing of a library is measured with the server.

Begin with `ask`.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Answer", "ask", "connect", "read_answer", "request_bytes", "upload_seconds"]

ENOUGH = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def connect(port: int, *, is_tls: bool = False) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=ENOUGH)
    if not is_tls:
        return connection
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the certificate is made for the run
    return context.wrap_socket(connection)


def request_bytes(
    path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: bytes | None = None
) -> bytes:
    fields = {"Host": "localhost", **(headers or {})}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b"")


def ask(port: int, request: bytes, *, is_tls: bool = False) -> Answer:
    """Return the answer to one request on a connection of its own."""
    with connect(port, is_tls=is_tls) as connection:
        connection.sendall(request)
        return read_answer(connection)


def upload_seconds(port: int, size: int, chunk_size: int = 262_144) -> float:
    """Send a body of *size* bytes to /upload; return how long that took.

    Raises:
        RuntimeError: The answer was not the number of bytes.
    """
    chunk = bytes(chunk_size)
    with connect(port) as connection:
        started = time.perf_counter()
        connection.sendall(request_bytes("/upload", {"Content-Length": str(size)}, "POST"))
        sent = 0
        while sent < size:
            sent += connection.send(chunk[: size - sent])
        answer = read_answer(connection)
        seconds = time.perf_counter() - started
    if answer.body != str(size).encode():
        raise RuntimeError(f"upload of {size} bytes was answered with {answer.status} {answer.body[:80]!r}")
    return seconds


def read_answer(connection: socket.socket) -> Answer:
    """Read one answer: to its Content-Length, its last chunk, or the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(status_line.split(" ")[1])
    if status == 304:
        body = b""
    elif "content-length" in headers:
        while len(body) < int(headers["content-length"]):
            body += _received(connection)
    elif headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += _received(connection)
        body = b"".join(_chunks(body))
    return Answer(status, headers, body)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the server closed the connection before its answer was complete")
    return data


def _chunks(body: bytes) -> Iterable[bytes]:
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        body = rest[length + 2 :] if length else b""
