"""Forms of WTForms (extra `forms`): filled from a request, validated also by `async def validate_...` methods.

    body and files ──► FormData ──► form_class ──► its validators ──► asynchronous ones of fields that are valid so far

A form only renders the token of `xsrf_cookies`, which is checked before the handler's method.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from gettext import NullTranslations
from typing import Any, TypeGuard, TypeVar, cast

import wtforms
from markupsafe import Markup
from tornado.locale import Locale
from tornado.web import HTTPError, RequestHandler
from wtforms.csrf.core import CSRF, CSRFTokenField
from wtforms.form import BaseForm
from wtforms.i18n import get_translations
from wtforms.meta import DefaultMeta
from wtforms.validators import StopValidation, ValidationError

from torngas_aio._concurrency import run_in_thread
from torngas_aio.http.uploads import UploadedFile, has_type, read_media_types, uploads_of
from torngas_aio.utils.narrowing import is_list

__all__ = ["FileLimits", "fields_html", "load_form"]

_F = TypeVar("_F")
_SUBMITTING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MAX_DIGITS = 9  # of an entry's number; WTForms would accept any number
_CHINESE = {
    "The file must not have more than {limit} bytes.": "文件不能超过 {limit} 字节。",
    "Files of this type are not accepted.": "不接受此类型的文件。",
    "This form is not valid.": "表单无效。",
}


class FileLimits:
    """A validator of file fields: the size of each file and its type.

    Args:
        max_bytes: Of one file; None: limited by the body only.
        content_types: The accepted ones, such as "application/pdf" and "image/*"; see `has_type`.
        message: Used instead of the built-in messages.
    """

    def __init__(
        self, max_bytes: int | None = None, content_types: Iterable[str] = (), message: str | None = None
    ) -> None:
        self.max_bytes = max_bytes
        self.content_types = tuple(content_types)
        self.message = message
        if self.content_types:
            read_media_types()

    def __call__(self, form: object, field: wtforms.Field) -> None:
        for file in field.data if is_list(field.data) else [field.data]:
            if not isinstance(file, UploadedFile):  # the object's own value
                continue
            if self.max_bytes is not None and file.size > self.max_bytes:
                text = field.gettext("The file must not have more than {limit} bytes.")
                raise StopValidation(self.message or text.format(limit=self.max_bytes))
            if self.content_types and not has_type(file, self.content_types):
                raise StopValidation(self.message or field.gettext("Files of this type are not accepted."))


async def load_form(handler: RequestHandler, form_class: type[_F], obj: object = None, **kwargs: Any) -> _F:
    """Implement `BaseHandler.load_form`."""
    languages = _own_meta(form_class, "locales") or (handler.locale.code, handler.locale.code.partition("_")[0])
    binding = _Binding(handler, await _catalogue_of(tuple(languages)))
    kwargs["meta"] = {**binding.meta(form_class), **kwargs.get("meta", {})}
    form = _bound_class(form_class)(formdata=binding.data, obj=obj, **kwargs)  # type: ignore[arg-type]  # hashable
    if binding.data is not None:
        await binding.validate(form)
    binding.is_checked = True
    return form  # type: ignore[no-any-return]  # a subclass of form_class


def fields_html(form: BaseForm) -> Markup:
    """Return the fields of *form* as HTML, with labels, descriptions and errors.

    Same as `{{ form }}` in Jinja2 and `${form}` in Mako; for Tornado's templates: `{% raw fields_html(form) %}`.
    """
    return _errors_html(form.form_errors) + Markup("\n").join(map(_field_html, form))


class FormData:
    """The submitted values, with the interface that WTForms expects: files for file fields, text for the others.

    Args:
        handler: Its `get_body_arguments` decodes the text.

    Raises:
        HTTPError: 400: the name of a field contains a number that is not that of an entry.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._names = {_decode(name): name for name in handler.request.body_arguments}
        self._files = uploads_of(handler.request.files)
        self.file_fields: set[str] = set()
        for name in self:
            if any(part.isdigit() and not (part.isascii() and len(part) <= _MAX_DIGITS) for part in name.split("-")):
                raise HTTPError(400, "The field name %.80r holds an invalid number.", name)

    def getlist(self, name: str) -> list[Any]:
        """Return the values submitted as *name*.

        Raises:
            HTTPError: 400: a value is not UTF-8.
        """
        if name in self.file_fields:
            return list(self._files.get(name, ()))
        return list(self._handler.get_body_arguments(self._names[name], strip=False)) if name in self._names else []

    def __contains__(self, name: str) -> bool:
        return name in (self._files if name in self.file_fields else self._names)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._names, **self._files})

    def __len__(self) -> int:
        return len(self._names) + len(self._files)


class _Binding:
    """One form, including nested ones, and the request for which it is loaded."""

    def __init__(self, handler: RequestHandler, catalogue: NullTranslations) -> None:
        self._handler = handler
        self._translations = _Translations(handler.locale, catalogue)
        self.data = FormData(handler) if handler.request.method in _SUBMITTING else None
        self.pending: list[tuple[object, wtforms.Field, Callable[..., Awaitable[object]]]] = []
        self.is_checked = False
        self.is_valid = False

    def meta(self, form_class: type[object], *, is_nested: bool = False) -> dict[str, object]:
        """Return the values of the form's Meta; those that the project has defined are kept."""
        values: dict[str, object] = {"torngas_binding": self, "bind_field": self._bind_field}
        if _own_meta(form_class, "get_translations") is None:
            values["get_translations"] = self._get_translations
        has_token = self._handler.application.settings.get("xsrf_cookies") and not is_nested
        if has_token and _own_meta(form_class, "csrf_class") is None:
            values |= {"csrf": True, "csrf_class": _Token, "csrf_field_name": "_xsrf", "csrf_context": self._handler}
        return values

    def _get_translations(self, form: object) -> "_Translations":
        return self._translations

    def _bind_field(self, form: BaseForm, unbound_field: Any, options: dict[str, Any]) -> wtforms.Field:
        field: wtforms.Field = type(form.meta).bind_field(form.meta, form, unbound_field, options)
        if isinstance(field, wtforms.FileField) and self.data is not None:
            self.data.file_fields.add(field.name)
        elif isinstance(field, wtforms.DecimalField):
            field.process_formdata = functools.partial(  # pyright: ignore[reportAttributeAccessIssue]
                _process_decimal, field, field.process_formdata
            )
        elif _is_form_field(field):
            field.form_class = functools.partial(self._make_nested, field.form_class)  # pyright: ignore[reportAttributeAccessIssue]
        return field

    def _make_nested(self, form_class: Any, meta: Mapping[str, object], **kwargs: object) -> BaseForm:
        return _bound_class(form_class)(meta={**self.meta(form_class, is_nested=True), **meta}, **kwargs)

    async def validate(self, form: Any) -> None:
        """Run all validators; asynchronous ones run sequentially, because they may share a database session."""
        result = form.validate()
        is_valid = bool(await result if inspect.isawaitable(result) else result)
        for owner, field, check in self.pending:
            if field.errors:
                continue
            try:
                await check(owner, field)
            except (StopValidation, ValidationError) as exc:
                is_valid = False
                field.errors = [*field.errors, *filter(None, exc.args[:1])] or [field.gettext("Invalid input.")]
        _gather_errors(form)
        if not is_valid and not form.errors:  # the project's own `validate` has only returned False
            form.form_errors.append(self._translations.gettext("This form is not valid."))
        self.is_valid = not form.errors


class _BoundForm:
    """A mixin placed before a project's form class."""

    meta: Any
    errors: Any

    def validate(self, extra_validators: Any = None) -> Any:
        """Return whether the submitted values are valid; after `load_form` the result is fixed."""
        binding = self.meta.torngas_binding
        if binding.is_checked:
            return binding.is_valid
        return super().validate(extra_validators)  # type: ignore[misc]  # the project's form

    def __html__(self) -> str:
        return fields_html(cast(BaseForm, self))

    @property
    def data(self) -> dict[str, Any]:
        """The values of the fields, without the token."""
        return {name: field.data for name, field in self._fields.items() if not isinstance(field, CSRFTokenField)}  # type: ignore[attr-defined]  # the project's form


@functools.lru_cache(1024)
def _bound_class(form_class: Any) -> Any:
    """Return a subclass whose `async def validate_...` methods run after the other validators."""
    names = {name for name in dir(form_class) if name.startswith("validate_")}
    waiting = {name: check for name in names if inspect.iscoroutinefunction(check := getattr(form_class, name))}
    later = {name: _postpone(check) for name, check in waiting.items()}
    return type(form_class)(
        form_class.__name__, (_BoundForm, form_class), {**later, "__module__": form_class.__module__}
    )


def _postpone(check: Callable[..., Awaitable[object]]) -> Callable[..., None]:
    def postpone(form: Any, field: wtforms.Field) -> None:
        form.meta.torngas_binding.pending.append((form, field, check))

    return postpone


class _Token(CSRF):  # type: ignore[misc]  # WTForms has no types
    """A CSRF implementation with the token of `xsrf_cookies`, which was checked before the form was created."""

    def setup_form(self, form: Any) -> Any:
        self._handler = form.meta.csrf_context
        return super().setup_form(form)

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:
        csrf_token_field.name = "_xsrf"  # whatever the form's prefix
        return str(self._handler.xsrf_token.decode())

    def validate_csrf_token(self, form: object, field: object) -> None:
        """Do nothing: the handler has checked it."""


class _Translations:
    """The project's translation of a text, else that of WTForms."""

    def __init__(self, locale: Locale, catalogue: NullTranslations) -> None:
        self._locale = locale
        self._catalogue = catalogue

    def gettext(self, text: str) -> str:
        found: str = self._locale.translate(text)
        return found if found != text else self._catalogue.gettext(text)

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        found: str = self._locale.translate(singular, plural, count)
        return found if found not in {singular, plural} else self._catalogue.ngettext(singular, plural, count)


_catalogues: dict[tuple[str, ...], NullTranslations] = {}


async def _catalogue_of(languages: tuple[str, ...]) -> NullTranslations:
    """Return WTForms' own translations for the first of *languages* that it has; loaded once, in a thread."""
    if languages not in _catalogues:
        _catalogues[languages] = await run_in_thread(_read_catalogue, languages)
    return _catalogues[languages]


def _read_catalogue(languages: tuple[str, ...]) -> NullTranslations:
    try:
        found: NullTranslations = get_translations(languages)
    except OSError:  # no translations for these languages
        return NullTranslations()
    if languages[0].startswith("zh"):
        found.add_fallback(_ChineseSentences())
    return found


class _ChineseSentences(NullTranslations):
    """The messages of this module, which WTForms' own translations lack."""

    def gettext(self, message: str) -> str:
        return _CHINESE.get(message, message)


def _own_meta(form_class: type[object], name: str) -> Any:
    """Return the value of *name* in a Meta class of the project; None if none defines it."""
    default = getattr(DefaultMeta, name)
    metas: list[object] = [vars(base)["Meta"] for base in form_class.__mro__ if "Meta" in vars(base)]
    return next((found for meta in metas if (found := getattr(meta, name, default)) is not default), None)


def _process_decimal(field: wtforms.DecimalField, process: Callable[..., None], values: object) -> None:
    """Reject a signalling NaN, which WTForms accepts but its own validators fail on."""
    process(values)
    if isinstance(field.data, Decimal) and field.data.is_snan():
        field.data = None
        raise ValueError(field.gettext("Not a valid decimal value."))


def _gather_errors(form: Iterable[wtforms.Field]) -> None:
    """Add the errors of entries to their lists of fields: WTForms only includes those of the synchronous validators."""
    for field in form:
        if _is_form_field(field):
            _gather_errors(field.form)
        elif _is_field_list(field):
            _gather_errors(field)
            if any(entry.errors for entry in field):
                field.errors = [*(entry.errors for entry in field), *_own_errors(field)]


def _decode(name: str) -> str:
    """Return the decoded name of a field; Tornado leaves those of urlencoded forms in Latin-1."""
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name


def _field_html(field: wtforms.Field) -> Markup:
    if isinstance(field, wtforms.HiddenField):
        return Markup("{}").format(field)
    if _is_form_field(field) or _is_field_list(field):
        inner = Markup("").join(map(_field_html, field)) + _errors_html(_own_errors(field))
        return Markup("<fieldset><legend>{}</legend>{}</fieldset>").format(field.label.text, inner)
    label = "" if isinstance(field, wtforms.SubmitField) else field.label()
    about = Markup("<small>{}</small>").format(field.description) if field.description else ""
    control = field(aria_invalid="true") if field.errors else field()
    return Markup('<div class="field">{} {}{}{}</div>').format(label, control, about, _errors_html(field.errors))


def _errors_html(errors: Iterable[object]) -> Markup:
    items = Markup("").join(map(Markup("<li>{}</li>").format, errors))
    return Markup('<ul class="errors">{}</ul>').format(items) if items else items


def _own_errors(field: wtforms.Field) -> list[object]:
    """Return the errors of a list itself, without those of its entries; for a nested form, the form's own."""
    if _is_form_field(field):
        return list(field.form.form_errors)
    return [each for each in field.errors if not isinstance(each, list | tuple | dict)]


def _is_form_field(field: object) -> "TypeGuard[wtforms.FormField[Any]]":
    return isinstance(field, wtforms.FormField)


def _is_field_list(field: object) -> "TypeGuard[wtforms.FieldList[Any]]":
    return isinstance(field, wtforms.FieldList)
