"""The batcher alone: rows in, rows out, over functions of a few lines."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.batching.batch_size import BatchSize
from service.batching.batcher import Batcher
from service.batching.call import Call
from service.batching.latency import LatencyEstimator
from service.batching.thread import BatchThread
from service.errors import InternalError, InvalidInput, QueueFull, Unavailable

POISON = 1313.0


class Double:
    """Twice each row; keeps the batches it saw, waits at its gate, chokes on POISON."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self.gate.wait(10)
        (x,) = inputs
        self.batches.append(x[:, 0].tolist())
        if (x == POISON).any():
            raise ValueError("poison")
        return (2 * x, x.sum(axis=1))


class Log:
    def __init__(self) -> None:
        self.rows: list[int] = []
        self.queued: list[int] = []

    def __call__(self, *, rows: int, queued: Sequence[float], compute: float) -> None:
        assert compute >= 0
        assert all(seconds >= 0 for seconds in queued)
        self.rows.append(rows)
        self.queued.append(len(queued))


def run(
    test: Callable[[Batcher, Double, Log], Coroutine[Any, Any, None]],
    *,
    max_batch_rows: int = 8,
    max_queue_rows: int = 1000,
    function: Callable[..., Any] | None = None,
    inline: bool = False,
) -> None:
    async def body() -> None:
        double, log = Double(), Log()
        batcher = Batcher(
            function or double,
            name="double",
            estimator=LatencyEstimator(1e-6, 1e-6, BatchSize(max_batch_rows, (max_batch_rows,))),
            executor=BatchThread("double"),
            inline_seconds=10 if inline else 0,
            max_queue_rows=max_queue_rows,
            observe=log,
        )
        try:
            await asyncio.wait_for(test(batcher, double, log), 20)
        finally:
            double.gate.set()
            await batcher.close()

    asyncio.run(body())


async def gather(*calls: Call, return_exceptions: bool = False) -> list[Any]:
    async def outputs(call: Call) -> Any:
        return await call

    tasks = (outputs(call) for call in calls)
    return await asyncio.gather(*tasks, return_exceptions=return_exceptions)


def rows(*values: float) -> tuple[Any, ...]:
    return (np.array(values, dtype=np.float32)[:, None],)


def test_calls_of_one_turn_of_the_loop_make_one_batch() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        results = await gather(*(batcher.submit(rows(i)) for i in range(5)))
        assert [outputs[0].tolist() for outputs in results] == [[[2 * i]] for i in range(5)]
        assert double.batches == [[0, 1, 2, 3, 4]]
        assert (log.rows, log.queued) == ([5], [5])

    run(test)


def test_what_queued_while_a_batch_ran_is_the_next_batch() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        first = batcher.submit(rows(0))
        await asyncio.sleep(0.01)
        later = [batcher.submit(rows(i)) for i in (1, 2, 3)]
        await asyncio.sleep(0.01)
        double.gate.set()
        await gather(first, *later)
        assert double.batches == [[0], [1, 2, 3]]

    run(test)


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["wait", "cancel", "poison", "yield"])),
        min_size=1,
        max_size=25,
    ),
    max_batch_rows=st.integers(1, 7),
    inline=st.booleans(),
)
def test_any_interleaving_gives_each_caller_what_it_would_get_alone(
    calls: list[tuple[int, str]], max_batch_rows: int, inline: bool
) -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        submitted = []
        for index, (count, kind) in enumerate(calls):
            values = [100.0 * (index + 1) + i for i in range(count)]
            if kind == "poison":
                values[-1] = POISON
            call = batcher.submit(rows(*values))
            submitted.append((call, values, kind))
            if kind == "yield":
                await asyncio.sleep(0)
            if kind == "cancel":
                call.cancel()
        for call, values, kind in submitted:
            if kind == "cancel":
                with suppress(asyncio.CancelledError):
                    await call
            elif kind == "poison":
                with pytest.raises(InternalError):
                    await call
            else:
                doubled, sums = await call
                assert doubled[:, 0].tolist() == [2 * value for value in values]
                assert sums.tolist() == values
        assert max(map(len, double.batches), default=0) <= max_batch_rows
        assert batcher.queued_rows == 0

    run(test, max_batch_rows=max_batch_rows, inline=inline)


def test_a_poisoned_call_fails_alone() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        calls = [batcher.submit(rows(value)) for value in (1, POISON, 2)]
        results = await gather(*calls, return_exceptions=True)
        assert double.batches[0] == [1, POISON, 2]
        assert isinstance(results[1], InternalError)
        assert [results[i][0].tolist() for i in (0, 2)] == [[[2]], [[4]]]  # type: ignore[index]

    run(test)


def test_one_guilty_call_among_many_is_found_by_halves() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        calls = [batcher.submit(rows(value)) for value in (*range(31), POISON)]
        results = await gather(*calls, return_exceptions=True)
        assert [isinstance(result, InternalError) for result in results] == [False] * 31 + [True]
        assert len(double.batches) == 1 + 2 * 5

    run(test, max_batch_rows=32)


def test_a_poisoned_call_leaves_the_queue_with_what_did_not_run_yet() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        with pytest.raises(InternalError):
            await batcher.submit(rows(POISON, 1, 2, 3, 4))
        assert batcher.queued_rows == 0
        assert (await batcher.submit(rows(5)))[0].tolist() == [[10]]

    run(test, max_batch_rows=2)


def test_who_waits_behind_others_is_expected_to_be_done_later() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        first = batcher.submit(rows(0))
        assert first.expected == first.submitted
        await asyncio.sleep(0.01)
        calls = [batcher.submit(rows(*range(8))) for _ in range(3)]
        waits = [call.expected - call.submitted for call in calls]
        assert 0 < waits[0] < waits[1] < waits[2]
        double.gate.set()
        await gather(first, *calls)

    run(test)


def test_whoever_is_woken_at_once_cannot_harm_the_others() -> None:
    woken = []

    def fail() -> None:
        woken.append(True)
        raise ValueError("a bug")

    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        first, second = batcher.submit(rows(1)), batcher.submit(rows(2))
        first.wake = fail
        assert (await second)[0].tolist() == [[4]]
        assert woken == [True]

    run(test)


def test_an_error_that_is_no_exception_leaves_nobody_waiting() -> None:
    def cancelled(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        raise asyncio.CancelledError

    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        with pytest.raises(InternalError):
            await batcher.submit(rows(1))

    run(test, function=cancelled)


def test_a_cancelled_call_is_never_run_and_frees_its_place() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        running = batcher.submit(rows(0))
        await asyncio.sleep(0.01)
        gone = batcher.submit(rows(*range(100, 120)))
        assert batcher.queued_rows == 20
        gone.cancel()
        assert batcher.queued_rows == 0
        stays = batcher.submit(rows(*range(20)))
        double.gate.set()
        await gather(running, stays)
        assert not any(value >= 100 for batch in double.batches for value in batch)

    run(test, max_queue_rows=20)


def test_a_call_that_leaves_between_its_parts_is_not_run_further() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        long = batcher.submit(rows(*range(6)))
        await asyncio.sleep(0.01)
        long.cancel()
        double.gate.set()
        assert (await batcher.submit(rows(9)))[0].tolist() == [[18]]
        assert double.batches == [[0, 1], [9]]

    run(test, max_batch_rows=2)


def test_a_long_call_is_split_and_lets_others_pass() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        long = batcher.submit(rows(*range(20)))
        await asyncio.sleep(0.01)
        short = batcher.submit(rows(50))
        double.gate.set()
        await short
        assert not long.done
        assert (await long)[1].tolist() == list(range(20))
        assert max(map(len, double.batches)) == 4

    run(test, max_batch_rows=4)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        running = batcher.submit(rows(0))
        await asyncio.sleep(0.01)
        waiting = batcher.submit(rows(*range(5)))
        with pytest.raises(QueueFull, match="5 of 6 rows; 2 more do not fit") as refused:
            batcher.submit(rows(1, 2))
        assert refused.value.retry_after >= 1
        fits = batcher.submit(rows(7))
        double.gate.set()
        await gather(running, waiting, fits)

    run(test, max_queue_rows=6)


def test_close_leaves_nobody_waiting() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        double.gate.clear()
        running = batcher.submit(rows(1))
        await asyncio.sleep(0.01)
        split = batcher.submit(rows(*range(20)))
        closing = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await split
        with pytest.raises(Unavailable):
            batcher.submit(rows(2))
        assert not closing.done()
        double.gate.set()
        await closing
        assert (await running)[0].tolist() == [[2]]

    run(test)


@pytest.mark.parametrize("max_batch_rows", [1, 7, 16, 40])
def test_an_error_names_the_row_of_the_caller(max_batch_rows: int) -> None:
    def refuse(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        bad = np.flatnonzero(inputs[0][:, 0] == POISON)
        if len(bad):
            raise InvalidInput("it is poison", row=int(bad[0]), given=POISON)
        return inputs

    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        values = [float(i) for i in range(40)]
        values[30] = POISON
        good, bad = batcher.submit(rows(1, 2, 3)), batcher.submit(rows(*values))
        assert len((await good)[0]) == 3
        with pytest.raises(InvalidInput, match=r"^row 30: it is poison$") as raised:
            await bad
        assert (raised.value.row, raised.value.given) == (30, POISON)

    run(test, function=refuse, max_batch_rows=max_batch_rows)


def test_without_a_thread_the_batch_fails_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = [RuntimeError("can't start new thread"), MemoryError()]
    submit = BatchThread.submit

    def refuse(self: BatchThread, job: Any) -> None:
        if refusals:
            raise refusals.pop()
        submit(self, job)

    monkeypatch.setattr(BatchThread, "submit", refuse)

    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        calls = [batcher.submit(rows(*range(4 * i, 4 * i + 4))) for i in range(4)]
        results = await gather(*calls, return_exceptions=True)
        assert [isinstance(each, InternalError) for each in results] == [True, True, False, False]
        assert results[3][1].tolist() == [12, 13, 14, 15]
        assert batcher.running_since is None

    run(test, max_batch_rows=4)


def test_the_thread_is_started_with_the_batcher_if_batches_need_it() -> None:
    def started(inline_seconds: float) -> bool:
        thread = BatchThread("started")
        Batcher(
            lambda inputs: inputs,
            name="started",
            estimator=LatencyEstimator(1e-3, 1e-3, BatchSize(8, (8,))),
            executor=thread,
            inline_seconds=inline_seconds,
            max_queue_rows=8,
            observe=Log(),
        )
        return any(each.name == "started" for each in threading.enumerate())

    assert not started(0.010)
    assert started(0.008)


def test_a_batch_that_hangs_is_told_and_close_gives_it_up() -> None:
    async def test(batcher: Batcher, double: Double, log: Log) -> None:
        assert batcher.running_since is None
        double.gate.clear()
        before = time.monotonic()
        hanging = batcher.submit(rows(1))
        await asyncio.sleep(0.01)
        assert batcher.running_since is not None
        assert before <= batcher.running_since <= time.monotonic()
        waiting = batcher.submit(rows(2))
        await asyncio.gather(batcher.close(0.05), batcher.close(0.05))
        for call in (hanging, waiting):
            with pytest.raises(Unavailable):
                await call
        assert (batcher.running_since, batcher.queued_rows) == (None, 0)
        double.gate.set()
        await asyncio.sleep(0.05)  # what comes of it is nobody's

    run(test)
