"""Checks of the secrets that sign cookies and session ids: they must be set and not publicly known.

DEBUG off   missing, well known, short or one character repeated: a fault
DEBUG on    missing: replaced by a random one for this run, kept across autoreload and shared with workers
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from torngas_aio.checks.references import SESSION_MIDDLEWARE, section, uses
from torngas_aio.exception import Fault
from torngas_aio.settings_manager import Settings
from torngas_aio.utils.kinds import BLAMED
from torngas_aio.utils.narrowing import is_dict, is_mapping

__all__ = [
    "fill_secrets",
    "is_well_known",
    "missing_secrets",
    "project_secrets",
    "secret_faults",
    "share_random_secrets",
    "weak_secret_faults",
]

RUN_SECRET_NAME = "TORNGAS_RUN_SECRET"  # noqa: S105  a name
"""Environment variable that passes the random secret of this run to child processes."""

WELL_KNOWN = frozenset({
    "bXZ/gDAbQA+zaTxdqJwxKa8OZTbuZE/ok3doaow9N4Q=",
    "fLjUfxqXtfNoIldA0A0J",
    "EtdHjDO1",
    "61oETzKXQAGaYdkL5gEmGeJJFuYh7EQnp2XdTP1o/Vo=",
    "__TODO:_GENERATE_YOUR_OWN_RANDOM_VALUE_HERE__",
    "secret",
    "cookie_secret",
    "secret_key",
    "mysecret",
    "my_secret",
    "password",
    "123456",
})  # fmt: skip
"""Secrets from examples and documentation, including those of torngas 1.8 and Tornado."""

MIN_SECRET_LENGTH = 32
"""Shorter secrets are refused at start with DEBUG off."""

MIN_SECRET_BYTES = 16
"""Shorter secrets are not used to sign cached values."""

PLACEHOLDERS = ("changeme", "yoursecret", "generateyourown", "insecure")

MEND = (
    "Generate one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'` and keep it out of "
    "the repository."
)


def secret_faults(values: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for a missing key version, and, with DEBUG off, for each missing or weak secret."""
    yield from _version_faults(section(values, "TORNADO_CONF"))
    if values.get("DEBUG", True):
        return
    for path, value in _secrets_of(values):
        if value is BLAMED:
            continue
        if _is_missing(value):
            yield Fault(f"{path} is missing, and DEBUG is off. {MEND}", path=path)
        else:
            yield from weak_secret_faults(path, value)


def _version_faults(conf: Mapping[str, object]) -> Iterator[str]:
    versions, newest = conf.get("cookie_secret"), conf.get("key_version")
    if is_dict(versions) and versions and newest is not None and newest not in list(versions):
        known = ", ".join(map(repr, versions))
        yield f"TORNADO_CONF['key_version']: cookie_secret has no such version. Known are {known}."


def weak_secret_faults(path: str, value: object) -> Iterator[Fault]:
    """Yield a fault if the secret at *path*, or one of its versions, is well known or can be guessed."""
    versions = _versions(value)
    if any(is_well_known(version) for version in versions):
        yield Fault(f"{path} is one that everybody knows, and DEBUG is off. {MEND}", path=path)
    elif any(len(version) < MIN_SECRET_LENGTH or len(set(version)) == 1 for version in versions):
        problem = f"is shorter than {MIN_SECRET_LENGTH} characters or one character repeated, and DEBUG is off."
        yield Fault(f"{path} {problem} {MEND}", path=path)


def is_well_known(secret: str | bytes) -> bool:
    """Return whether *secret* is from documentation or a placeholder."""
    text = secret.decode("latin-1") if isinstance(secret, bytes) else secret
    bare = "".join(letter for letter in text.lower() if letter.isalnum())
    return text in WELL_KNOWN or any(placeholder in bare for placeholder in PLACEHOLDERS)


def fill_secrets(settings: Settings) -> list[str]:
    """Set a random secret for each missing one in *settings*; return the paths of these settings."""
    missing = missing_secrets(settings)
    settings.amend(**missing)
    return [f"{name}[{key!r}]" for name, values in missing.items() for key in values]


def missing_secrets(settings: Settings) -> dict[str, dict[str, str]]:
    """Return a random secret for each missing one, as settings to merge into *settings*.

    Child processes, and this process after a reload, get the same secrets, so that sessions survive.
    """
    missing = {path for path, value in _secrets_of(settings.as_dict()) if _is_missing(value)}
    found: dict[str, dict[str, str]] = {}
    if "TORNADO_CONF['cookie_secret']" in missing:
        found["TORNADO_CONF"] = {"cookie_secret": _derived("cookie_secret")}
    if "SESSION['secret_key']" in missing:
        found["SESSION"] = {"secret_key": _derived("secret_key")}
    return found


def project_secrets(values: Mapping[str, object]) -> tuple[tuple[str | bytes, ...], bool]:
    """Return the secrets in TORNADO_CONF['cookie_secret'], with the signing one first, and whether they are permanent.

    A missing or short secret is replaced by a random one for this run, which is not permanent.
    """
    conf = section(values, "TORNADO_CONF")
    given = conf.get("cookie_secret", "")
    if _is_missing(given) or min(map(len, _versions(given))) < MIN_SECRET_BYTES:
        return (_derived("cookie_secret"),), False
    if is_dict(given):
        newest: object = conf.get("key_version", max(given))
        return tuple(given[version] for version in sorted(given, key=lambda version: bool(version != newest))), True
    return (given,), RUN_SECRET_NAME not in os.environ or given != _derived("cookie_secret")


def _secrets_of(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    conf, session = values.get("TORNADO_CONF"), values.get("SESSION")
    if is_mapping(conf):
        yield "TORNADO_CONF['cookie_secret']", conf.get("cookie_secret")
    if is_mapping(session) and uses(values, SESSION_MIDDLEWARE):
        yield "SESSION['secret_key']", session.get("secret_key")


def _is_missing(value: object) -> bool:
    return not value or not all(_versions(value))


def _versions(value: Any) -> tuple[str | bytes, ...]:
    return tuple(value.values()) if is_dict(value) else (value,)


def share_random_secrets() -> None:
    """Make this process and its child processes use the same random secrets."""
    os.environ.setdefault(RUN_SECRET_NAME, secrets.token_urlsafe(32))


def _derived(purpose: str) -> str:
    share_random_secrets()
    secret_of_run = os.environ[RUN_SECRET_NAME]
    return hmac.new(secret_of_run.encode(), purpose.encode(), hashlib.sha256).hexdigest()
