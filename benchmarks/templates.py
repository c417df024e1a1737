"""How long pages take in each engine, and for how long a big one holds the loop.

    python -m benchmarks.templates [--rounds 7] [--rows 20] [--big-rows 30000] [--json FILE]

Page: a heading and a table of rows with four cells, one of them escaped, one a condition. Times are of one page, the
fastest of the rounds; the engines take turns, so that all see the same machine. *plain* is the engine's own call
(`jinja2.Template.render`, as Starlette, FastAPI and the others make their pages), *ours* is `begin`, as a handler
uses it, *async* is Jinja2's with `enable_async`. Hold: the longest time between two turns of a loop that has one
timer, while the big page is made; *first* is the first time, when its size is not known yet, *later* the median of five
more.
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jinja2
from mako.template import Template as MakoPage
from tornado.template import Template as TornadoPage

from torngas_aio.template import Template, create_loader

JINJA2_PAGE = (
    "<!doctype html><title>{{ title }}</title><h1>{{ title }}</h1><table>{% for row in rows %}"
    '<tr><td>{{ row.id }}</td><td><a href="/items/{{ row.id }}">{{ row.name }}</a></td><td>{{ row.note }}</td>'
    "<td>{% if row.done %}yes{% else %}no{% endif %}</td></tr>{% endfor %}</table>"
)
TORNADO_PAGE = JINJA2_PAGE.replace("{% endif %}", "{% end %}").replace("{% endfor %}", "{% end %}")
MAKO_PAGE = (
    "<!doctype html><title>${title}</title><h1>${title}</h1><table>\n% for row in rows:\n"
    '<tr><td>${row.id}</td><td><a href="/items/${row.id}">${row.name}</a></td><td>${row.note}</td>'
    "<td>${'yes' if row.done else 'no'}</td></tr>\n% endfor\n</table>"
)
ENGINES = {
    "jinja2": ("template.jinja2_loader.Jinja2TemplateLoader", JINJA2_PAGE),
    "tornado": (None, TORNADO_PAGE),
    "mako": ("template.mako_loader.MakoTemplateLoader", MAKO_PAGE),
}


class Row(dict[str, Any]):
    """A row whose fields are attributes, too; what Tornado and Mako need to write them like Jinja2."""

    __getattr__ = dict.__getitem__


def rows_of(count: int, kind: Callable[..., Any]) -> list[Any]:
    return [kind(id=n, name=f"Item {n}", note="<b>bold</b> & more", done=n % 2) for n in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--big-rows", type=int, default=30_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        templates = {name: _load(folder, name) for name in ENGINES}
        results = {"page": _pages(templates, options.rows, options.rounds)}
        results["hold"] = {name: asyncio.run(_hold(template, options.big_rows)) for name, template in templates.items()}
    print(f"One page of {options.rows} rows, microseconds")
    for name, times in results["page"].items():
        print(f"  {name:24} {times:8.1f}")
    print(f"A page of {options.big_rows} rows")
    for name, held in results["hold"].items():
        print(
            f"  {name:10} {held['bytes'] / 1e6:5.1f} MB  "
            + "  ".join(
                f"{turn}: made in {held[turn][0]:6.0f} ms, loop held {held[turn][1]:6.1f} ms"
                for turn in ("first", "later")
            )
            + f"  plain: held {held['plain']:6.0f} ms"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def _load(folder: str, name: str) -> Template:
    engine, source = ENGINES[name]
    Path(folder, f"{name}.html").write_text(source, encoding="utf-8")
    return create_loader({"template_engine": engine}, folder).load(f"{name}.html")


def _pages(templates: dict[str, Template], count: int, rounds: int) -> dict[str, float]:
    dicts = {"title": "Items", "rows": rows_of(count, dict)}
    rows = {"title": "Items", "rows": rows_of(count, Row)}
    plain = jinja2.Environment(autoescape=True).from_string(JINJA2_PAGE)
    waiting = jinja2.Environment(autoescape=True, enable_async=True).from_string(JINJA2_PAGE)
    tornado_page, mako_page = TornadoPage(TORNADO_PAGE, "page.html"), MakoPage(MAKO_PAGE, default_filters=["h"])
    calls: dict[str, Callable[[], Any]] = {
        "jinja2 dicts, plain": lambda: plain.render(dicts).encode(),
        "jinja2 dicts, ours": lambda: templates["jinja2"].begin(dicts),
        "jinja2 dicts, async": lambda: _run(waiting.render_async(dicts)),
        "jinja2 objects, plain": lambda: plain.render(rows).encode(),
        "jinja2 objects, ours": lambda: templates["jinja2"].begin(rows),
        "tornado, plain": lambda: tornado_page.generate(**rows),
        "tornado, ours": lambda: templates["tornado"].begin(rows),
        "mako, plain": lambda: mako_page.render_unicode(**rows).encode(),
        "mako, ours": lambda: templates["mako"].begin(rows),
    }
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], _time(call))
    return best


def _time(call: Callable[[], Any], count: int = 200) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count * 1e6


def _run(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the page was not to wait")


async def _hold(template: Template, count: int) -> dict[str, Any]:
    values = {"title": "Items", "rows": rows_of(count, Row)}
    held: dict[str, Any] = {}
    gc.collect()  # the rows have just been made; looking them over is not the page's doing
    for turn in ("first", "later"):
        if not isinstance(template.begin({"title": "", "rows": ()}), bytes) and turn == "first":
            raise RuntimeError("a small page was to be made at once")
        if turn == "later":
            template._last_bytes = held["bytes"]  # what the first one left, before the small page above
        turns = [await _longest_gap(lambda: template.render(values)) for _ in range(1 if turn == "first" else 5)]
        held[turn] = tuple(statistics.median(found[column] for found in turns) for column in (0, 1))
        held["bytes"] = len(turns[0][2])
    start = time.perf_counter()
    await asyncio.to_thread(template.generate, **values)
    held["plain"] = (time.perf_counter() - start) * 1e3
    return held


async def _longest_gap(work: Callable[[], Awaitable[bytes]]) -> tuple[float, float, bytes]:
    """Milliseconds for the work, the longest between two turns of the loop, and what the work gave."""
    gap = 0.0
    last = time.perf_counter()

    async def tick() -> None:
        nonlocal gap, last
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gap, last = max(gap, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    gap = 0.0
    start = time.perf_counter()
    page = await work()
    made = time.perf_counter() - start
    await asyncio.sleep(0.002)
    ticking.cancel()
    return made * 1e3, gap * 1e3, page


if __name__ == "__main__":
    main()
