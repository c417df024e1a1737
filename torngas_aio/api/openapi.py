"""The OpenAPI 3.1 document of an application, from its routes and the declarations of their methods.

    paths, parameters     routes and markers         responses    outputs, and the modules of the route
    tags                  the handler's package      texts        docstrings

Modules and middlewares describe their effect on operations by two attributes; a handler class may have the first:

    openapi_responses = {429: "Too many requests."}
    openapi_security = {"bearer": {"type": "http", "scheme": "bearer"}}
"""

import http.client
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from torngas_aio._json import JsonObject
from torngas_aio.api.binding import Binding, Parameter
from torngas_aio.api.declared_types import REF, schemas_of, without_none
from torngas_aio.checks.references import imported
from torngas_aio.handler import ApiHandler
from torngas_aio.handler.host import HostApplication
from torngas_aio.routing import Route
from torngas_aio.settings_manager import settings

__all__ = ["DOCUMENT_PATH", "OpenAPIHandler", "make_document"]

DOCUMENT_PATH = "/-/openapi.json"
"""Default path of the document; OPENAPI['path'] overrides it."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_GROUP = re.compile(r"\((?:\?P<(?P<name>\w+)>|(?P<other>\?[^)]))?(?:[^()]|\([^()]*\))*\)[*+?]?")
_FIELD_ERROR = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("in", "path", "code", "message")},
    "required": ["in", "path", "code", "message"],
}
_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": REF.format(name="FieldError")}},
    },
    "required": ["type", "title", "status"],
}
_OUR_SCHEMAS = {"FieldError": _FIELD_ERROR, "Problem": _PROBLEM}


def make_document(
    application: HostApplication,
    *,
    title: str = "API",
    version: str = "1",
    description: str = "",
    shows_guarded: bool = True,
) -> JsonObject:
    """Return the document as plain values.

    Args:
        application: The application whose routes to `ApiHandler`s and to handlers with markers are described.
        title: Title of the document; *version* and *description* likewise.
        shows_guarded: Whether to include operations with a security scheme.
    """
    info = {"title": title, "version": version} | ({"description": description} if description else {})
    first_pass = _Document(application, shows_guarded)
    first_pass.make(info)
    return _Document(application, shows_guarded, first_pass.kinds).make(info)


class OpenAPIHandler(ApiHandler):
    """The handler of the document.

    OPENAPI: `title`, `version`, `description`. OPENAPI_GUARD: the dotted path of an `async def guard(handler) -> bool`
    that returns whether to show guarded operations (default: to all clients).
    """

    async def get(self) -> Any:
        options, guard = settings.OPENAPI, settings.OPENAPI_GUARD
        sees_all = guard is None or bool(await imported("OPENAPI_GUARD", guard, wants_class=False)(self))
        made = _documents.setdefault(self.application, {})
        if sees_all not in made:
            texts = {key: options[key] for key in ("title", "version", "description") if key in options}
            made[sees_all] = make_document(self.application, shows_guarded=sees_all, **texts)
        return made[sees_all]


_documents: WeakKeyDictionary[HostApplication, dict[bool, JsonObject]] = WeakKeyDictionary()


class _Document:
    """A document, created in two passes, since types with the same name can be distinguished only when all are known.

    Both passes request schemas in the same order. The first collects the types; the second uses schemas made from all
    of them together.

    Args:
        kinds: The types from the first pass over the same routes; None: this is the first pass.

    Attributes:
        kinds: The types described, in order.
    """

    def __init__(
        self, application: HostApplication, shows_guarded: bool, kinds: Sequence[object] | None = None
    ) -> None:
        self._application = application
        self._shows_guarded = shows_guarded
        self.kinds: list[Any] = []
        self._schemas: JsonObject = {}
        self._schemas_in_order: Iterator[JsonObject] | None = None
        if kinds is not None:
            in_order, self._schemas = schemas_of(kinds, _OUR_SCHEMAS)
            self._schemas_in_order = iter(in_order)
        self._security: JsonObject = {}
        self._ids: set[str] = set()

    def make(self, info: JsonObject) -> JsonObject:
        paths: JsonObject = {}
        for route in self._application.wildcard_router.routes():
            if not route.handler_class.__module__.startswith("torngas_aio."):  # health checks, this document
                for method, operation in self._operations(route):
                    paths.setdefault(template_of(route), {}).setdefault(method, operation)
        schemas = {**_OUR_SCHEMAS, **self._schemas}
        components = {"schemas": dict(sorted(schemas.items()))}
        if self._security:
            components["securitySchemes"] = self._security
        return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}

    def _operations(self, route: Route) -> Iterator[tuple[str, JsonObject]]:
        owners = list(self._owners(route))
        security = {name: scheme for each in owners for name, scheme in getattr(each, "openapi_security", {}).items()}
        if security and not self._shows_guarded:
            return
        for name in _METHODS:
            method = getattr(route.handler_class, name, None)
            binding: Binding | None = getattr(method, "binding", None)
            is_api = issubclass(route.handler_class, ApiHandler) and _is_implemented(route.handler_class, name)
            if method is None or not (binding or is_api):
                continue
            self._security |= security
            operation = self._operation(route, name, binding.method if binding else method, binding)
            for each in (*owners, route.handler_class):
                for status, text in getattr(each, "openapi_responses", {}).items():
                    operation["responses"].setdefault(str(status), _problem(text))
            if security:
                operation["security"] = [{scheme: []} for scheme in security]
            yield name, operation

    def _operation(self, route: Route, name: str, method: object, binding: Binding | None) -> JsonObject:
        summary, _, rest = (inspect.getdoc(method) or "").partition("\n")
        operation: JsonObject = {
            "operationId": self._id(f"{route.name or route.handler_class.__name__}_{name}"),
            "tags": [route.handler_class.__module__.partition(".")[0]],
        }
        operation |= {"summary": summary} if summary else {}
        operation |= {"description": rest.strip()} if rest.strip() else {}
        declared = {each.key: each for each in binding.parameters} if binding else {}
        keys = [key for key in _keys_of(route, binding) if f"{{{key}}}" in template_of(route)]
        parameters = [self._path_parameter(route, key, binding) for key in keys]
        parameters += [
            found
            for each in declared.values()
            if each.place in {"query", "header", "cookie"}
            for found in self._describe_parameter(each)
        ]
        operation |= {"parameters": parameters} if parameters else {}
        body = self._body(list(declared.values()))
        operation |= {"requestBody": body} if body else {}
        operation["responses"] = self._responses(binding, bool(declared), bool(body))
        if any(each.place == "body" for each in declared.values()):
            operation["responses"]["415"] = _problem("It is not JSON.")
        if any(each["in"] == "path" for each in parameters):  # a value may not match the pattern
            is_api = issubclass(route.handler_class, ApiHandler)
            absent = "Nothing has this address."
            operation["responses"]["404"] = _problem(absent) if is_api else {"description": absent}
        return operation

    def _responses(self, binding: Binding | None, is_checked: bool, has_body: bool) -> JsonObject:
        kinds = {200: None} if binding is None or binding.output is None else binding.output.kinds
        responses: JsonObject = {}
        for status, kind in kinds.items():
            responses[str(status)] = {"description": http.client.responses.get(status, "Success")}
            if kind is not None:
                responses[str(status)]["content"] = {"application/json": {"schema": self._schema(kind)}}
        if has_body:
            responses |= {"400": _problem("It cannot be parsed."), "413": _problem("It is too large.")}
        if is_checked:
            responses |= {"422": _problem("Values are missing or do not fit.")}
        return responses

    def _path_parameter(self, route: Route, key: str, binding: Binding | None) -> JsonObject:
        marked = () if binding is None else binding.parameters
        found = next((each for each in marked if each.place == "path" and each.key == key), None)
        if found is None:
            return {"name": key, "in": "path", "required": True, "schema": {"type": "string"}}
        return next(self._describe_parameter(found)) | {"required": True}

    def _describe_parameter(self, parameter: Parameter) -> Iterator[JsonObject]:
        if parameter.fields:  # one argument for each field
            name = self._schema(without_none(parameter.kind))["$ref"].rpartition("/")[2]
            schema = self._schemas[name]
            for key, part in schema["properties"].items():
                is_needed = parameter.is_required and key in schema.get("required", ())
                yield {"name": key, "in": parameter.place, "required": is_needed, "schema": part}
            return
        described = {"name": parameter.key, "in": parameter.place, "required": parameter.is_required}
        described |= {"description": parameter.param.description} if parameter.param.description else {}
        schema = self._schema(parameter.kind)
        if not parameter.is_required and parameter.default is not None:
            schema = schema | {"default": msgspec.to_builtins(parameter.default)}
        extra = {key: getattr(parameter.param, key) for key in ("title", "examples") if getattr(parameter.param, key)}
        yield described | {"schema": schema | extra}

    def _body(self, parameters: list[Parameter]) -> JsonObject | None:
        for each in parameters:
            if each.place == "body":
                content = {"application/json": {"schema": self._schema(each.kind)}}
                return {"required": each.is_required, "content": content}
        fields = [each for each in parameters if each.place in {"form", "file"}]
        if not fields:
            return None
        has_files = any(each.place == "file" for each in fields)
        media_type = "multipart/form-data" if has_files else "application/x-www-form-urlencoded"
        limited = {each.key: each.param.content_types for each in fields if each.param.content_types}
        types = {key: {"contentType": ", ".join(allowed)} for key, allowed in limited.items()}
        content = {"schema": self._form(fields)} | ({"encoding": types} if types else {})
        return {"required": True, "content": {media_type: content}}

    def _form(self, fields: list[Parameter]) -> JsonObject:
        properties: JsonObject = {}
        required: list[str] = []
        for each in fields:
            if each.place == "file":
                # `format` is from OpenAPI 3.0: Swagger UI and client generators still use it
                one = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
                properties[each.key] = {"type": "array", "items": one} if each.is_list else one
                required += [each.key] if each.is_required else []
                continue
            for found in self._describe_parameter(each):
                properties[found["name"]] = found["schema"]
                required += [found["name"]] if found["required"] else []
        names = {"minLength": 1}  # SPEC: RFC 7578 4.2: each part must have a name
        return {"type": "object", "properties": properties, "propertyNames": names} | (
            {"required": required} if required else {}
        )

    def _schema(self, kind: object) -> JsonObject:
        self.kinds.append(kind)
        if self._schemas_in_order is not None:
            return next(self._schemas_in_order)
        (schema,), self._schemas = schemas_of([kind], _OUR_SCHEMAS)
        return schema

    def _owners(self, route: Route) -> Iterator[object]:
        """Yield the middlewares and modules whose hooks run for *route* regardless of the path."""
        hooks = self._application.pipeline.stages_for(route.name).hooks.values()
        owners = (getattr(hook.call, "__self__", None) for each in hooks for hook in each)
        yield from {id(owner): owner for owner in owners if owner is not None}.values()

    def _id(self, wanted: str) -> str:
        clean = re.sub(r"\W+", "_", wanted)
        number, found = 1, clean
        while found in self._ids:
            number += 1
            found = f"{clean}_{number}"
        self._ids.add(found)
        return found


def template_of(route: Route) -> str:
    """Return the path of *route* with `{name}` for each group, without optional parts."""
    keys = iter(_keys_of(route, _first_binding(route)))

    def gap(match: re.Match[str]) -> str:
        if match["other"] is not None:
            return ""
        return f"{{{next(keys, 'value')}}}"

    text = _GROUP.sub(gap, route.pattern.removeprefix("^"))
    return re.sub(r"\\(.)", r"\1", re.sub(r"/\?$", "", text)) or "/"


def _first_binding(route: Route) -> Binding | None:
    found = (getattr(getattr(route.handler_class, name, None), "binding", None) for name in _METHODS)
    return next((each for each in found if each is not None), None)


def _keys_of(route: Route, binding: Binding | None) -> list[str]:
    """Return the names of the groups of *route*; for unnamed groups those of the marked parameters."""
    regex = getattr(route.rule.matcher, "regex", None)
    if regex is None:
        return []
    if regex.groupindex:
        return list(regex.groupindex)
    declared = [each.key for each in (binding or _first_binding(route) or _NOTHING).parameters if each.place == "path"]
    return [*declared, *(f"value{number + 1}" for number in range(len(declared), regex.groups))][: regex.groups]


_NOTHING = Binding(lambda: None, (), None)


def _is_implemented(handler_class: type, name: str) -> bool:
    return any(name in vars(base) for base in handler_class.__mro__ if not base.__module__.startswith(_OWN))


_OWN = ("torngas_aio.handler", "tornado.")


def _problem(text: str) -> JsonObject:
    schema = {"$ref": REF.format(name="Problem")}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}
