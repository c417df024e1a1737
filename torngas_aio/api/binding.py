"""Binding of a handler's methods: marked parameters are read from the request before the method is called.

The method is replaced by a function whose arguments are the groups of the route's pattern. This happens once, when the
first application with a route to the class is built; methods without markers are not changed.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from torngas_aio._json import check_limits
from torngas_aio.api.conversion import Converter, InvalidRequest, Problems, make_converter
from torngas_aio.api.declared_types import fields_of, without_none
from torngas_aio.api.markers import Param, Source
from torngas_aio.api.output import Output, answer_none, output_of
from torngas_aio.exception import UrlError
from torngas_aio.handler import ApiHandler, BaseHandler
from torngas_aio.http.forms import check_coding, media_type_of
from torngas_aio.http.uploads import UploadedFile, has_type

__all__ = ["Binding", "Parameter", "bind_methods", "is_bound"]

T = TypeVar("T")

_LIMITS = frozenset({"ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # SPEC: RFC 9110 5.6.2
_REQUIRED = inspect.Parameter.empty
_FAULTY: object = object()  # returned by a reader that has reported a fault
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


class Parameter:
    """One marked parameter.

    Attributes:
        name: Its name in the method.
        key: Its name in the request.
        place: path, query, header, cookie, form, file or body.
        kind: The declared type, with its limits.
        default: The default value; `inspect.Parameter.empty` if the parameter is required.
    """

    def __init__(self, name: str, place: str, kind: object, param: Param, default: object) -> None:
        self.name = name
        self.place = place
        self.param = param
        self.key = param.name or (name.replace("_", "-") if place == "header" else name)
        if place in {"header", "cookie"} and not _TOKEN.fullmatch(self.key):
            raise TypeError(f"{self.key!r} is no name of a {place}. Use letters, digits and !#$%&'*+-.^_`|~.")
        limits = {key: getattr(param, key) for key in _LIMITS if getattr(param, key) is not None}
        self.kind = Annotated[kind, msgspec.Meta(**limits)] if limits else kind
        self.default = default
        plain = without_none(kind)
        self.is_list = (get_origin(plain) or plain) in {list, set, frozenset, tuple}
        self.is_upload = place == "file" and UploadedFile in {plain, *get_args(plain)}
        self.fields = fields_of(plain) if place in {"query", "form"} else ()
        self.converter: Converter | None = None if place == "file" or kind is str else make_converter(self.kind)
        if default is not _REQUIRED and default is not None and place != "file":
            msgspec.convert(msgspec.to_builtins(default), self.kind, str_keys=True)

    @property
    def is_required(self) -> bool:
        return self.default is _REQUIRED


class Binding:
    """A method with its marked parameters and its declared output.

    Attributes:
        method: The project's function.
        parameters: The marked parameters.
        output: The declared output; None: the returned value is written as by any `ApiHandler`.
    """

    def __init__(self, method: Callable[..., object], parameters: Sequence[Parameter], output: Output | None) -> None:
        self.method = method
        self.parameters = tuple(parameters)
        self.output = output
        self._path_names = [each.name for each in parameters if each.place == "path"]
        self._names_of_keys = {each.key: each.name for each in parameters if each.place == "path"}
        self._readers = [(each, _READERS[each.place]) for each in parameters if each.place != "path"]
        self._paths = {each.name: each for each in parameters if each.place == "path"}

    def arguments(self, handler: ApiHandler, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the method's arguments from the request.

        Raises:
            InvalidRequest: Values are missing or invalid; lists all of them.
        """
        problems = Problems()
        found: dict[str, object] = {}
        for name, text in zip(self._path_names, args, strict=False):
            self._take(self._paths[name], text, problems, found)
        for key, text in kwargs.items():
            name = self._names_of_keys.get(key, key)
            parameter = self._paths.get(name)
            if parameter is None:
                found[name] = text  # not marked: the text of the group
            else:
                self._take(parameter, text, problems, found)
        for parameter, read in self._readers:
            value = read(handler, parameter, problems)
            if value is _FAULTY:
                continue
            if parameter.place == "body":
                if value is not _REQUIRED:
                    found[parameter.name] = value
            else:
                self._take(parameter, value, problems, found)
        if problems.errors:
            raise InvalidRequest(problems.errors)
        return found

    def _take(self, parameter: Parameter, value: object, problems: Problems, found: dict[str, object]) -> None:
        if value is _REQUIRED or value is None:
            if parameter.is_required:
                problems.add(parameter.place, parameter.key, "missing")
            return  # use the default of the method
        if parameter.converter is not None:
            path = "" if parameter.fields else parameter.key
            value = parameter.converter.from_text(value, parameter.place, path, problems)
        found[parameter.name] = value


def bind_methods(handler_class: type) -> None:
    """Replace the methods of *handler_class* with marked parameters or a declared output by bound ones.

    Raises:
        UrlError: Markers are invalid; lists all faults of the class.
    """
    faults: list[str] = []
    for name in _METHODS:
        owner = next((base for base in handler_class.__mro__ if name in vars(base)), None)
        method = None if owner is None else vars(owner)[name]
        if not inspect.isfunction(method) or hasattr(method, "binding"):
            continue
        if not _may_declare(method):
            continue
        try:
            binding = _binding_of(method, responds=issubclass(handler_class, ApiHandler))
        except (TypeError, NameError, ValueError, AttributeError) as exc:  # raised by the project's annotations
            faults.append(f"{method.__module__}.{method.__qualname__}: {exc}")
            continue
        if binding is not None:
            setattr(owner, name, _bound(method, binding))
            if any(each.is_upload for each in binding.parameters):
                _spool(handler_class)
    UrlError.gather(faults, code="TGA205")


def _spool(handler_class: type) -> None:
    """Enable spooling of large bodies, unless a class of the project sets `spool_body`."""
    if next((base for base in handler_class.__mro__ if "spool_body" in vars(base)), BaseHandler) is BaseHandler:
        handler_class.spool_body = True  # type: ignore[attr-defined]


def is_bound(handler_class: type) -> bool:
    """Return whether a method of *handler_class* has been bound."""
    return any(hasattr(getattr(handler_class, name, None), "binding") for name in _METHODS)


def _may_declare(method: Callable[..., object]) -> bool:
    return bool(getattr(inspect.unwrap(method), "__annotations__", None)) or hasattr(method, "declared_output")


def _binding_of(method: Callable[..., object], *, responds: bool) -> Binding | None:
    inner = inspect.unwrap(method)
    hints = get_type_hints(inner, include_extras=True)
    parameters = list(_parameters(inspect.signature(method), hints))
    if sum(each.place == "body" for each in parameters) > 1:
        raise TypeError("one parameter only can be the Body. Declare one type that holds both.")
    places = {each.place for each in parameters}
    if "body" in places and places & {"form", "file"}:
        raise TypeError("the body cannot be JSON (Body) and a form (Form, File) at once.")
    if hasattr(method, "declared_output") and not responds:
        raise TypeError("@returns works in an ApiHandler, which responds with what its methods return.")
    output = output_of(method, hints.get("return")) if responds else None
    return Binding(method, parameters, output) if parameters or output is not None else None


def _parameters(signature: inspect.Signature, hints: Mapping[str, object]) -> Iterator[Parameter]:
    for name, parameter in signature.parameters.items():
        hint = hints.get(name)
        source = _metadata(hint, Source)
        if source is None:
            continue
        try:
            yield Parameter(name, source.place, _kind_of(hint), _metadata(hint, Param) or Param(), parameter.default)
        except (TypeError, msgspec.ValidationError) as exc:
            raise TypeError(f"parameter {name!r}: {exc}") from exc


def _metadata(hint: object, kind: type[T]) -> T | None:
    """Return the first metadata object of type *kind* in *hint*."""
    marks = getattr(hint, "__metadata__", ())
    return next((each for each in marks if isinstance(each, kind)), None)


def _kind_of(hint: object) -> object:
    """Return the type in *hint* without our markers, keeping other metadata."""
    kind, *marks = get_args(hint)
    kept = [each for each in marks if not isinstance(each, Source | Param)]
    return Annotated[(kind, *kept)] if kept else kind


def _bound(method: Callable[..., object], binding: Binding) -> Callable[..., object]:
    def call(handler: ApiHandler, /, *args: object, **kwargs: object) -> object:
        output = binding.output
        if output is None:
            return method(handler, **binding.arguments(handler, args, kwargs))
        handler.declare_output(output)
        result = method(handler, **binding.arguments(handler, args, kwargs))
        return result if output.kind is None else answer_none(handler, result)

    functools.update_wrapper(call, method)
    vars(call).pop("__wrapped__")  # otherwise its signature would be compared with the pattern
    call.binding = binding  # type: ignore[attr-defined]
    call.__signature__ = _pattern_signature(method, binding)  # type: ignore[attr-defined]
    return call


def _pattern_signature(method: Callable[..., object], binding: Binding) -> inspect.Signature:
    others = {each.name for each in binding.parameters if each.place != "path"}
    keys = {each.name: each.key for each in binding.parameters}
    signature = inspect.signature(method)
    own = [each for each in signature.parameters.values() if each.name not in others]
    return signature.replace(parameters=[each.replace(name=keys.get(each.name, each.name)) for each in own])


def _read_query(handler: ApiHandler, parameter: Parameter, problems: Problems) -> object:
    return _from_lists(handler.request.query_arguments, parameter, problems)


def _read_form(handler: ApiHandler, parameter: Parameter, problems: Problems) -> object:
    return _from_lists(handler.request.body_arguments, parameter, problems)


def _from_lists(arguments: Mapping[str, list[bytes]], parameter: Parameter, problems: Problems) -> object:
    if parameter.fields:
        names = {each.encode_name: _is_list_field(each) for each in parameter.fields}
        present = {name: arguments[name] for name in names if arguments.get(name)}
        if not present and not parameter.is_required:
            return _REQUIRED  # use the default of the parameter
        found = {name: _decode(given, names[name], name, parameter, problems) for name, given in present.items()}
        return _FAULTY if _FAULTY in found.values() else found
    given = arguments.get(parameter.key)
    return _decode(given, parameter.is_list, parameter.key, parameter, problems) if given else _REQUIRED


def _is_list_field(field: Any) -> bool:
    kinds = getattr(field.type, "types", (field.type,))
    return any(hasattr(kind, "item_type") for kind in kinds)


def _decode(given: list[bytes], is_list: bool, key: str, parameter: Parameter, problems: Problems) -> object:
    try:
        return [each.decode() for each in given] if is_list else given[-1].decode()
    except UnicodeDecodeError:
        problems.add(parameter.place, key, "encoding")
        return _FAULTY


def _read_header(handler: ApiHandler, parameter: Parameter, problems: Problems) -> object:
    headers = handler.request.headers
    if parameter.key not in headers:
        return _REQUIRED
    return headers.get_list(parameter.key) if parameter.is_list else headers[parameter.key]


def _read_cookie(handler: ApiHandler, parameter: Parameter, problems: Problems) -> object:
    found = handler.request.cookies.get(parameter.key)
    return _REQUIRED if found is None else found.value


def _read_file(handler: ApiHandler, parameter: Parameter, problems: Problems) -> object:
    given = handler.request.files.get(parameter.key)
    if not given:
        return _REQUIRED
    if not parameter.is_upload:
        return list(given) if parameter.is_list else given[0]
    files = [UploadedFile(file) for file in (given if parameter.is_list else given[:1])]
    for file in files:
        if parameter.param.max_bytes is not None and file.size > parameter.param.max_bytes:
            problems.add("file", parameter.key, "too_large", limit=parameter.param.max_bytes)
        if parameter.param.content_types and not has_type(file, parameter.param.content_types):
            problems.add("file", parameter.key, "content_type")
    return files if parameter.is_list else files[0]


def _read_body(handler: ApiHandler, parameter: Parameter, problems: Problems) -> object:
    request = handler.request
    fields = request.body_fields
    check_coding(fields)
    is_large = request.spool is not None and request.spool.size > handler.max_json_bytes
    body: bytes = b" " if is_large else request.body  # `get_json_body` will refuse it
    if not body and not parameter.is_required:
        return _REQUIRED
    media_type = media_type_of(fields)
    if media_type not in {"", "application/json"} and not media_type.endswith("+json"):
        problems.add("body", "", "media_type")
    else:
        assert parameter.converter is not None
        check = functools.partial(check_limits, body, handler.max_json_bytes, handler.max_json_depth)
        return parameter.converter.from_json(body, handler.get_json_body, problems, check=check)
    return _REQUIRED


_READERS: dict[str, Callable[[ApiHandler, Parameter, Problems], object]] = {
    "query": _read_query,
    "header": _read_header,
    "cookie": _read_cookie,
    "form": _read_form,
    "file": _read_file,
    "body": _read_body,
}
