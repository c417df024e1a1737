"""Error pages: for the developer, for the visitor, for programs. Begin with `render_error`.

render.py  the answer in the form that the client wants   report.py   what a debug page tells, as text values
html.py    the debug page                                 text.py     the same as plain text and as JSON
masking.py secrets hidden, values turned to text safely
"""

from torngas_aio.errorpage.render import ErrorAnswer, public_detail, render_error, render_error_template, wants_html

__all__ = ["ErrorAnswer", "public_detail", "render_error", "render_error_template", "wants_html"]
