"""Hooks that could not be called: refused when the pipeline is built, not at the first request."""

from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError


class NoChunk:
    async def process_response(self, handler: Any, clear: Any) -> None: ...


class OldCall:
    async def process_call(self, request: Any) -> None: ...


class TooMany:
    async def process_endcall(self, handler: Any, clear: Any, chunk: Any) -> None: ...


@pytest.mark.parametrize(
    ("middleware", "written"),
    [
        (
            NoChunk,
            r"NoChunk\.process_response .*test_hooks\.py:12\) .*process_response\(self, handler, clear, chunk\)",
        ),
        (OldCall, r"OldCall\.process_call .*`async def process_call\(self, request, clear\)`"),
        (TooMany, r"TooMany\.process_endcall .*`async def process_endcall\(self, handler, clear\)`"),
    ],
)
def test_other_arguments_are_refused(middleware: type, written: str) -> None:
    """With file and line, and the line to write instead."""
    with pytest.raises(ConfigError, match=written):
        Application(middlewares=[middleware])


class Liberal:
    async def process_request(self, *given: Any) -> None: ...

    async def process_response(self, handler: Any, clear: Any, chunk: Any, extra: str = "") -> None: ...

    async def process_render(self, handler: Any, clear: Any, name: str, **kwargs: Any) -> None: ...


def test_whatever_can_be_called_is_taken() -> None:
    """Other names, defaults and `*args` are the author's business."""
    stages = [hook.stage for hook in Application(middlewares=[Liberal]).pipeline.describe()]
    assert stages == ["request", "render", "response"]
