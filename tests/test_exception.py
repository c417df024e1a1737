"""Classes of errors and their codes."""

from torngas_aio import exception
from torngas_aio.codes import CODES
from torngas_aio.exception import BaseError, ConfigError, Fault, UnknownSetting, UrlError, coded


def test_every_class_of_errors_has_a_code_of_the_list_or_none() -> None:
    """None: what is neither configuration nor misuse, but an outage or a client's fault."""
    kinds = [kind for kind in vars(exception).values() if isinstance(kind, type) and issubclass(kind, BaseError)]
    without = {kind.__name__ for kind in kinds if not kind.code}
    assert {kind.code for kind in kinds if kind.code} <= set(CODES)
    assert without <= {"BaseError", "InvalidCursor", "InvalidJson", "PoolExhausted", "Unavailable", "CacheUnavailable",
                       "DatabaseUnavailable", "JobFailed", "OutcomeUnknown", "InvalidSignature"}  # fmt: skip


def test_a_fault_keeps_its_code_and_others_get_that_of_their_error() -> None:
    error = ConfigError("plain", Fault("own", code="TGA105"), code="TGA401")
    assert [fault.code for fault in error.faults] == ["TGA401", "TGA105"]
    assert error.code == "TGA401"
    assert str(error) == "2 faults:\n  1. plain\n  2. own"
    assert coded(error) == "2 faults:\n  1. plain [TGA401]\n  2. own [TGA105]"
    assert ConfigError("x").code == "TGA100"
    assert UrlError("x").code == "TGA201"
    assert coded(UnknownSetting("x")) == "x [TGA102]"
    assert coded(ValueError("x")) == coded(ConfigError("x")) == "x"
