"""Error pages: for the developer, for the visitor, for programs. Begin with `render_error`."""

from torngas_aio.errorpage.render import ErrorAnswer, public_detail, render_error, render_error_template, wants_html

__all__ = ["ErrorAnswer", "public_detail", "render_error", "render_error_template", "wants_html"]
