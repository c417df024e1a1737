"""Serializers: values to bytes and back, selected by name in the settings.

    'signed-pickle'  any Python object, signed (keyed BLAKE2b) and bound to its key; a forged value is a miss.
                     The default for shared stores. Key: OPTIONS['SECRET_KEY'], else the project's cookie_secret
    'pickle'         any Python object, unsigned: a program that can write to the store can run code here.
                     The default for in-process memory
    'safe-pickle'    the format of 'pickle', restricted to plain data types; reading never imports code
    'json'           plain data, readable by other programs
    'msgpack'        plain data, small and fast (needs msgspec)

An `int` within 64 bits is always written as decimal digits without a signature, so that the store can increment it.
"""

import contextlib
import hmac
import io
import json
import logging
import pickle
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from torngas_aio._masking import show_setting
from torngas_aio._names import import_object
from torngas_aio.cache.plain_data import JSON_ATOMS, MSGPACK_ATOMS, PlainUnpickler, refuse_lossy
from torngas_aio.exception import ConfigError, InvalidSignature, SerializationError
from torngas_aio.utils.narrowing import is_list_or_tuple, is_mapping
from torngas_aio.utils.numbers import parse_integer

__all__ = [
    "JsonSerializer",
    "MsgpackSerializer",
    "PickleSerializer",
    "SafePickleSerializer",
    "Serializer",
    "SignedPickleSerializer",
    "make_serializer",
    "secrets_of",
    "serializer_of",
]

logger = logging.getLogger("torngas_aio.cache")

MIN_SECRET_BYTES = 16
_RUN_SECRET = secrets.token_bytes(32)
_TAG_BYTES = 32
_COUNTED = 2**63  # bound of the integers that stores can increment: 64 bits, signed
_MAX_DIGITS = 19
_SIGNED = b"s"
_BOUND = b"k"  # the signature covers the key
_PACKED = b"\xc1"  # SPEC: msgpack never uses this byte, so no packed value can look like digits


class Serializer(ABC):
    """A converter of values to bytes and back; subclasses implement `write` and `read` for values other than `int`."""

    tuples_told: set[str] | None = None
    """The places whose tuples were logged, if tuples may become lists, as in a session; None: tuples are refused."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:  # noqa: B027 - most need nothing
        """Read the serializer's settings from *options*, the cache's OPTIONS."""

    def dumps(self, value: Any) -> bytes:
        """Return *value* as bytes.

        Raises:
            SerializationError: The value cannot be serialized.
        """
        if type(value) is int and -_COUNTED <= value < _COUNTED:
            return b"%d" % value
        try:
            return self.write(value)
        except Exception as exc:  # a boundary: a value's own __reduce__ may raise anything
            raise SerializationError(f"A value of type {type(value).__name__} cannot be written: {exc}") from exc

    def loads(self, data: bytes) -> Any:
        """Return the value that `dumps` wrote.

        Raises:
            SerializationError: The bytes were altered, or not written by this serializer.
        """
        try:
            if data[:1] not in _DIGIT_HEADS:
                return self.read(data)
            number = parse_integer(data.rstrip(b" "), _MAX_DIGITS)  # memcached pads a shortened number with spaces
            return self.read(data) if number is None else number
        except SerializationError:
            raise
        except Exception as exc:  # a boundary: hostile bytes may raise anything
            raise SerializationError(f"{len(data)} stored bytes cannot be read: {exc}") from exc

    def dumps_for(self, key: str, value: Any) -> bytes:
        """Return *value* as bytes for the finished *key*; the same as `dumps` unless the signature covers the key."""
        return self.dumps(value)

    def loads_for(self, key: str, data: bytes) -> Any:
        """Return the value that `dumps_for` wrote for *key*.

        Raises:
            InvalidSignature: The bytes are not signed for this key.
            SerializationError: As `loads`.
        """
        return self.loads(data)

    def check(self, value: Any, path: str) -> None:  # noqa: B027 - pickle needs no check beforehand
        """Check that *value* would be read back unchanged.

        Raises:
            SerializationError: It would change; the message names the place, beginning with *path*.
        """

    @abstractmethod
    def write(self, value: Any) -> bytes:
        """Return *value* as bytes that are not a decimal integer, except for an `int` beyond 64 bits."""

    def write_checked(self, value: Any) -> bytes:
        """Return *value* as `write` does, without the check; *value* passed `check` or came from `read`."""
        return self.write(value)

    @abstractmethod
    def read(self, data: bytes) -> Any:
        """Return the value of *data*, which `write` produced."""


_DIGIT_HEADS = frozenset(b"%d" % digit for digit in range(10)) | {b"-"}


class PickleSerializer(Serializer):
    """Unsigned pickle of any Python object. Anyone who can write to the store can run code here: keep it private."""

    def write(self, value: Any) -> bytes:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    def read(self, data: bytes) -> Any:
        return pickle.loads(data)  # noqa: S301 - the format of torngas 1.8, for a private store


class SafePickleSerializer(PickleSerializer):
    """Pickle restricted to plain data on reading: numbers, text, bytes, containers, dates, decimals, UUIDs."""

    def read(self, data: bytes) -> Any:
        return PlainUnpickler(io.BytesIO(data)).load()


class SignedPickleSerializer(PickleSerializer):
    """Pickle that reads only values signed with one of its secrets; a value in a cache is valid for its key only.

    OPTIONS['SECRET_KEY'] is one secret of at least 16 bytes, or several: the first (in a dict, the one with the
    highest version) signs, and all are accepted on reading.

    Raises:
        ConfigError: On construction: a secret is shorter than 16 bytes, or there is none.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self._secrets = secrets_of((options or {}).get("SECRET_KEY"))
        shortest = min(map(len, self._secrets), default=0)
        if shortest < MIN_SECRET_BYTES:
            raise ConfigError(
                f"OPTIONS['SECRET_KEY'] of a signed-pickle cache has {shortest} bytes; "
                f"give it {MIN_SECRET_BYTES} or more random ones.",
                code="TGA401",
            )
        self._keys = [hmac.digest(secret, b"torngas_aio.cache", "sha256") for secret in self._secrets]

    def dumps_for(self, key: str, value: Any) -> bytes:
        if type(value) is int and -_COUNTED <= value < _COUNTED:
            return b"%d" % value
        data = _PLAIN.dumps(value)
        return _BOUND + _bound_tag(self._keys[0], key, data) + data

    def loads_for(self, key: str, data: bytes) -> Any:
        if data[:1] in _DIGIT_HEADS:
            with contextlib.suppress(ValueError):
                return int(data)
        tag, body = data[1 : 1 + _TAG_BYTES], data[1 + _TAG_BYTES :]
        if data[:1] != _BOUND or not any(
            hmac.compare_digest(tag, _bound_tag(secret, key, body)) for secret in self._keys
        ):
            raise InvalidSignature(f"The value stored under {key!r} carries no valid signature; it was not read.")
        return _PLAIN.loads(body)

    def write(self, value: Any) -> bytes:
        data = super().write(value)
        return _SIGNED + hmac.digest(self._secrets[0], data, "sha256") + data

    def read(self, data: bytes) -> Any:
        tag, body = data[1 : 1 + _TAG_BYTES], data[1 + _TAG_BYTES :]
        is_ours = data[:1] == _SIGNED and any(
            hmac.compare_digest(tag, hmac.digest(secret, body, "sha256")) for secret in self._secrets
        )
        if not is_ours:
            raise InvalidSignature("A stored value carries no valid signature; it was not read.")
        return super().read(body)


_PLAIN = PickleSerializer()


def _bound_tag(secret: bytes, key: str, data: bytes) -> bytes:
    bound = key.encode("utf-8", "surrogatepass")
    # PERF: a keyed BLAKE2b takes a third of the time of an HMAC-SHA256: 1.2 us for small values.
    return blake2b(b"%d:%b%b" % (len(bound), bound, data), key=secret, digest_size=_TAG_BYTES).digest()


def secrets_of(given: object) -> tuple[bytes, ...]:
    """Return the secrets of a setting, the signing one first; the setting is one, a list, or a dict by version.

    Raises:
        ConfigError: A secret is neither text nor bytes, or a version is not an integer.
    """
    if is_mapping(given):
        versions = [version for version in given if type(version) is int]
        if len(versions) < len(given):
            raise ConfigError(
                f"OPTIONS['SECRET_KEY'] has the versions {list(given)}: write numbers; the highest signs.",
                code="TGA401",
            )
        given = [given[version] for version in sorted(versions, reverse=True)]
    several = given if is_list_or_tuple(given) else [given]
    return tuple(each.encode() if isinstance(each, str) else _secret(each) for each in several if each)


def _secret(given: object) -> bytes:
    if not isinstance(given, bytes):  # bytes(n) of an int would be n zero bytes
        raise ConfigError(
            f"OPTIONS['SECRET_KEY'] holds a value of type {type(given).__name__}: a secret is text or bytes.",
            code="TGA401",
        )
    return given


class JsonSerializer(Serializer):
    """JSON: None, booleans, numbers, text, lists and dicts with text keys; a tuple is refused, not made a list."""

    def check(self, value: Any, path: str) -> None:
        refuse_lossy(value, path, JSON_ATOMS, self.tuples_told)

    def write(self, value: Any) -> bytes:
        refuse_lossy(value, "value", JSON_ATOMS, self.tuples_told)
        return self.write_checked(value)

    def write_checked(self, value: Any) -> bytes:
        return _encode_json(value).encode()

    def read(self, data: bytes) -> Any:
        return _decode_json(data.decode())


class MsgpackSerializer(Serializer):
    """MessagePack by msgspec: the types of JSON, and bytes.

    Raises:
        ConfigError: On construction: msgspec is not installed.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        try:
            import msgspec.msgpack
        except ImportError as exc:
            raise ConfigError(
                "SERIALIZER 'msgpack' needs msgspec: install 'torngas-aio[msgpack]'.", code="TGA401"
            ) from exc
        self._write = msgspec.msgpack.Encoder().encode
        self._read = msgspec.msgpack.Decoder().decode

    def check(self, value: Any, path: str) -> None:
        refuse_lossy(value, path, MSGPACK_ATOMS, self.tuples_told)

    def write(self, value: Any) -> bytes:
        refuse_lossy(value, "value", MSGPACK_ATOMS, self.tuples_told)
        return _PACKED + self._write(value)

    def read(self, data: bytes) -> Any:
        if data[:1] != _PACKED:
            raise SerializationError("A stored value was not written by the msgpack serializer.")
        return self._read(data[1:])


def make_serializer(spec: "str | type[Serializer] | Serializer | None", options: Mapping[str, object]) -> Serializer:
    """Return the serializer for the setting SERIALIZER: a short name, a dotted path, a class or an object.

    Raises:
        ConfigError: The name is unknown, or it is not a `Serializer`.
    """
    if isinstance(spec, Serializer):
        return spec
    found: Any = _NAMED.get(spec or "pickle", spec) if isinstance(spec, str) or spec is None else spec
    if isinstance(found, str):
        try:
            found = import_object(found)
        except ImportError as exc:
            names = ", ".join(map(repr, _NAMED))
            raise ConfigError(
                f"SERIALIZER = {spec!r}: {exc} Write one of {names}, or a dotted path.", code="TGA401"
            ) from exc
    if not (isinstance(found, type) and issubclass(found, Serializer)):
        raise ConfigError(
            f"SERIALIZER = {show_setting(spec)} is not a subclass of torngas_aio.cache.serializers.Serializer.",
            code="TGA401",
        )
    return found(options)


def serializer_of(params: Mapping[str, Any], *, is_shared: bool, owner: str) -> Serializer:
    """Return the serializer of a cache; log a warning if its secret is random and lost when the process ends.

    Args:
        params: An alias's settings with SECRET_KEY, the project's secret or secrets, or RUN_SECRET.
        is_shared: Whether other processes can write to the store.
        owner: The cache's name in messages.

    Raises:
        ConfigError: The serializer does not exist, or its secret is too short.
    """
    options: Mapping[str, Any] = params.get("OPTIONS") or {}
    spec = options.get("SERIALIZER", params.get("SERIALIZER"))
    if spec is None:
        spec = "signed-pickle" if is_shared else "pickle"
    if spec != "signed-pickle" or "SECRET_KEY" in options or not is_shared:
        return make_serializer(spec, options)
    secret = params.get("SECRET_KEY")
    if secret is None:
        logger.warning(
            "%s signs its values with a random secret, made for this run: no other process and no later run can "
            "read them. Set TORNADO_CONF['cookie_secret'], or OPTIONS['SECRET_KEY'].",
            owner,
        )
    return make_serializer(spec, {"SECRET_KEY": secret or params.get("RUN_SECRET") or _RUN_SECRET})


_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # built once: -3 us per value

_decode_json = json.JSONDecoder().decode  # decodes str, which skips the detection of the encoding

_NAMED: dict[str, type[Serializer]] = {
    "pickle": PickleSerializer,
    "safe-pickle": SafePickleSerializer,
    "signed-pickle": SignedPickleSerializer,
    "json": JsonSerializer,
    "msgpack": MsgpackSerializer,
}
