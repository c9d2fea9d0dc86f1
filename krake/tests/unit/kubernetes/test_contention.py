"""How long corrections wait that somebody else undoes."""

from krake.controller.kubernetes.application.contention import AT_ONCE, CALM, Contention
from krake.ports.cluster import Identity, ObjectType

OBJECT = Identity(ObjectType("v1", "ConfigMap"), "default", "settings")


def test_what_is_changed_by_hand_is_put_right_at_once() -> None:
    contention = Contention()
    for now in (0.0, 100.0, 200.0, 300.0, 400.0, 500.0):
        assert contention.pause(OBJECT, now) == 0
        contention.note(OBJECT, now)
    assert contention.count(OBJECT) == 1


def test_who_undoes_every_correction_is_answered_less_and_less_often() -> None:
    contention, now, times = Contention(), 0.0, []
    while now < 600:
        if (pause := contention.pause(OBJECT, now)) > 0:
            now += pause
        times.append(now)
        contention.note(OBJECT, now)
        now += 0.01
    assert len([time for time in times if time < 1]) == AT_ONCE
    assert len(times) < 20
    assert times[-1] - times[-2] > 59


def test_a_fight_that_is_over_is_forgotten() -> None:
    contention = Contention()
    for _ in range(AT_ONCE):
        contention.note(OBJECT, 0.0)
    assert contention.pause(OBJECT, 0.0) == 1
    assert contention.pause(OBJECT, CALM) == 0
    contention.note(OBJECT, CALM + 2)
    assert contention.count(OBJECT) == 1
