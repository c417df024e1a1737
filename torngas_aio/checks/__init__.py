"""What is wrong with the settings, every fault at once, before the first request.

    check_settings ──► shapes.py      each value has its type, and no name is misspelt
                   ──► references.py  aliases and modules that are named exist, dotted paths can be imported
                   ──► signing.py     secrets are set and not publicly known
    services       ──► webserver/validation.py  what caches, sessions, templates, databases find in their own settings
    cautions       ──► what works, but hardly as meant      deployment.py   what a public site should change

Each fault is one sentence with the path of the setting, its value and how to mend it. Nothing here imports
from higher layers: what a dotted path names is only looked at.
Begin with `check_settings`.
"""

from collections.abc import Mapping

from torngas_aio.checks.deployment import deploy_cautions_of
from torngas_aio.checks.references import cautions_of, path_faults, reference_faults
from torngas_aio.checks.shapes import shape_faults
from torngas_aio.checks.signing import (
    fill_secrets,
    missing_secrets,
    secret_faults,
    share_random_secrets,
    weak_secret_faults,
)
from torngas_aio.exception import Fault
from torngas_aio.settings_manager import Settings
from torngas_aio.utils.kinds import BLAMED
from torngas_aio.utils.narrowing import is_list_or_tuple, is_mapping

__all__ = [
    "cautions",
    "check_settings",
    "deploy_cautions",
    "fill_secrets",
    "missing_secrets",
    "share_random_secrets",
    "weak_secret_faults",
]


def check_settings(settings: Settings) -> list[Fault]:
    """Return every fault of *settings*; an empty list when they can be used.

    An entry of the wrong type is reported once; what depends on it is looked at as if it were absent.
    """
    values = settings.as_dict()
    faults = list(Fault.each(shape_faults(values), "TGA103"))
    sound = _without_blamed(values, faults)
    faults += Fault.each(reference_faults(sound), "TGA107")
    faults += Fault.each(path_faults(sound), "TGA104")
    faults += Fault.each(secret_faults(sound), "TGA106")
    return faults


def cautions(settings: Settings, workers: int = 1) -> list[str]:
    """Return what will run but hardly as meant, one sentence each.

    Args:
        workers: How many processes are going to serve.
    """
    return list(cautions_of(settings.as_dict(), workers))


def deploy_cautions(settings: Settings) -> list[str]:
    """Return what is to be decided before other machines can reach the server, one sentence each."""
    return list(deploy_cautions_of(settings.as_dict()))


def _without_blamed(values: Mapping[str, object], faults: list[Fault]) -> dict[str, object]:
    """*values* less what *faults* blame: whole settings; BLAMED for values of dicts and items of lists."""

    def is_blamed(path: str) -> bool:
        return any(fault.is_at(path) for fault in faults)

    sound: dict[str, object] = {}
    for name, value in values.items():
        if any(fault.path == name for fault in faults):
            continue
        if is_mapping(value):
            sound[name] = {key: BLAMED if is_blamed(f"{name}[{key!r}]") else item for key, item in value.items()}
        elif is_list_or_tuple(value):
            sound[name] = [BLAMED if is_blamed(f"{name}[{index}]") else item for index, item in enumerate(value)]
        else:
            sound[name] = value
    return sound
