"""Typed requests and responses: parameters, bodies and outputs declared on a handler's methods. Extra `api`.

markers.py      Path Query Header Cookie Form File Body, Param
binding.py      methods that read their marked parameters from the request
conversion.py   values to declared types, reporting all faults    messages.py  the messages for clients
declared_types.py  fields of a type, and its JSON Schema
output.py       a returned value as JSON of the declared type
openapi.py      the OpenAPI document of an application            page.py      Swagger UI, which shows it
"""

from torngas_aio.api.binding import bind_methods
from torngas_aio.api.conversion import FieldError, InvalidRequest
from torngas_aio.api.markers import Body, Cookie, File, Form, Header, Param, Path, Query
from torngas_aio.api.output import Page, returns
from torngas_aio.handler.api import Accepted, Created, NoContent, Reply

__all__ = [
    "Accepted",
    "Body",
    "Cookie",
    "Created",
    "FieldError",
    "File",
    "Form",
    "Header",
    "InvalidRequest",
    "NoContent",
    "Page",
    "Param",
    "Path",
    "Query",
    "Reply",
    "bind_methods",
    "returns",
]
