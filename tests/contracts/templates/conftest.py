"""Fixtures per template engine: its syntax, and a loader on an empty directory."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.template import Template, TemplateLoader, create_loader

PAGE = "<title>{title}</title>"


@dataclass(frozen=True)
class Language:
    """The suite's templates in the syntax of one engine."""

    name: str
    engine: str | None
    pieces: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    is_awaiting: bool = False  # calls inside a template may be awaited

    def __getitem__(self, name: str) -> str:
        return self.pieces[name]


TORNADO = Language(
    "tornado",
    None,
    {
        "value": "{{ value }}",
        "raw": "{% raw value %}",
        "call": "{{ await call() }}",
        "loop": "{% for item in items %}<li>{{ item }}</li>{% end %}",
        "base": "<title>{% block title %}base{% end %}</title>\n<body>{% block content %}{% end %}</body>",
        "child": '{% extends "base.html" %}\n{% block title %}child{% end %}'
        "{% block content %}{% for item in items %}<li>{{ item }}</li>{% end %}{% end %}",
        "include": '<p>{% include "part.html" %}</p>',
        "fault": "<h1>\n{% for item in items %}\n{{ item / 0 }}\n{% end %}",
        "syntax": "<h1>\n\n{% for %}",
        "names": "{{ reverse_url('home') }}~~{{ static_url('a.css') }}~~{{ xsrf_form_html() }}~~{{ _('hello') }}~~"
        "{{ current_user }}~~{{ handler.request.path }}~~{{ request.path }}~~{{ settings.DEBUG }}~~"
        "{{ get_flashed_messages() }}~~{{ locale.code }}~~{{ pgettext('menu', 'hello') }}",
    },
    is_awaiting=True,
)

JINJA2 = Language(
    "jinja2",
    "template.jinja2_loader.Jinja2TemplateLoader",
    {
        "value": "{{ value }}",
        "raw": "{{ value|safe }}",
        "call": "{{ call() }}",
        "loop": "{% for item in items %}<li>{{ item }}</li>{% endfor %}",
        "base": "<title>{% block title %}base{% endblock %}</title>\n<body>{% block content %}{% endblock %}</body>",
        "child": '{% extends "base.html" %}\n{% block title %}child{% endblock %}'
        "{% block content %}{% for item in items %}<li>{{ item }}</li>{% endfor %}{% endblock %}",
        "include": '<p>{% include "part.html" %}</p>',
        "fault": "<h1>\n{% for item in items %}\n{{ item / 0 }}\n{% endfor %}",
        "syntax": "<h1>\n\n{% for %}",
        "names": TORNADO["names"],
    },
)

JINJA2_ASYNC = replace(JINJA2, name="jinja2-async", options={"enable_async": True}, is_awaiting=True)

MAKO = Language(
    "mako",
    "template.mako_loader.MakoTemplateLoader",
    {
        "value": "${value}",
        "raw": "${value | n}",
        "call": "${call()}",
        "loop": "% for item in items:\n<li>${item}</li>\\\n% endfor\n",
        "base": '<title><%block name="title">base</%block></title>\n<body><%block name="content"></%block></body>',
        "child": '<%inherit file="base.html"/>\n<%block name="title">child</%block>'
        '<%block name="content">\\\n% for item in items:\n<li>${item}</li>\\\n% endfor\n</%block>',
        "include": '<p><%include file="part.html"/></p>',
        "fault": "<h1>\n% for item in items:\n${item / 0}\n% endfor\n",
        "syntax": "<h1>\n\n% for:\n",
        "names": TORNADO["names"].replace("{{ ", "${").replace(" }}", "}"),
    },
)


@pytest.fixture(params=[TORNADO, JINJA2, JINJA2_ASYNC, MAKO], ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


class FileStore:
    """A template directory and its loader."""

    def __init__(self, path: Path, language: Language) -> None:
        self.path = path
        self.language = language
        self.options: dict[str, Any] = {}
        self._loader: TemplateLoader | None = None

    def write(self, name: str, source: str) -> str:
        """Write a template; *source* is a key of the language, or the source itself."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.language.pieces.get(source, source), encoding="utf-8")
        return name

    def make(self, **options: Any) -> TemplateLoader:
        """Return a new loader with *options*."""
        return create_loader(
            {"template_engine": self.language.engine, **self.language.options, **options}, str(self.path)
        )

    @property
    def loader(self) -> TemplateLoader:
        if self._loader is None:
            self._loader = self.make(**self.options)
        return self._loader

    async def render(self, source: str, **values: Any) -> str:
        """Render one template with *values*."""
        return (await (await self.load(self.write("page.html", source))).render(values)).decode()

    async def load(self, name: str, parent: str | None = None) -> Template:
        """Load in a worker thread, as `TemplateLoader.fetch` does: it reads files."""
        return await asyncio.to_thread(self.loader.load, name, parent)


@pytest.fixture
def folder(tmp_path: Path, language: Language) -> FileStore:
    return FileStore(tmp_path / "templates", language)
