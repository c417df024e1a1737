"""Error responses for developers, visitors and programs. Begin with `render_error`.

render.py  the response in the format that the client accepts   report.py   the content of a debug page, as text values
html.py    the debug page as HTML                               text.py     the debug page as plain text and JSON
masking.py masking of secrets, safe conversion of values to text
"""

from torngas_aio.errorpage.render import ErrorAnswer, public_detail, render_error, render_error_template, wants_html

__all__ = ["ErrorAnswer", "public_detail", "render_error", "render_error_template", "wants_html"]
