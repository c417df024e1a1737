"""Validation of the settings before the first request, reporting all faults together.

    check_settings ──► shapes.py      each value has its type, and no name is misspelt
                   ──► references.py  referenced aliases and modules exist, dotted paths can be imported
                   ──► signing.py     secrets are set and not publicly known
    services       ──► webserver/validation.py  checks by caches, sessions, templates and databases themselves
    cautions       ──► valid but probably unintended        deployment.py   advice for public sites

Each fault is one sentence with the path of the setting, its value and the remedy. Nothing here imports from higher
layers; objects named by dotted paths are imported but not called.
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
    """Return all faults of *settings*; an empty list if they are valid.

    An entry of the wrong type is reported once; further checks treat it as absent.
    """
    values = settings.as_dict()
    faults = list(Fault.each(shape_faults(values), "TGA103"))
    sound = _without_blamed(values, faults)
    faults += Fault.each(reference_faults(sound), "TGA107")
    faults += Fault.each(path_faults(sound), "TGA104")
    faults += Fault.each(secret_faults(sound), "TGA106")
    return faults


def cautions(settings: Settings, workers: int = 1) -> list[str]:
    """Return warnings on settings that are valid but probably not intended, one sentence each.

    Args:
        workers: Number of serving processes.
    """
    return list(cautions_of(settings.as_dict(), workers))


def deploy_cautions(settings: Settings) -> list[str]:
    """Return warnings on settings to change before other machines can reach the server, one sentence each."""
    return list(deploy_cautions_of(settings.as_dict()))


def _without_blamed(values: Mapping[str, object], faults: list[Fault]) -> dict[str, object]:
    """Return *values* without faulty settings; faulty values of dicts and items of lists are replaced by BLAMED."""

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
