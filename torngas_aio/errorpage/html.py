"""The debug page as HTML: one file, no assets, readable without its style and without scripts.

Everything shown passes `_e`. Begin with `debug_html`.
"""

from collections.abc import Iterable
from html import escape

from torngas_aio.errorpage.frames import FrameReport, SourceLine
from torngas_aio.errorpage.masking import printable
from torngas_aio.errorpage.report import ErrorReport, ExceptionReport, Items
from torngas_aio.errorpage.style import SCRIPT, STYLE
from torngas_aio.errorpage.text import debug_text

__all__ = ["debug_html"]


def debug_html(report: ErrorReport) -> str:
    """Return the whole page."""
    sections = [
        ("routes", "Routes", _routes(report)),
        ("traceback", "Traceback", _traceback(report.exceptions)),
        ("request", "Request", _request(report)),
        ("pipeline", "Pipeline", _pipeline(report)),
        ("settings", "Settings", _folded(f"{len(report.settings)} settings", _table(report.settings))),
        ("as-text", "Text", _text(report)),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in shown)
    bodies = "".join(f'<section id="{name}"><h2>{title}</h2>{body}</section>' for name, title, body in shown)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{_e(report.title)} at {_e(report.url)}</title><style>{STYLE}</style></head><body>"
        f"{_header(report)}"
        f'<nav><div class="wrap">{links}<button id="copy" type="button">Copy as text</button></div></nav>'
        f'<main class="wrap">{bodies}</main>'
        f'<footer class="wrap">{_e(report.versions)} · shown because DEBUG is on; '
        "never turn it on where others can reach it.</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _header(report: ErrorReport) -> str:
    places = [("failed in", report.failed_at or "")]
    innermost = next((error.frames[0] for error in report.exceptions if error.frames), None)
    template = next((frame for error in report.exceptions for frame in error.frames if frame.kind == "template"), None)
    own = next((frame for error in report.exceptions for frame in error.frames if frame.kind == "project"), innermost)
    if template is not None:
        places.append(("template", f"{template.file}:{template.line}"))
    if own is not None and own is not template:
        places.append(("code", f"{own.file}:{own.line}"))
    chips = "".join(f"<li><b>{label}</b><code>{_e(place)}</code></li>" for label, place in places if place)
    return (
        '<header><div class="wrap"><div class="eyebrow">'
        f'<span class="pill">{report.status} {_e(report.reason)}</span>'
        f'<span class="method">{_e(report.method)}</span><span class="url mono">{_e(report.url)}</span></div>'
        f'<h1>{_e(report.title)}</h1><p class="message">{_e(report.detail)}</p>'
        f'<ul class="where">{chips}</ul></div></header>'
    )


def _traceback(exceptions: Iterable[ExceptionReport]) -> str:
    parts = []
    for index, error in enumerate(exceptions):
        if error.relation:
            parts.append(
                f'<p class="relation">{_e(error.relation)}</p><div class="cause"><strong>{_e(error.kind)}</strong>'
                f'<p class="message">{_e(error.message)}</p></div>'
            )
        parts += [f'<p class="relation">{_e(note)}</p>' for note in error.notes]
        opened = _frame_to_open(error.frames) if index == 0 else None
        for frame in error.frames:
            parts.append(_frame(frame, is_open=frame is opened or (index == 0 and frame.kind == "template")))
    return "".join(parts)


def _frame_to_open(frames: list[FrameReport]) -> FrameReport | None:
    """The innermost frame that is the project's own."""
    own = (frame for frame in frames if frame.kind != "library")
    return next(own, frames[0] if frames else None)


def _frame(frame: FrameReport, *, is_open: bool) -> str:
    folder, slash, name = frame.file.rpartition("/")
    tag = "" if frame.kind == "project" else f'<span class="tag {frame.kind}">{frame.kind}</span>'
    local_names = ""
    if frame.local_names:
        opened = " open" if is_open and frame.kind != "library" else ""
        local_names = (
            f'<details class="locals"{opened}><summary>Local names</summary>{_table(frame.local_names)}</details>'
        )
    omitted = f'<p class="omitted">{frame.omitted} frames left out</p>' if frame.omitted else ""
    return (
        f'<details class="frame {frame.kind}"{" open" if is_open else ""}><summary>'
        f'<span class="fn">{_e(frame.function or name)}</span>'
        f'<span class="file">{_e(folder + slash)}<b>{_e(name)}:{frame.line}</b></span>{tag}</summary>'
        f"{_source(frame.source)}{local_names}</details>{omitted}"
    )


def _source(lines: list[SourceLine]) -> str:
    if not lines:
        return ""
    return f'<pre class="source">{"".join(map(_line, lines))}</pre>'


def _line(line: SourceLine) -> str:
    text = _e(line.text)
    if line.span is not None:
        start, end = line.span
        text = f"{_e(line.text[:start])}<mark>{_e(line.text[start:end])}</mark>{_e(line.text[end:])}"
    return f"<span{' class=hit' if line.is_current else ''}><i>{line.number}</i>{text}\n</span>"


def _request(report: ErrorReport) -> str:
    groups = "".join(f"<h3>{_e(name)}</h3>{_table(items)}" for name, items in report.request.items())
    return f'<div class="panel">{groups}</div>' if groups else ""


def _pipeline(report: ErrorReport) -> str:
    if not report.pipeline:
        return ""
    steps = "".join(f"<li{' class=failed' if failed else ''}>{_e(line)}</li>" for line, failed in report.pipeline)
    return f'<div class="frame"><ol class="steps">{steps}</ol></div>'


def _routes(report: ErrorReport) -> str:
    if not report.routes:
        return ""
    rows = "".join("<tr>" + "".join(f"<td>{_e(text)}</td>" for text in route) + "</tr>" for route in report.routes)
    return (
        f"<p>No route matches <code>{_e(report.url)}</code>. These were tried, the nearest first:</p>"
        f'<div class="panel"><table class="routes">{rows}</table></div>'
    )


def _folded(title: str, body: str) -> str:
    if not body:
        return ""
    return f'<details class="frame"><summary>{_e(title)}</summary><div class="panel">{body}</div></details>'


def _text(report: ErrorReport) -> str:
    return (
        '<details class="frame"><summary>The page as text</summary>'
        f'<textarea id="text" readonly aria-label="The page as text">\n{_e(debug_text(report))}</textarea></details>'
    )


def _table(items: Items) -> str:
    if not items:
        return ""
    rows = "".join(f"<tr><th>{_e(name)}</th><td>{_e(text)}</td></tr>" for name, text in items)
    return f"<table>{rows}</table>"


def _e(text: str) -> str:
    return escape(printable(text))
