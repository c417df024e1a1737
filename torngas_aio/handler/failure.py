"""What the error page is told about the request that failed."""

from dataclasses import dataclass
from typing import Any

__all__ = ["answer_for"]


@dataclass
class ErrorAnswer:
    content_type: str
    body: bytes


def answer_for(handler: Any, status: int, exc_info: Any, *, accept: str | None = None) -> ErrorAnswer:
    return ErrorAnswer("text/html; charset=UTF-8", f"<h1>{status}: {handler._reason}</h1>".encode())
