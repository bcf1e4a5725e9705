"""Calls that wait for a batch."""

from collections import OrderedDict
from collections.abc import Iterator

from service.batching.call import Call, Part


class CallQueue:
    """Calls in order of arrival. A call that is larger than a batch goes to the end between parts.

    ``rows`` counts the rows of all calls that are in no batch yet.
    """

    def __init__(self, batch_rows: int) -> None:
        self.rows = 0
        self._batch_rows = batch_rows
        self._calls: OrderedDict[Call, None] = OrderedDict()  # to remove any call in O(1)
        self._rows_of_one_round = 0  # the rows of each call's next part

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls))

    def __bool__(self) -> bool:
        return bool(self._calls)

    def append(self, call: Call) -> None:
        """Add a call at the end."""
        self._calls[call] = None
        self.rows += call.queued_rows
        self._rows_of_one_round += min(call.queued_rows, self._batch_rows)

    def remove(self, call: Call) -> None:
        """Remove a call, if it is in the queue."""
        if call in self._calls:
            del self._calls[call]
            self.rows -= call.queued_rows
            self._rows_of_one_round -= min(call.queued_rows, self._batch_rows)

    def set_batch_rows(self, batch_rows: int) -> None:
        """A full batch has this many rows from now on."""
        self._batch_rows = batch_rows
        self._rows_of_one_round = sum(min(call.queued_rows, batch_rows) for call in self._calls)

    def rows_until(self, rows: int) -> int:
        """How many rows run until a call of ``rows`` rows that is added now is done."""
        ahead = self._rows_of_one_round if rows <= self._batch_rows else self.rows
        return ahead + rows

    def fill(self, batch: list[Part], max_rows: int) -> None:
        """Move the first ``max_rows`` rows into ``batch``.

        When this raises MemoryError, each call is still in the queue or in the batch.
        """
        room = max_rows
        while self._calls and room:
            call = next(iter(self._calls))
            part = call.next_part(room)
            batch.append(part)
            self.remove(call)
            call.queued_rows -= part.rows
            room -= part.rows
            if call.queued_rows:
                self.append(call)
