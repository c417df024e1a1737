"""What the documentation takes from the code when it is built: the settings, the benchmarks, the changelog.

<!-- settings -->      every setting of `torngas_aio.global_settings`, with its default and its docstring
<!-- benchmarks -->    benchmarks/README.md
<!-- changelog -->     CHANGELOG.md
"""

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NOT_MEASURED = "No figures in this copy. `python -m benchmarks` measures, and writes them."


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what a page asks for; called by MkDocs for each page."""
    if "<!-- settings -->" in markdown:
        markdown = markdown.replace("<!-- settings -->", settings_reference())
    if "<!-- benchmarks -->" in markdown:
        results = ROOT / "benchmarks" / "README.md"
        text = results.read_text(encoding="utf-8").partition("\n")[2] if results.exists() else NOT_MEASURED
        markdown = markdown.replace("<!-- benchmarks -->", text)
    if "<!-- changelog -->" in markdown:
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n")[2]
        markdown = markdown.replace("<!-- changelog -->", text)
    return markdown


def settings_reference() -> str:
    """Return the settings as Markdown, in the order of the module and under its headings."""
    source = (ROOT / "torngas_aio" / "global_settings.py").read_text(encoding="utf-8")
    headings = {
        number: line.strip("# -\n") for number, line in enumerate(source.splitlines(), 1) if line.startswith("# ---")
    }
    parts: list[str] = []
    statements = ast.parse(source).body
    for statement, following in zip(statements, [*statements[1:], None], strict=True):
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        if not isinstance(target, ast.Name) or not target.id.isupper() or statement.value is None:
            continue
        above = [number for number in headings if number < statement.lineno]
        parts.extend(f"## {headings.pop(number).capitalize()}\n" for number in above)
        default = ast.get_source_segment(source, statement.value) or ""
        parts.append(f"### `{target.id}`\n\n```text\n{default}\n```\n")
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            parts.append(f"{following.value.value}\n")
    return "\n".join(parts)
