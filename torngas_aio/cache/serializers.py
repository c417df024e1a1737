"""From a value to bytes and back, by a name in the settings.

    'pickle'         any Python object (default); only for a store that nobody else can write
    'safe-pickle'    the same bytes; plain data types only, no code of any kind is loaded
    'signed-pickle'  pickle under HMAC-SHA256 with OPTIONS['SECRET_KEY']; a forged value is refused
    'json'           plain data, readable by other programs
    'msgpack'        plain data, small and fast (needs msgspec)

An `int` of 64 bits is always written as its decimal digits, so that every store can count with it.
Begin with `make_serializer`.
"""

import hmac
import io
import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torngas_aio._importing import import_object
from torngas_aio.exception import ConfigError, SerializationError

__all__ = [
    "JsonSerializer",
    "MsgpackSerializer",
    "PickleSerializer",
    "SafePickleSerializer",
    "Serializer",
    "SignedPickleSerializer",
    "make_serializer",
]

MIN_SECRET_BYTES = 16
_TAG_BYTES = 32
_COUNTED = 2**63  # integers within 64 bits, which stores can count with
_SIGNED = b"s"
_PACKED = b"\xc1"  # SPEC: msgpack never uses this byte, so no packed value can look like digits


class Serializer(ABC):
    """Writes values as bytes and reads them back; a subclass writes and reads what is not an `int`."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:  # noqa: B027 - most need nothing
        """Take what it needs from *options*, the cache's OPTIONS."""

    def dumps(self, value: Any) -> bytes:
        """Return *value* as bytes.

        Raises:
            SerializationError: It cannot be written.
        """
        if type(value) is int and -_COUNTED <= value < _COUNTED:
            return b"%d" % value
        try:
            return self.write(value)
        except Exception as exc:  # a frontier: a value's own __reduce__ may raise anything
            raise SerializationError(f"A value of type {type(value).__name__} cannot be written: {exc}") from exc

    def loads(self, data: bytes) -> Any:
        """Return the value that `dumps` wrote.

        Raises:
            SerializationError: These bytes were written by something else, or altered.
        """
        try:
            if data[:1] not in _DIGIT_HEADS:
                return self.read(data)
            try:
                return int(data)
            except ValueError:
                return self.read(data)
        except SerializationError:
            raise
        except Exception as exc:  # a frontier: hostile bytes may raise anything
            raise SerializationError(f"{len(data)} stored bytes cannot be read: {exc}") from exc

    def check(self, value: Any, path: str) -> None:  # noqa: B027 - pickle takes whatever pickles
        """Look whether *value* would come back as it went.

        Raises:
            SerializationError: It would not; the message names the place, beginning with *path*.
        """

    @abstractmethod
    def write(self, value: Any) -> bytes:
        """Return *value* as bytes that are not a decimal integer, save for an `int` beyond 64 bits."""

    def write_checked(self, value: Any) -> bytes:
        """Return *value*, which `check` has passed or `read` has given, as `write` would."""
        return self.write(value)

    @abstractmethod
    def read(self, data: bytes) -> Any:
        """Return the value of *data*, which `write` gave."""


_DIGIT_HEADS = frozenset(b"%d" % digit for digit in range(10)) | {b"-"}


class PickleSerializer(Serializer):
    """Any Python object. Whoever can write to the store can run code here: keep the store to yourself."""

    def write(self, value: Any) -> bytes:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def read(self, data: bytes) -> Any:
        return pickle.loads(data)  # noqa: S301 - the seed's format, for a store of one's own


class SafePickleSerializer(PickleSerializer):
    """Pickle that reads plain data only: numbers, text, bytes, containers, dates, decimals, UUIDs."""

    def read(self, data: bytes) -> Any:
        return _SafeUnpickler(io.BytesIO(data)).load()


class SignedPickleSerializer(PickleSerializer):
    """Pickle that reads only what was written with the same OPTIONS['SECRET_KEY'] (16 bytes or more)."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        secret = (options or {}).get("SECRET_KEY") or b""
        self._secret = secret.encode() if isinstance(secret, str) else bytes(secret)
        if len(self._secret) < MIN_SECRET_BYTES:
            raise ConfigError(
                f"OPTIONS['SECRET_KEY'] of a signed-pickle cache has {len(self._secret)} bytes; "
                f"give it {MIN_SECRET_BYTES} or more random ones."
            )

    def write(self, value: Any) -> bytes:
        data = super().write(value)
        return _SIGNED + self._tag(data) + data

    def read(self, data: bytes) -> Any:
        head, tag, body = data[:1], data[1 : 1 + _TAG_BYTES], data[1 + _TAG_BYTES :]
        if head != _SIGNED or not hmac.compare_digest(tag, self._tag(body)):
            raise SerializationError("A stored value carries no valid signature; it was not read.")
        return super().read(body)

    def _tag(self, data: bytes) -> bytes:
        return hmac.digest(self._secret, data, "sha256")


class JsonSerializer(Serializer):
    """None, booleans, numbers, text, lists and dicts with text keys; a tuple is refused, not turned into a list."""

    def check(self, value: Any, path: str) -> None:
        refuse_lossy(value, path, _JSON_ATOMS)

    def write(self, value: Any) -> bytes:
        refuse_lossy(value, "value", _JSON_ATOMS)
        return self.write_checked(value)

    def write_checked(self, value: Any) -> bytes:
        return _encode_json(value).encode()

    def read(self, data: bytes) -> Any:
        return _decode_json(data.decode())


class MsgpackSerializer(Serializer):
    """What msgpack holds: JSON's types and bytes, written by msgspec."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        try:
            import msgspec.msgpack
        except ImportError as exc:
            raise ConfigError("SERIALIZER 'msgpack' needs msgspec: install 'torngas-aio[msgpack]'.") from exc
        self._write = msgspec.msgpack.Encoder().encode
        self._read = msgspec.msgpack.Decoder().decode

    def check(self, value: Any, path: str) -> None:
        refuse_lossy(value, path, _MSGPACK_ATOMS)

    def write(self, value: Any) -> bytes:
        refuse_lossy(value, "value", _MSGPACK_ATOMS)
        return _PACKED + self._write(value)

    def read(self, data: bytes) -> Any:
        if data[:1] != _PACKED:
            raise SerializationError("A stored value was not written by the msgpack serializer.")
        return self._read(data[1:])


def make_serializer(spec: "str | type[Serializer] | Serializer | None", options: Mapping[str, Any]) -> Serializer:
    """Return the serializer that the setting SERIALIZER names: a short name, a dotted path, a class, an object."""
    if isinstance(spec, Serializer):
        return spec
    found: Any = _NAMED.get(spec or "pickle", spec) if isinstance(spec, str) or spec is None else spec
    if isinstance(found, str):
        try:
            found = import_object(found)
        except ImportError as exc:
            names = ", ".join(map(repr, _NAMED))
            raise ConfigError(f"SERIALIZER = {spec!r}: {exc} Write one of {names}, or a dotted path.") from exc
    if not (isinstance(found, type) and issubclass(found, Serializer)):
        raise ConfigError(f"SERIALIZER = {spec!r} is no subclass of torngas_aio.cache.serializers.Serializer.")
    return found(options)


def refuse_lossy(value: Any, path: str, atoms: frozenset[type]) -> None:
    """Raise when *value* would come back as something else, naming the place; *atoms* come back as they go.

    Raises:
        SerializationError: A tuple, a set, a subclass, a key that is not text, an object.
    """
    kind = type(value)
    if kind in atoms:
        return
    if kind is list:
        for place, item in enumerate(value):
            if type(item) not in atoms:
                refuse_lossy(item, f"{path}[{place}]", atoms)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise SerializationError(f"{path} has the key {key!r} of type {_kind_name(key)}; keys are str.")
            if type(item) not in atoms:
                refuse_lossy(item, f"{path}[{key!r}]", atoms)
    else:
        raise SerializationError(
            f"{path} is of type {_kind_name(value)}, which would not come back as it went. "
            "Convert it first, such as a tuple to a list or a date to text."
        )


def _kind_name(value: object) -> str:
    """Return the name of *value*'s class, as messages show it."""
    return type(value).__qualname__


_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # built once: -3 us a value

_decode_json = json.JSONDecoder().decode  # given text: no guess at the encoding

_JSON_ATOMS: frozenset[type] = frozenset({type(None), bool, int, float, str})
_MSGPACK_ATOMS = _JSON_ATOMS | {bytes}

_NAMED: dict[str, type[Serializer]] = {
    "pickle": PickleSerializer,
    "safe-pickle": SafePickleSerializer,
    "signed-pickle": SignedPickleSerializer,
    "json": JsonSerializer,
    "msgpack": MsgpackSerializer,
}

_SAFE_CLASSES = {
    ("builtins", "complex"), ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "bytearray"),
    ("builtins", "range"), ("builtins", "slice"), ("datetime", "datetime"), ("datetime", "date"),
    ("datetime", "time"), ("datetime", "timedelta"), ("datetime", "timezone"), ("decimal", "Decimal"),
    ("uuid", "UUID"), ("collections", "OrderedDict"), ("collections", "deque"), ("fractions", "Fraction"),
}  # fmt: skip


class _SafeUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) in _SAFE_CLASSES:
            return super().find_class(module_name, global_name)
        raise SerializationError(f"A stored pickle wants {module_name}.{global_name}, which is not plain data.")
