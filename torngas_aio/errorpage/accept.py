"""Which of several media types a client wants most.

Begin with `preferred`.
"""

from collections.abc import Sequence

from torngas_aio.utils.numbers import parse_quality

__all__ = ["preferred", "weight_of"]


def preferred(accept: str, offers: Sequence[str]) -> str:
    """Return the offer that *accept* weighs highest; the first offer where it wants none or says nothing.

    The most specific range that fits an offer gives its weight. SPEC: RFC 9110 12.5.1.
    """
    ranges = [weight_of(part) for part in accept[:4096].split(",") if part.strip()]
    best, weight = offers[0], 0.0
    for offer in offers:
        found = max((one for one in ranges if _fits(one[0], offer)), key=lambda one: _specificity(one[0]), default=None)
        if found is not None and found[1] > weight:
            best, weight = offer, found[1]
    return best


def weight_of(part: str) -> tuple[str, float]:
    """Return name and weight of one part of an Accept or Accept-Encoding field; 1.0 where it says none."""
    name, _, parameters = part.partition(";")
    weight = 1.0
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            weight = parse_quality(value.strip()) or 0.0
    return name.strip().lower(), weight


def _fits(range_: str, offer: str) -> bool:
    return range_ in {"*/*", offer} or (range_.endswith("/*") and offer.startswith(range_[:-1]))


def _specificity(range_: str) -> int:
    return 0 if range_ == "*/*" else 1 if range_.endswith("/*") else 2
