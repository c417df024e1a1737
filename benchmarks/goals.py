"""What is aimed at: the best rival's figure divided by ours, in the same run.

Begin with `GOALS`.
"""

from dataclasses import dataclass

__all__ = ["GOALS", "Goal"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio to reach, of a figure of which less is better."""

    ratio: float
    figure: str = "cpu_us"


GOALS = {
    **{f"varied-{name}": Goal(1.4) for name in ("plain", "headers", "json", "parameter", "cookies")},
    "plain": Goal(1.8),
    "cookies": Goal(1.4),
    "page": Goal(1.35),
    "json-post": Goal(1.35),
    "varied-json-post": Goal(1.35),
    "form": Goal(1.3),
    "multipart": Goal(1.1),
    "static-100k": Goal(3.5),
    "static-304": Goal(1.8),
    "static-3m": Goal(1.7),
    "events": Goal(1.2),
    "tls": Goal(1.2),
    "connect": Goal(1.2),
    "tls-connect": Goal(1.2),
    "access-log": Goal(2.0),
    "delivered": Goal(2.0),
    "middlewares": Goal(1.0),
    "websocket-echo": Goal(1.0),
    "websocket-broadcast": Goal(1.2),
    "websocket-idle": Goal(1.0, "kb_per_socket"),
    "upload": Goal(1.0, "upload_ms"),
}
