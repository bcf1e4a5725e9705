from service.workers.restarts import (
    FIRST_DELAY,
    GIVE_UP_AFTER,
    LONGEST_DELAY,
    STEADY_SECONDS,
    Restarts,
)


def test_a_worker_that_served_is_replaced_at_once_however_often_it_dies() -> None:
    restarts = Restarts()
    assert [restarts.delay(STEADY_SECONDS) for _ in range(100)] == [0.0] * 100
    assert not restarts.hopeless


def test_those_that_die_at_once_wait_twice_as_long_each_time_up_to_a_limit() -> None:
    restarts = Restarts()
    delays = [restarts.delay(0.0) for _ in range(20)]
    assert delays[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY


def test_one_that_serves_wipes_the_slate() -> None:
    restarts = Restarts()
    for _ in range(GIVE_UP_AFTER):
        restarts.delay(STEADY_SECONDS / 2)
    assert restarts.hopeless
    assert restarts.delay(STEADY_SECONDS) == 0.0
    assert not restarts.hopeless
    assert restarts.delay(0.0) == FIRST_DELAY


def test_it_takes_several_in_vain_to_give_up() -> None:
    restarts = Restarts()
    hopeless = [restarts.hopeless for _ in range(GIVE_UP_AFTER + 1) if restarts.delay(0.0)]
    assert hopeless.index(True) == GIVE_UP_AFTER - 1
