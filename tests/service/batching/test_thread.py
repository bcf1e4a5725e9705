import gc
import threading

import pytest

from service.batching.thread import BatchThread


def named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_jobs_run_in_order_in_one_daemon_thread() -> None:
    thread, ran, done = BatchThread("ordered"), [], threading.Event()
    for number in range(3):
        thread.submit(lambda number=number: ran.append((number, threading.current_thread().name)))
    thread.submit(done.set)
    assert done.wait(10)
    assert ran == [(number, "ordered") for number in range(3)]
    assert [each.daemon for each in named("ordered")] == [True]
    thread.stop()


def test_the_thread_ends_with_its_owner_and_survives_a_job_that_raises() -> None:
    thread, done = BatchThread("owned"), threading.Event()
    thread.submit(lambda: 1 / 0)
    thread.submit(done.set)
    assert done.wait(10)
    (running,) = named("owned")
    del thread
    gc.collect()
    running.join(10)
    assert not running.is_alive()


def test_a_thread_that_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread, done = BatchThread("refused"), threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            thread.submit(done.set)
    thread.submit(done.set)
    assert done.wait(10)
    thread.stop()
