"""The thread in which the batches of one graph run."""

import logging
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

logger = logging.getLogger(__name__)

Job = Callable[[], object]


class BatchThread:
    """Runs jobs one after the other in a daemon thread.

    It is a daemon so that a job that never ends does not keep the process from ending; the threads
    of a ThreadPoolExecutor would. The thread ends with this object.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._started = False

    def start(self) -> None:
        """Start the thread, if it is not running. Raises RuntimeError if the system refuses."""
        if not self._started:
            Thread(target=_run_jobs, args=(self._jobs,), name=self._name, daemon=True).start()
            self._started = True
            weakref.finalize(self, self._jobs.put, None).atexit = False

    def submit(self, job: Job) -> None:
        """Run a job after those before it. Raises RuntimeError if no thread can be started."""
        self.start()
        self._jobs.put(job)

    def stop(self) -> None:
        """End the thread after the jobs that were submitted."""
        self._jobs.put(None)


def _run_jobs(jobs: SimpleQueue[Job | None]) -> None:
    """Knows the queue alone: a reference to its owner would keep an unloaded model in memory."""
    while (job := jobs.get()) is not None:
        try:
            job()
        except BaseException:
            logger.exception("a batch's thread failed. This is a bug.")
        del job
