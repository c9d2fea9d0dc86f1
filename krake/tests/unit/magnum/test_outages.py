"""Which projects are left alone, and for how long."""

from dataclasses import dataclass

from krake.controller.magnum.outages import Outages
from krake.data import Key
from krake.ports.infrastructure import NotFound, Unavailable

P, Q = Key("red", "p"), Key("red", "q")
DOWN = Unavailable("It does not answer.")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_project_that_does_not_answer_is_asked_ever_less_and_by_one_at_a_time() -> None:
    clock = Clock()
    outages = Outages(30.0, 20.0, clock)
    waits = []
    for _ in range(8):
        assert outages.of(P) is None
        outages.note(P, DOWN)
        began = clock.now
        while outages.of(P) is not None:
            clock.now += 1.0
        assert outages.of(P) is DOWN  # somebody has just been let through
        waits.append(clock.now - began)
        clock.now += 20.0
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert outages.of(Q) is None
    outages.recover(P)
    assert outages.of(P) is None


def test_what_is_wrong_with_one_cluster_closes_nothing() -> None:
    outages = Outages(30.0, 20.0, Clock())
    outages.note(P, NotFound("There is no such cluster."))
    assert outages.of(P) is None


def test_each_failure_of_a_cluster_makes_the_next_wait_longer() -> None:
    outages = Outages(30.0, 20.0)
    waits = [outages.delay(P) for _ in range(8)]
    assert all(2.5 * 2**n <= wait <= 5.0 * 2**n for n, wait in enumerate(waits[:6]))
    assert waits[-1] <= 300
    assert outages.delay(Q) <= 5
    outages.forget(P)
    assert outages.delay(P) <= 5
