"""Calls that wait for a batch, each in its turn."""

from collections import OrderedDict
from collections.abc import Iterator

from service.batching.call import Call, Part


class Queue:
    """In the order in which they came; who does not fit into a batch whole goes to the end again.

    ``rows`` are those of all calls that are in no batch yet.
    """

    def __init__(self, batch_rows: int) -> None:
        self.rows = 0
        self._batch_rows = batch_rows
        self._calls: OrderedDict[Call, None] = OrderedDict()  # to leave it from anywhere is cheap
        self._rows_of_turn = 0  # each call's next batch

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls))

    def __bool__(self) -> bool:
        return bool(self._calls)

    def append(self, call: Call) -> None:
        """The call waits, at the end."""
        self._calls[call] = None
        self.rows += call.left
        self._rows_of_turn += min(call.left, self._batch_rows)

    def remove(self, call: Call) -> None:
        """The call waits no longer."""
        if call in self._calls:
            del self._calls[call]
            self.rows -= call.left
            self._rows_of_turn -= min(call.left, self._batch_rows)

    def rows_until(self, rows: int) -> int:
        """How many rows run until a call of so many is done that comes now."""
        ahead = self._rows_of_turn if rows <= self._batch_rows else self.rows
        return ahead + rows

    def next_batch(self) -> list[Part]:
        """What fits into one, fairly: a call gives what there is room for."""
        batch: list[Part] = []
        room = self._batch_rows
        while self._calls and room:
            call = next(iter(self._calls))
            self.remove(call)
            part = call.take(room)
            room -= part.rows
            batch.append(part)
            if call.left:
                self.append(call)
        return batch
