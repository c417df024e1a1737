# ruff: noqa: F811 (fixtures are imported and then named as parameters)
"""Forms of WTForms, asked over a socket."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wtforms
from wtforms import validators

from tests.handler.conftest import OpenClient, door, open_client  # noqa: F401 (fixtures)
from torngas_aio import WebHandler
from torngas_aio.forms import FileLimits, fields_html
from torngas_aio.http.uploads import UploadedFile
from torngas_aio.i18n import lazy_gettext
from torngas_aio.testing import TestClient

asked: list[str] = []


class Step(wtforms.Form):  # type: ignore[misc]  # WTForms has no types
    name = wtforms.StringField(validators=[validators.InputRequired()])

    async def validate_name(self, field: Any) -> None:
        if field.data == "bad":
            raise validators.ValidationError("No bad step.")


class TaskForm(wtforms.Form):  # type: ignore[misc]
    title = wtforms.StringField(lazy_gettext("Title"), [validators.InputRequired(), validators.Length(max=20)])
    hours = wtforms.IntegerField("Hours", [validators.Optional(), validators.NumberRange(0, 100)])
    price = wtforms.DecimalField("Price", [validators.Optional(), validators.NumberRange(0)])
    due = wtforms.DateField("Due", [validators.Optional()])
    state = wtforms.SelectField("State", choices=["open", "done"], default="open")
    urgent = wtforms.BooleanField("Urgent")
    steps = wtforms.FieldList(wtforms.FormField(Step), max_entries=3)
    owner = wtforms.FormField(Step, default=lambda: {"name": "me"})
    picture = wtforms.FileField("Picture", [FileLimits(100, ["image/*"])])
    papers = wtforms.MultipleFileField("Papers", [FileLimits(100, message="Too much paper.")])

    async def validate_title(self, field: Any) -> None:
        asked.append(field.data)
        await asyncio.sleep(0)
        if field.data == "taken":
            raise validators.ValidationError("This title is taken.")
        if field.data == "stop":
            raise validators.StopValidation

    def validate_hours(self, field: Any) -> None:
        if field.data == 13:
            raise validators.ValidationError("Not thirteen.")


def shown(value: Any) -> Any:
    return {"file": value.filename, "size": value.size} if isinstance(value, UploadedFile) else str(value)


class Edit(WebHandler):
    form_class: Any = TaskForm

    async def get(self) -> None:
        form = await self.load_form(self.form_class, obj=SimpleNamespace(title="old & <new>", hours=3))
        self.write(str(fields_html(form)) + f"<!-- {form.validate()} -->")

    async def post(self) -> None:
        form = await self.load_form(self.form_class, obj=SimpleNamespace(title="old", hours=3))
        assert form.validate() is not bool(form.errors)
        assert isinstance(form, self.form_class)
        if form.errors:
            self.set_status(422)
        data = json.loads(json.dumps(form.data, default=shown))
        self.write({"errors": json.loads(json.dumps(form.errors, default=str)), "data": data, "html": form.__html__()})

    put = patch = delete = post


class CrossForm(TaskForm):
    def validate(self, extra_validators: Any = None) -> bool:
        return bool(super().validate(extra_validators)) and self.title.data != "crossed"


class LaterForm(TaskForm):
    async def validate(self, extra_validators: Any = None) -> bool:
        await asyncio.sleep(0)
        return bool(super().validate(extra_validators)) and self.title.data != "crossed"


class OwnMeta(wtforms.Form):  # type: ignore[misc]
    class Meta:
        locales = ("de",)

    title = wtforms.StringField(validators=[validators.InputRequired()])


def edit(form_class: Any) -> type[Edit]:
    return type(form_class.__name__, (Edit,), {"form_class": form_class})


ROUTES: list[Any] = [("/", Edit), ("/cross", edit(CrossForm)), ("/later", edit(LaterForm)), ("/own", edit(OwnMeta))]
GOOD = {"title": "write", "owner-name": "ann"}


@pytest.fixture
async def client(open_client: OpenClient) -> TestClient:
    asked.clear()
    return await open_client(ROUTES)


async def test_a_form_is_filled_from_an_object(client: TestClient) -> None:
    page = (await client.get("/")).text
    assert 'value="old &amp; &lt;new&gt;"' in page
    assert 'value="3"' in page
    assert 'class="errors"' not in page
    assert "_xsrf" not in page
    assert "<!-- False -->" in page  # nothing was sent, so nothing is valid
    assert asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_was_sent_is_converted(client: TestClient, method: str) -> None:
    sent = {
        **GOOD,
        "hours": "7",
        "price": "1.50",
        "due": "2026-11-29",
        "state": "done",
        "urgent": "y",
        "steps-1-name": "a",
    }
    answer = await client.request(method, "/", data={**GOOD, **sent})
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "title": "write", "hours": 7, "price": "1.50", "due": "2026-11-29", "state": "done", "urgent": True,
        "steps": [{"name": "a"}], "owner": {"name": "ann"}, "picture": None, "papers": [],
    }  # fmt: skip
    assert asked == ["write"]


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ({"title": ""}, {"title": ["This field is required."]}),
        ({"title": "x" * 21}, {"title": ["Field cannot be longer than 20 characters."]}),
        ({"title": "taken"}, {"title": ["This title is taken."]}),
        ({"title": "stop"}, {"title": ["Invalid input."]}),
        ({"hours": "13"}, {"hours": ["Not thirteen."]}),
        ({"hours": "x"}, {"hours": ["Not a valid integer value.", "Number must be between 0 and 100."]}),
        ({"state": "gone"}, {"state": ["Not a valid choice."]}),
        ({"owner-name": ""}, {"owner": {"name": ["This field is required."]}}),
        ({"owner-name": "bad"}, {"owner": {"name": ["No bad step."]}}),
        ({"steps-0-name": "good", "steps-1-name": "bad"}, {"steps": [{}, {"name": ["No bad step."]}]}),
        ({"steps-0-name": "", "steps-1-name": "bad"},
         {"steps": [{"name": ["This field is required."]}, {"name": ["No bad step."]}]}),
        ({"title": "taken", "owner-name": "bad"},
         {"title": ["This title is taken."], "owner": {"name": ["No bad step."]}}),
    ],
)  # fmt: skip
async def test_errors_are_shown_with_what_was_typed(client: TestClient, sent: dict[str, str], errors: Any) -> None:
    answer = await client.post("/", data={**GOOD, **sent})
    assert answer.status_code == 422
    assert answer.json()["errors"] == errors
    page = answer.json()["html"]
    assert page.count('<ul class="errors">') == str(errors).count("['")  # one list for each field
    for name, value in sent.items():
        assert name == "state" or f'name="{name}"' in page
        assert not value or name == "state" or f'value="{value}"' in page


async def test_asynchronous_validators_come_after_the_others_and_only_where_these_agree(client: TestClient) -> None:
    await client.post("/", data={**GOOD, "title": "x" * 21})
    assert asked == []


@pytest.mark.parametrize("path", ["/cross", "/later"])
async def test_validate_of_the_form_counts(client: TestClient, path: str) -> None:
    assert (await client.post(path, data=GOOD)).status_code == 200
    answer = await client.post(path, data={**GOOD, "title": "crossed"})
    assert (answer.status_code, answer.json()["errors"]) == (422, {"": ["This form is not valid."]})
    assert "This form is not valid." in answer.json()["html"]
    answer = await client.post(path, data={**GOOD, "title": "taken"})
    assert answer.json()["errors"] == {"title": ["This title is taken."]}


async def test_files_in_forms(client: TestClient) -> None:
    files: list[Any] = [
        ("picture", ("../a.png", b"12345", "image/png")),
        ("papers", ("a.pdf", b"1", "application/pdf")),
        ("papers", ("b.pdf", b"12", "application/pdf")),
    ]
    answer = await client.post("/", data=GOOD, files=files)
    assert answer.json()["data"]["picture"] == {"file": "a.png", "size": 5}
    assert answer.json()["data"]["papers"] == [{"file": "a.pdf", "size": 1}, {"file": "b.pdf", "size": 2}]


@pytest.mark.parametrize(
    ("name", "file", "error"),
    [
        ("picture", ("a.png", b"x" * 101, "image/png"), "The file must not have more than 100 bytes."),
        ("picture", ("a.html", b"x", "text/html"), "Files of this type are not accepted."),
        ("papers", ("a.pdf", b"x" * 101, "application/pdf"), "Too much paper."),
    ],
)
async def test_limits_of_files(client: TestClient, name: str, file: Any, error: str) -> None:
    answer = await client.post("/", data=GOOD, files={name: file})
    assert answer.json()["errors"] == {name: [error]}


async def test_a_file_is_no_text_and_a_text_no_file(client: TestClient) -> None:
    answer = await client.post("/", data={"owner-name": "ann"}, files={"title": ("a.txt", b"x", "text/plain")})
    assert answer.json()["errors"] == {"title": ["This field is required."]}
    answer = await client.post("/", data={**GOOD, "picture": "text", "papers": "text"})
    assert (answer.json()["data"]["picture"], answer.json()["data"]["papers"]) == (None, [])
    for name in ("hours", "price", "due", "urgent", "steps-0-name", "state"):
        answer = await client.post("/", data=GOOD, files={name: ("a.txt", b"x", "text/plain")})
        assert answer.status_code in {200, 422}


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NUMBERS = ["steps-" + "9" * 5000 + "-name=x", "steps-%C2%B2-name=x", "steps-%D9%A1-name=x", "steps-1234567890-name=x"]


@pytest.mark.parametrize(
    "body",
    [
        b"&".join(b"f%d=1" % number for number in range(10_000)), b"title=%ff&owner-name=a", b"title=\xe9",
        b"title=%ED%A0%80&owner-name=a", *map(str.encode, NUMBERS),
    ],
    ids=["many", "quoted", "raw", "surrogate", "digits", "superscript", "arabic", "ten digits"],
)  # fmt: skip
async def test_hostile_forms_are_400(client: TestClient, body: bytes) -> None:
    assert (await client.post("/", content=body, headers=FORM)).status_code == 400


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "-sNaN7", "Infinity", "1e999999999", "9" * 5000, "\uff11", "1_0", "\0", "0x1"]
)
@pytest.mark.parametrize("name", ["hours", "price", "due"])
async def test_hostile_values_are_errors_or_numbers(client: TestClient, name: str, text: str) -> None:
    assert (await client.post("/", data={**GOOD, name: text})).status_code in {200, 422}


async def test_entries_beyond_the_limit_and_unknown_fields_are_left_out(client: TestClient) -> None:
    sent = {f"steps-{number}-name": "a" for number in range(900)}
    answer = await client.post("/", data={**GOOD, **sent, "unknown": "x", "validate": "x", "data": "x"})
    assert len(answer.json()["data"]["steps"]) == 3
    answer = await client.post("/", content=b"{}", headers={"Content-Type": "application/json"})
    assert set(answer.json()["errors"]) == {"owner", "title"}


@pytest.mark.parametrize(
    ("accept", "message"),
    [
        ("zh-CN", "该字段是必填字段。"),
        ("de", "Dieses Feld wird benötigt."),
        ("en", "This field is required."),
        ("fr", "Obligatoire !"),
    ],
)
async def test_messages_are_in_the_language_of_the_visitor(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, accept: str, message: str
) -> None:
    from tornado import locale

    translations: Any = {code: {"unknown": {}} for code in ("zh_CN", "de", "fr", "en_US")}
    translations["fr"] = {"unknown": {"This field is required.": "Obligatoire !", "Title": "Titre"}}
    monkeypatch.setattr(locale, "_translations", translations)
    monkeypatch.setattr(locale, "_supported_locales", frozenset(translations))
    monkeypatch.setattr(locale.Locale, "_cache", {})
    answer = await client.post("/", data={"title": "", "owner-name": ""}, headers={"Accept-Language": accept})
    assert answer.json()["errors"] == {"title": [message], "owner": {"name": [message]}}
    assert ("Titre" in answer.json()["html"]) is (accept == "fr")
    own = await client.post("/own", data={"title": ""}, headers={"Accept-Language": accept})
    expected = message if accept == "fr" else "Dieses Feld wird benötigt."  # the project's own come first
    assert own.json()["errors"] == {"title": [expected]}


@pytest.mark.parametrize(("accept", "message"), [("zh-CN", "不接受此类型的文件。"), ("en", "Files of this type")])
@pytest.mark.parametrize("size", [10, 200])
async def test_what_a_file_lacks_is_said_in_the_language_of_the_visitor(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, accept: str, message: str, size: int
) -> None:
    from tornado import locale

    monkeypatch.setattr(locale, "_supported_locales", frozenset({"zh_CN", "en_US"}))
    monkeypatch.setattr(locale.Locale, "_cache", {})
    sent = {"picture": ("a.txt", b"x" * size, "text/plain")}
    answer = await client.post("/", data=GOOD, files=sent, headers={"Accept-Language": accept})
    if size > 100:
        message = "文件不能超过 100 字节。" if accept == "zh-CN" else "The file must not have more than 100 bytes."
    assert answer.json()["errors"]["picture"][0].startswith(message)


class Prefixed(Edit):
    async def get(self) -> None:
        form = await self.load_form(self.form_class, prefix="task", data={"title": "from data"})
        self.write(str(fields_html(form)))


@pytest.mark.parametrize("handler", [Edit, Prefixed])
async def test_the_token_is_rendered_and_checked_before_the_method(open_client: OpenClient, handler: Any) -> None:
    client = await open_client([("/", handler)], xsrf_cookies=True, cookie_secret="x" * 32)
    page = (await client.get("/")).text
    assert page.count('name="_xsrf"') == 1
    token = page.partition('name="_xsrf" type="hidden" value="')[2].partition('"')[0]
    assert (await client.post("/", data=GOOD)).status_code == 403
    answer = await client.post("/", data={**GOOD, "_xsrf": token})
    assert answer.status_code == 200
    assert "_xsrf" not in answer.json()["data"]
    assert "csrf_token" not in answer.json()["html"]


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("torngas_aio.template.jinja2_loader.Jinja2TemplateLoader", "{{ form }}|{{ form.name }}"),
        ("torngas_aio.template.mako_loader.MakoTemplateLoader", "${form}|${form.name}"),
        ("torngas_aio.template.tornado_loader.TornadoTemplateLoader",
         "{% from torngas_aio.forms import fields_html %}{% raw fields_html(form) %}|{% raw form.name() %}"),
    ],
    ids=["jinja2", "mako", "tornado"],
)  # fmt: skip
async def test_templates_render_forms(open_client: OpenClient, tmp_path: Path, engine: str, text: str) -> None:
    from torngas_aio.settings_manager import settings

    (tmp_path / "form.html").write_text(text)

    class Page(WebHandler):
        async def get(self) -> None:
            await self.render("form.html", form=await self.load_form(Step, name='"a" & <b>'))

    with settings.override(TEMPLATE_CONFIG={**settings.TEMPLATE_CONFIG, "template_engine": engine}):
        client = await open_client([("/", Page)], template_path=str(tmp_path))
        page = (await client.get("/")).text
    field = '<input id="name" name="name" required type="text" value="&#34;a&#34; &amp; &lt;b&gt;">'
    assert page == f'<div class="field"><label for="name">Name</label> {field}</div>|{field}'
    assert "&lt;div" not in page
