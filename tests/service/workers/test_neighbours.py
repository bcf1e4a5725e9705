"""Connections go to the worker that has the fewest, and are lost to none."""

import asyncio
import math
import random
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.workers.neighbours import AWAKE_SECONDS, Board, WorkerNeighbours, choose

STATES = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from((100.0, 99.9, 50.0, -math.inf))),
    min_size=1,
    max_size=6,
)


@given(states=STATES, on_the_way=st.integers(0, 5))
def test_a_connection_goes_where_it_evens_out_and_nowhere_else(
    tmp_path_factory: pytest.TempPathFactory, states: list[tuple[int, float]], on_the_way: int
) -> None:
    board = Board(tmp_path_factory.mktemp("board") / "board", len(states))
    board.connections[:], board.beats[:] = zip(*states, strict=True)
    board.sent[0, -1] = on_the_way
    loads = board.loads()
    assert loads.sum() == sum(connections for connections, _ in states) + on_the_way
    awake = [
        int(loads[slot])
        for slot in range(1, len(states))
        if board.beats[slot] > 100.0 - AWAKE_SECONDS
    ]
    chosen = choose(board, 0, now=100.0)
    if chosen is None:
        assert all(load + 1 >= loads[0] for load in awake)
    else:
        assert chosen != 0
        assert loads[chosen] == min(awake)
        assert loads[chosen] + 1 <= loads[0] - 1


@given(arrivals=st.lists(st.integers(0, 2), max_size=60), order=st.randoms())
def test_workers_that_fill_at_once_end_even(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[int], order: random.Random
) -> None:
    board = Board(tmp_path_factory.mktemp("board") / "board", 3)
    board.beats[:] = 100.0
    mail: list[int] = []
    for slot in arrivals:  # to where Linux deals them out
        board.connections[slot] += 1
        other = choose(board, slot, now=100.0)
        if other is not None:
            board.connections[slot] -= 1
            board.sent[slot, other] += 1
            mail.append(other)
        while mail and order.random() < 0.3:  # what was passed on is taken some time
            slot = mail.pop(order.randrange(len(mail)))
            board.connections[slot] += 1
            board.taken[slot] += 1
    assert np.ptp(board.loads()) <= 1
    assert board.loads().sum() == len(arrivals)


def test_all_workers_see_one_board(tmp_path: Path) -> None:
    first, second = Board(tmp_path / "board", 2), Board(tmp_path / "board", 2)
    first.connections[1], first.beats[1] = 7, 12.5
    first.sent[0, 1] = 2
    assert (second.loads().tolist(), second.beats.tolist()) == ([0, 9], [0.0, 12.5])
    second.begin(1)
    assert first.loads().tolist() == [0, 0]


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def test_a_connection_travels_with_what_was_sent_on_it(tmp_path: Path) -> None:
    async def test() -> None:
        came: list[socket.socket] = []
        full, empty = (WorkerNeighbours(tmp_path, slot, 2) for slot in (0, 1))
        full.open(came.append)
        empty.open(came.append)
        client, accepted = socket.socketpair()
        with client, accepted:
            client.send(b"asked before anybody listened")
            full.count(2)
            assert full.offer(accepted)
            accepted.close()  # as the worker that passed it on does
            full.count(1)
            assert not full.offer(client)  # the other one is counted to have it
            await asyncio.sleep(0.05)
            (connection,) = came
            with connection:
                assert connection.recv(100) == b"asked before anybody listened"
                connection.send(b"answer")
            assert client.recv(100) == b"answer"
            assert client.recv(100) == b""  # no copy of it was left open
        full.close()
        empty.close()

    run(test)


def test_what_is_on_the_way_when_a_worker_leaves_is_still_taken(tmp_path: Path) -> None:
    async def test() -> None:
        came: list[socket.socket] = []
        staying, leaving = (WorkerNeighbours(tmp_path, slot, 2) for slot in (0, 1))
        leaving.open(came.append)
        staying.count(9)
        client, accepted = socket.socketpair()
        with client, accepted:
            assert staying.offer(accepted)
            leaving.leave()
            leaving.beat()  # which the server goes on to do
            assert not staying.offer(accepted)
            leaving.close()
        assert len(came) == 1
        came[0].close()
        staying.close()

    run(test)


def test_nothing_goes_to_who_is_dead_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        first, second = (WorkerNeighbours(tmp_path, slot, 2) for slot in (0, 1))
        second.open(lambda connection: connection.close())
        first.count(9)
        client, accepted = socket.socketpair()
        with client, accepted:
            second.close()  # as by a signal: the board has its last beat
            assert not first.offer(accepted)
            again = WorkerNeighbours(tmp_path, 1, 2)
            again.open(lambda connection: connection.close())
            later = time.monotonic() + 2 * AWAKE_SECONDS
            with monkeypatch.context() as patch:
                patch.setattr("service.workers.neighbours.time.monotonic", lambda: later)
                assert not first.offer(accepted)
            assert first.offer(accepted)  # the one that came in its place is awake
        again.close()
        first.close()

    run(test)


def test_a_path_that_is_too_long_for_a_socket_leaves_connections_where_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        deep = tmp_path / ("d" * 120)
        deep.mkdir()
        first, second = (WorkerNeighbours(deep, slot, 2) for slot in (0, 1))
        for each in (first, second):
            each.open(lambda connection: connection.close())
        first.beat()
        second.count(5)
        client, accepted = socket.socketpair()
        with client, accepted:
            assert not second.offer(accepted)
        first.close()
        second.close()

    run(test)
    assert "stay with the worker" in caplog.text
