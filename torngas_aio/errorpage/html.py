"""The debug page as HTML: self-contained, readable without style and scripts.

All content is escaped by `_e`.
"""

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from torngas_aio.errorpage.masking import printable
from torngas_aio.errorpage.report import ErrorReport, ExceptionReport, FrameReport, Items, SourceLine
from torngas_aio.errorpage.text import debug_text

__all__ = ["CONTENT_SECURITY_POLICY", "SCRIPT", "STYLE", "debug_html"]
STYLE = """
:root{color-scheme:light dark;
--bg:#f6f5f2;--panel:#fff;--ink:#1d2129;--dim:#6a7180;--line:#e3e1da;--code:#fbfaf7;
--accent:#b3261e;--accent-soft:#fdecea;--hit:#fff3c4;--mark:#ffd666;--tag:#eceae4;--link:#20548f;--ok:#2f6f3e;
--mono:ui-monospace,"SF Mono","Cascadia Code","JetBrains Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){:root{
--bg:#14161a;--panel:#1c1f25;--ink:#e6e4df;--dim:#979eac;--line:#2d323b;--code:#17191e;
--accent:#ff8a80;--accent-soft:#3a1f20;--hit:#3a3320;--mark:#8a6a12;--tag:#2a2e36;--link:#8db9ee;--ok:#86d39a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 var(--sans);-webkit-text-size-adjust:100%}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
code,pre,textarea,.mono{font-family:var(--mono);font-size:13px;font-variant-ligatures:none}
.wrap{max-width:1120px;margin:0 auto;padding:0 24px}
header{background:var(--panel);border-bottom:1px solid var(--line);border-top:4px solid var(--accent)}
header .wrap{padding-top:26px;padding-bottom:22px}
.eyebrow{display:flex;flex-wrap:wrap;gap:8px;align-items:center;color:var(--dim);font-size:13px}
.pill{background:var(--accent);color:var(--panel);border-radius:999px;padding:1px 11px;font-weight:650}
.method{font-weight:650;color:var(--ink)}
.url{overflow-wrap:anywhere}
h1{font-size:25px;line-height:1.25;margin:14px 0 6px;font-weight:680;overflow-wrap:anywhere;letter-spacing:-.01em}
.message{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:15px/1.5 var(--mono);color:var(--accent);
max-height:16em;overflow:auto}
.where{display:flex;flex-wrap:wrap;gap:8px;margin:16px 0 0;padding:0;list-style:none;font-size:13.5px}
.where li{background:var(--tag);border-radius:6px;padding:3px 10px;overflow-wrap:anywhere}
.where b{font-weight:600;color:var(--dim);margin-right:6px}
nav{position:sticky;top:0;z-index:1;background:var(--bg);border-bottom:1px solid var(--line)}
nav .wrap{display:flex;gap:20px;align-items:center;padding-top:9px;padding-bottom:9px;font-size:14px;overflow-x:auto}
nav button{margin-left:auto;font:inherit;font-size:13px;color:var(--ink);background:var(--panel);cursor:pointer;
border:1px solid var(--line);border-radius:6px;padding:3px 12px;white-space:nowrap}
nav button:hover{border-color:var(--dim)}
section{margin:28px 0;scroll-margin-top:56px}
h2{font-size:16px;margin:0 0 10px;font-weight:680}
h3{font-size:12px;margin:16px 0 6px;color:var(--dim);font-weight:650;text-transform:uppercase;letter-spacing:.05em}
.relation{margin:26px 0 8px;color:var(--dim)}
.cause{margin:0 0 10px}.cause strong{overflow-wrap:anywhere}.cause .message{font-size:13px;max-height:9em}
.panel,.frame{background:var(--panel);border:1px solid var(--line);border-radius:9px;overflow:hidden}
.panel{padding:4px 16px 14px}
.frame{margin:0 0 8px}
.frame>summary{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;padding:9px 16px;cursor:pointer;
list-style:none}
.frame>summary::-webkit-details-marker{display:none}
.frame>summary::before{content:"";flex:none;width:0;height:0;border:4px solid transparent;
border-left:6px solid var(--dim);align-self:center;transition:transform .12s}
.frame[open]>summary::before{transform:rotate(90deg) translateX(-2px)}
.frame>summary:hover{background:var(--tag)}
.fn{font-family:var(--mono);font-size:13.5px;font-weight:650}
.file{font-family:var(--mono);font-size:12.5px;color:var(--dim);overflow-wrap:anywhere}
.file b{color:var(--ink);font-weight:550}
.tag{font-size:11px;border-radius:4px;padding:0 7px;background:var(--tag);color:var(--dim);margin-left:auto}
.tag.template{background:var(--accent-soft);color:var(--accent)}
.library>summary .fn,.library>summary .file b{color:var(--dim);font-weight:500}
.source{margin:0;padding:8px 0;background:var(--code);border-top:1px solid var(--line);overflow-x:auto;line-height:1.6}
.source>span{display:block;width:max-content;min-width:100%;padding:0 16px 0 0;white-space:pre;tab-size:4}
.source i{display:inline-block;width:56px;padding-right:14px;text-align:right;color:var(--dim);font-style:normal;
user-select:none;opacity:.75}
.source .hit{background:var(--hit);box-shadow:inset 3px 0 0 var(--accent)}
.source mark{background:var(--mark);color:inherit;border-radius:2px}
.locals{border-top:1px solid var(--line)}
.locals>summary{padding:6px 16px;color:var(--dim);font-size:13px;cursor:pointer}
.locals table{margin:0 16px 12px;width:calc(100% - 32px)}
table{border-collapse:collapse;width:100%;table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:4px 10px 4px 0;border-top:1px solid var(--line);font-weight:400;
overflow-wrap:anywhere}
tr:first-child>*{border-top:0}
th{width:25%;color:var(--dim);font-family:var(--mono);font-size:13px}
td{font-family:var(--mono);font-size:13px;white-space:pre-wrap}
.omitted{color:var(--dim);text-align:center;margin:4px 0 12px;font-size:13px}
.steps{margin:0;padding:8px 0;list-style:none}
.steps li{font-family:var(--mono);font-size:13px;padding:3px 16px;white-space:pre-wrap;overflow-wrap:anywhere}
.steps .failed{background:var(--accent-soft);color:var(--accent);font-weight:650;box-shadow:inset 3px 0 0 var(--accent)}
.steps .failed::after{content:"failed here";float:right;font:600 11px/1.9 var(--sans)}
.routes td:first-child{width:46%;color:var(--ink);font-weight:550}.routes td:last-child{width:18%;color:var(--dim)}
textarea{width:100%;height:300px;color:var(--ink);background:var(--code);border:1px solid var(--line);border-radius:7px;
padding:12px;resize:vertical}
footer{color:var(--dim);font-size:13px;padding:6px 0 40px}
@media (max-width:640px){.wrap{padding-left:14px;padding-right:14px}th{width:36%}h1{font-size:20px}}
"""

SCRIPT = """
document.getElementById("copy").addEventListener("click",function(event){
var text=document.getElementById("text"),button=event.target;
function done(){button.textContent="Copied";setTimeout(function(){button.textContent="Copy as text"},1500)}
function byHand(){text.closest("details").open=true;text.focus();text.select();
try{document.execCommand("copy")&&done()}catch(error){}}
if(navigator.clipboard){navigator.clipboard.writeText(text.value).then(done,byHand)}else{byHand()}
});
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Allows only this page's style and script, as a second defence if something is not escaped."""


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
    if report.inspected_at:
        links += f'<a href="{_e(report.inspected_at)}">Inspector</a>'
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
    parts: list[str] = []
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
    """Return the innermost frame of the project or a template, else the innermost frame."""
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
