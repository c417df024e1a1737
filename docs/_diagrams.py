"""Diagrams as SVG, drawn from text when the documentation is built.

    ```diagram
    browser
    -> nginx
    -> worker 1 | worker 2
    ```

Each line is a row of boxes, divided by `|`. `->` draws an arrow from each box of the row above to each of this one,
`=>` from each box to the one below it. Colors are the theme's, so that light and dark pages have one drawing; rows
stand below each other to fit a phone.
"""

import html
import re
from itertools import product

__all__ = ["draw_diagrams"]

WIDTH, BOX, GAP, LINE, LETTER = 360, 34, 26, 15, 6.5
_BLOCK = re.compile(r"^```diagram\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEAD = (
    f'<svg class="diagram" role="img" aria-label="%s" viewBox="0 0 {WIDTH} %d"><defs><marker id="arrow" '
    'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/>'
    "</marker></defs>"
)


def draw_diagrams(markdown: str) -> str:
    """Return *markdown* with an SVG in place of each `diagram` block."""
    return _BLOCK.sub(lambda block: draw(block[1]), markdown)


def draw(source: str) -> str:
    """Return the SVG of the rows in *source*, described by their text for those who cannot see it."""
    parts: list[str] = []
    said: list[str] = []
    above: list[tuple[float, int]] = []
    y = 1
    for row in source.strip().splitlines():
        boxes = [box.strip() for box in re.sub("^[-=]>", "", row).split("|")]
        width = (WIDTH - 2 - 8 * (len(boxes) - 1)) / len(boxes)
        texts = [_lines(box, int(width / LETTER)) for box in boxes]
        height = max(BOX, LINE * max(map(len, texts)) + 14)
        centers = [1 + (width + 8) * number + width / 2 for number in range(len(boxes))]
        arrows = zip(above, centers, strict=True) if row.startswith("=>") else product(above, centers)
        parts += [_arrow(x, bottom, center, y - 3) for (x, bottom), center in arrows]
        parts += [_box(center, y, width, height, text) for center, text in zip(centers, texts, strict=True)]
        said.append(" and ".join(boxes))
        above = [(center, y + height) for center in centers]
        y += height + GAP
    return _HEAD % (html.escape("; then ".join(said)), y - GAP + 1) + "".join(parts) + "</svg>"


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:.0f} {y}L{to_x:.0f} {to_y}" marker-end="url(#arrow)"/>'


def _box(center: float, y: int, width: float, height: int, text: list[str]) -> str:
    top = y + (height - LINE * len(text)) / 2 + 12
    lines = (
        f'<text x="{center:.1f}" y="{top + LINE * number:.1f}">{html.escape(line)}</text>'
        for number, line in enumerate(text)
    )
    rectangle = f'<rect x="{center - width / 2:.1f}" y="{y}" width="{width:.1f}" height="{height}" rx="4"/>'
    return rectangle + "".join(lines)


def _lines(text: str, width: int) -> list[str]:
    """Break *text* into lines of about *width* letters; a Chinese character counts as two."""
    lines, length = [""], 0
    for word in re.findall(r"(?:[^\s\u2e80-\uffef]+|[\u2e80-\uffef])[\u3001\uff0c\uff1a]?\s*", text):
        size = len(word) + len(re.findall(r"[\u2e80-\uffef]", word))
        if length and length + size > width + 1:
            lines.append("")
            length = 0
        lines[-1] += word
        length += size
    return [line.strip() for line in lines]
