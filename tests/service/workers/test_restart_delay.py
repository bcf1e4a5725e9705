from service.workers.restart_delay import (
    FIRST_DELAY,
    LONGEST_DELAY,
    MAX_FAILURES,
    STEADY_SECONDS,
    RestartDelay,
)


def test_a_worker_that_served_is_replaced_at_once_however_often_it_ends() -> None:
    delay = RestartDelay()
    assert [delay.after(STEADY_SECONDS) for _ in range(100)] == [0.0] * 100
    assert not delay.has_failed


def test_the_delay_doubles_after_each_worker_that_did_not_serve_up_to_a_limit() -> None:
    delay = RestartDelay()
    seconds = [delay.after(0.0) for _ in range(20)]
    assert seconds[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert seconds == sorted(seconds)
    assert seconds[-1] == LONGEST_DELAY


def test_a_worker_that_serves_resets_the_delay() -> None:
    delay = RestartDelay()
    for _ in range(MAX_FAILURES):
        delay.after(STEADY_SECONDS / 2)
    assert delay.has_failed
    assert delay.after(STEADY_SECONDS) == 0.0
    assert not delay.has_failed
    assert delay.after(0.0) == FIRST_DELAY


def test_a_slot_has_failed_after_several_workers_that_did_not_serve() -> None:
    delay = RestartDelay()
    failed = [delay.has_failed for _ in range(MAX_FAILURES + 1) if delay.after(0.0)]
    assert failed.index(True) == MAX_FAILURES - 1
