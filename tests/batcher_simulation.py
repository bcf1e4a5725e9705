"""A batcher under random events, chosen by seed, with its invariants checked after each of them.

The event loop is stepped by hand, and batches that belong in a thread run when an event says so.
Memory runs out when a callback is scheduled or an array is sliced, threads cannot be started,
models fail.
"""

import asyncio
import random
from asyncio import _set_running_loop  # events run outside of run_forever, and submit calls
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from service.batching.batch_size import BatchSize
from service.batching.batcher import Batcher
from service.batching.call import Call
from service.batching.latency import LatencyEstimator
from service.errors import InternalError, InvalidInput, QueueFull, Unavailable

MAX_QUEUE_ROWS = 40
SIZES = (1, 2, 4, 8)


class Fragile(np.ndarray[Any, Any]):
    """An array for whose next slice there may be no memory."""

    breaks = False

    def __getitem__(self, key: Any) -> Any:
        if Fragile.breaks:
            Fragile.breaks = False
            raise MemoryError
        return super().__getitem__(key)


class SteppedLoop(asyncio.SelectorEventLoop):
    """Runs one turn at a time. The next callback of a batcher may find no memory."""

    breaks = False

    def step(self) -> None:
        super().call_soon(self.stop)
        _set_running_loop(None)
        self.run_forever()
        _set_running_loop(self)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self._allocate(callback)
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self._allocate(callback)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def _allocate(self, callback: Any) -> None:
        if self.breaks and isinstance(getattr(callback, "__self__", None), Batcher):
            self.breaks = False
            raise MemoryError


class HeldExecutor:
    """Keeps jobs until they are run; the next one may be refused."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[], object], set[int]]] = deque()
        self.cancelled: set[int] = set()
        self.refuses = False

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def submit(self, job: Callable[[], object]) -> None:
        if self.refuses:
            self.refuses = False
            raise RuntimeError("can't start new thread")
        self.jobs.append((job, set(self.cancelled)))


class Simulation:
    """Events on one batcher. A call's rows are its number, the row and whether it is at fault."""

    def __init__(self, seed: int, loop: SteppedLoop) -> None:
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._loop = loop
        self._number = 0
        self._violations: list[str] = []
        self._start()

    def _start(self) -> None:
        self._loop.breaks = Fragile.breaks = False
        self._executor = HeldExecutor()
        self._before: set[int] = set()  # cancelled before the batch that runs was formed
        self._fault: BaseException | None = None
        self._live: dict[int, Call] = {}
        self._ended: Counter[int] = Counter()
        self._closing: asyncio.Task[None] | None = None
        rows = self._random.choice(SIZES)
        self._batcher = Batcher(
            self._run,
            name="simulated",
            estimator=LatencyEstimator(1e-3, 1e-3, BatchSize(rows, SIZES)),
            executor=self._executor,
            inline_seconds=self._random.choice((0.0, 4e-3, 1.0)),
            max_queue_rows=MAX_QUEUE_ROWS,
            observe=lambda **_: None,
        )

    def play(self, events: int) -> None:
        """So many random events; at the end, and now and then, everything must come to rest."""
        weighted = {
            self._submit: 30,
            self._cancel: 6,
            self._step: 30,
            self._run_job: 20,
            self._fail_batch: 1,
            self._refuse_thread: 1,
            self._break_loop: 1,
            self._break_slice: 1,
            self._close: 0.2,
            self._rest: 1,
        }
        for event in self._random.choices([*weighted], [*weighted.values()], k=events):
            event()
            self._check()
        self._rest()

    def _submit(self, *, again: bool = True) -> None:
        rows = self._random.randint(1, 12)
        self._number += 1
        number = self._number
        x = np.zeros((rows, 3), np.float32)
        x[:, 0], x[:, 1] = number, np.arange(rows)
        bad = self._random.randrange(rows) if self._random.random() < 0.1 else None
        if bad is not None:
            x[bad, 2] = 1
        try:
            call = self._batcher.submit((x.view(Fragile),))
        except (QueueFull, Unavailable, MemoryError) as error:
            self.counts[type(error).__name__] += 1
            return
        self._live[number] = call
        resubmits = again and self._random.random() < 0.1
        call.wake = lambda: self._end(number, call, bad, resubmits=resubmits)

    def _end(self, number: int, call: Call, bad: int | None, *, resubmits: bool) -> None:
        self._ended[number] += 1
        try:
            (doubled,) = call.result()
        except InvalidInput as error:
            self._require(error.row == bad, "the error names another row")
            self.counts["InvalidInput"] += 1
        except (InternalError, Unavailable, asyncio.CancelledError) as error:
            self.counts[type(error).__name__] += 1
        else:
            self._require(bad is None, "a bad row has outputs")
            self._require(np.array_equal(doubled, 2 * call.inputs[0]), "outputs of another call")
            self.counts["completed"] += 1
        if resubmits:
            self._submit(again=False)

    def _run(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = inputs[0].view(np.ndarray)
        self._require(1 <= len(x) <= SIZES[-1], "a batch is too large")
        self._require(not self._before & set(x[:, 0].astype(int)), "a cancelled call runs")
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        if x[:, 2].any():
            raise InvalidInput("bad", row=int(x[:, 2].argmax()))
        return ((2 * x).view(Fragile),)

    def _require(self, holds: bool, otherwise: str) -> None:
        """The batcher logs what a caller or a model raises, so keep it for the next check."""
        if not holds:
            self._violations.append(otherwise)

    def _cancel(self) -> None:
        waiting = [(number, call) for number, call in self._live.items() if not call.done]
        if waiting:
            number, call = self._random.choice(waiting)
            call.cancel()
            self._executor.cancelled.add(number)

    def _step(self) -> None:
        self._before = set(self._executor.cancelled)  # of batches that run on the loop
        self._loop.step()

    def _run_job(self) -> None:
        if self._executor.jobs:
            job, self._before = self._executor.jobs.popleft()
            job()

    def _fail_batch(self) -> None:
        self._fault = self._random.choice((MemoryError(), ValueError(), asyncio.CancelledError()))

    def _refuse_thread(self) -> None:
        self._executor.refuses = True

    def _break_loop(self) -> None:
        self._loop.breaks = True

    def _break_slice(self) -> None:
        Fragile.breaks = True

    def _close(self) -> None:
        if self._closing is None:
            self._closing = self._loop.create_task(self._batcher.close(timeout=0))

    def _rest(self) -> None:
        """No more faults: everything ends, without the batches that a closed batcher gave up."""
        self._loop.breaks = Fragile.breaks = self._executor.refuses = False
        for _ in range(1000):
            if all(call.done for call in self._live.values()) and not self._executor.jobs:
                break
            self._step()
            self._run_job()
        for _ in range(5):
            self._step()
        self._check()
        assert all(call.done for call in self._live.values()), "a call has no end"
        assert self._batcher.queued_rows == 0
        assert self._batcher.running_since is None
        self.counts["rest"] += 1
        if self._closing is not None:
            assert self._closing.done()
            self._closing.result()
            self._start()
        self._live.clear()
        self._ended.clear()

    def _check(self) -> None:
        assert not self._violations
        for number, call in self._live.items():
            assert self._ended[number] == call.done, "a call ends once"
        waiting = (call.queued_rows for call in self._live.values() if not call.done)
        assert self._batcher.queued_rows == sum(waiting)
        assert self._batcher.batch_rows in SIZES


def simulate(seed: int, events: int) -> Counter[str]:
    """Play; returns how often each outcome was seen."""
    loop = SteppedLoop()
    _set_running_loop(loop)
    try:
        simulation = Simulation(seed, loop)
        simulation.play(events)
        return simulation.counts
    finally:
        _set_running_loop(None)
        loop.close()
