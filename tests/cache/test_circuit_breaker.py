"""The breaker: open after a failure, one probe a pause, closed after a success."""

from torngas_aio.cache.circuit_breaker import CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_is_closed_until_something_fails() -> None:
    breaker = CircuitBreaker()
    assert breaker.allows()
    assert breaker.allows()
    assert breaker.pause == 0
    breaker.succeeded()
    assert not breaker.is_open


def test_an_open_breaker_lets_one_probe_through_a_pause() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10, clock)
    breaker.failed("refused")
    assert (breaker.is_open, breaker.reason, breaker.pause) == (True, "refused", 1)
    assert not breaker.allows()
    clock.now += 1
    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.reason == ""


def test_failed_probes_double_the_pause_up_to_the_longest() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 5, clock)
    breaker.failed("down")
    pauses = []
    for _ in range(4):
        clock.now += breaker.pause
        assert breaker.allows()
        breaker.failed("down")
        pauses.append(breaker.pause)
    assert pauses == [2, 4, 5, 5]
    clock.now += 5
    assert breaker.allows()
    breaker.succeeded()
    breaker.failed("down again")
    assert breaker.pause == 1


def test_a_probe_that_never_reports_back_holds_the_next_up_by_one_pause() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10, clock)
    breaker.failed("down")
    clock.now += 1
    assert breaker.allows()
    clock.now += 1
    assert breaker.allows()


def test_failures_of_one_outage_count_once() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10, clock)
    for _ in range(50):
        breaker.failed("down")
    assert breaker.pause == 1
