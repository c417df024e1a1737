"""A request has one id."""

import pytest

from tests.logger.test_formatters import request_with
from torngas_aio.context import enter_request, leave_request
from torngas_aio.logger import current_request_id, request_id_of


@pytest.mark.parametrize("sent", ["a", "7c3e-11", "Root=1-67891233-abcdef", "a.b:c/d+e=@f", "x" * 128])
def test_a_well_formed_id_is_taken_over(sent: str) -> None:
    assert request_id_of(request_with({"X-Request-ID": sent})) == sent


@pytest.mark.parametrize("sent", ["", " ", "a b", 'a"b', "a\tb", "x" * 129, "-a", "<b>", "ä", "a,b", "%0a", "'", "a;b"])
def test_any_other_is_replaced(sent: str) -> None:
    made = request_id_of(request_with({"X-Request-ID": sent}))
    assert len(made) == 16
    assert int(made, 16) >= 0


def test_an_id_is_made_once_and_for_one_request() -> None:
    one, other = request_with({}), request_with({})
    assert request_id_of(one) == request_id_of(one) != request_id_of(other)
    assert current_request_id() is None
    token = enter_request(one)
    assert current_request_id() == request_id_of(one)
    leave_request(token)
