"""The benchmark's own arithmetic, and that what it sends is what the service takes."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from torch.overrides import TorchFunctionMode

from bench import __main__ as command
from bench import bare, contenders, pauses, processes, sessions, table, training, turns
from bench.aims import AIMS, AS_THEY_COME, TRAINING_AIMS, TUNED, Speeds
from bench.arrivals import arrivals
from bench.compare import Comparison, Figures, summarise
from bench.contenders import FIXED, FIXED_TUNED, NAIVE, NAIVE_TUNED, OURS, SLOW_LANE
from bench.errors import BenchError
from bench.exchange import Reply, Request, exchange
from bench.fixed import Fixed
from bench.load import Load, Run, parse, require_right
from bench.models import images
from bench.open_loop import Latency, OpenLoop
from bench.scaling import Scale
from bench.servers import Server
from bench.workloads import WORKLOADS, Workload, check, select
from tests.fakes import FakeService, call, fake_service
from vae.bundle import open_bundle
from vae.graphs import DECODER, ENCODER
from vae.manifest import InputSpec

OUTPUT = """Running 3s test @ http://127.0.0.1:8000/encode
Requests/sec:   1880.15
{"requests": 3805, "bytes": 3694781, "duration": 2000000, "p50": 27075, "p99": 567790, \
"failed": 1, "not_2xx": 2}
"""
PIXELS = InputSpec(kind="image", shape=(28, 28), dtype="uint8", range=(0, 255))
WORKLOAD_NAMES = [workload.name for workload in WORKLOADS]


def load_of(**fields: Any) -> Load:
    counts = {"requests": 100, "bytes": 50_000, "failed": 0, "not_2xx": 0}
    return Load(**{**counts, "seconds": 2.0, "p50": 0.001, "p99": 0.002, **fields})


# What wrk counted


def test_the_last_line_of_wrk_is_read() -> None:
    assert parse(OUTPUT) == Load(
        requests=3805, bytes=3694781, seconds=2.0, p50=0.027075, p99=0.56779, failed=1, not_2xx=2
    )


@pytest.mark.parametrize("output", ["", "Requests/sec: 7\n", "[]\n", '{"requests": 3}\n'])
def test_another_output_is_refused(output: str) -> None:
    with pytest.raises(BenchError, match="not understood"):
        parse(output)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"requests": 0}, "no request was answered"),
        ({"failed": 1}, "1 requests failed"),
        ({"not_2xx": 3}, "3 were answered with no 2xx"),
        ({"bytes": 49_999}, "had 49999 bytes"),
        ({"bytes": 60_000}, "had 60000 bytes"),
    ],
)
def test_a_run_with_a_wrong_reply_does_not_count(fields: dict[str, int], reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        require_right("ours", load_of(**fields), reply_bytes=500, connections=2)


@pytest.mark.parametrize("surplus", [0, 1_000, 1_100])
def test_unfinished_replies_and_growing_request_ids_are_no_fault(surplus: int) -> None:
    require_right("ours", load_of(bytes=50_000 + surplus), reply_bytes=500, connections=2)


def test_capacity_is_requests_a_cpu_second_of_the_server() -> None:
    run = Run(load_of(requests=3000, seconds=2.0), server_seconds=1.5, wrk_seconds=0.2)
    assert (run.capacity, run.throughput) == (2000, 1500)
    with pytest.raises(BenchError, match="run longer"):
        _ = replace(run, server_seconds=0.0).capacity


def test_medians_over_rounds() -> None:
    runs = [Run(load_of(requests=count), 1.0, 0.1) for count in (100, 400, 200)]
    figures = summarise(runs, SimpleNamespace(memory_mib=lambda: 64.0))  # type: ignore[arg-type]
    assert figures == Figures(
        capacity=200, spread=1.5, throughput=100, p50=0.001, p99=0.002, memory=64
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cpu_time_of_a_process_and_of_its_children() -> None:
    server = Server("this", 0, os.getpid())
    before = server.cpu_seconds()
    start = time.process_time()
    while time.process_time() - start < 0.1:
        pass
    assert 0.05 <= server.cpu_seconds() - before < 1
    assert server.memory_mib() > 10
    assert os.getpid() in server.cpu_by_process()


# What is asked


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return fake_service(tmp_path, PIXELS)


def reference_of(service: FakeService) -> Any:
    return SimpleNamespace(
        manifest=service.model.manifest,
        run=lambda graph, *inputs: list(service.runtime.run(graph, inputs)),
    )


def ask(service: FakeService, request: Request) -> Reply:
    reply = asyncio.run(
        call(
            service.app,
            "POST",
            request.path,
            content=request.body,
            headers=dict(request.headers),
        )
    )
    return Reply(reply.status_code, reply.headers["content-type"], reply.content, b"")


@pytest.mark.parametrize("name", WORKLOAD_NAMES)
def test_the_service_answers_every_workload_right(service: FakeService, name: str) -> None:
    (workload,) = select(name)
    check(workload, ask(service, workload.request()), reference_of(service))


@pytest.mark.parametrize("name", WORKLOAD_NAMES)
def test_a_wrong_answer_is_found(service: FakeService, name: str) -> None:
    (workload,) = select(name)
    reply = ask(service, replace(workload.request(), path=f"/{workload.verb}"))
    service.runtime._up = service.runtime._up * 1.01
    reference = reference_of(service)
    if workload.verb == "encode":
        reference.run = lambda graph, x: [np.zeros((len(x), 3)), np.zeros((len(x), 3))]
    with pytest.raises(BenchError, match=f"{name}: .* is off by"):
        check(workload, reply, reference)


def test_what_is_no_answer_is_found(service: FakeService) -> None:
    (workload,) = select("W2")
    reply, reference = ask(service, workload.request()), reference_of(service)
    for wrong, reason in (
        (replace(reply, status=429), "not 429"),
        (replace(reply, media_type="text/html"), "text/html"),
        (replace(reply, body=b'{"mu": [[1, 2, 3]]}'), "off by"),
        (replace(reply, body=b"{}"), "not in the reply"),
    ):
        with pytest.raises(BenchError, match=reason):
            check(workload, wrong, reference)


def test_latents_that_are_no_noise_are_found(service: FakeService) -> None:
    (workload,) = select("W6")
    members = json.loads(ask(service, workload.request()).body)
    members["latents"] = np.zeros((64, 3)).tolist()
    wrong = Reply(200, "application/json", json.dumps(members).encode(), b"")
    with pytest.raises(BenchError, match="no standard normal noise"):
        check(workload, wrong, reference_of(service))


def test_the_naive_server_is_asked_in_json() -> None:
    (binary,) = select("W4")
    asked = {entry.name: entry.workload for entry in contenders.entries(binary, Path("bundle"))}
    assert not asked[NAIVE].binary
    assert asked[OURS] == asked[SLOW_LANE] == binary


def test_workloads_are_chosen_by_name() -> None:
    assert [workload.name for workload in select("W4,W2")] == ["W4", "W2"]
    assert select(None) == WORKLOADS
    with pytest.raises(BenchError, match="no workload W9; there are W1, W2"):
        select("W2,W9")


def test_an_unknown_workload_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["--only", "W9"]) == 1
    assert capsys.readouterr().err.startswith("bench: no workload W9")


def test_images_are_the_same_every_time() -> None:
    assert np.array_equal(images(3), images(3))
    assert images(3).shape == (3, 28, 28)


def test_the_fixed_server_reads_the_body_and_answers_the_same() -> None:
    app = Fixed(b"reply", "text/plain")
    reply = asyncio.run(call(app, "POST", "/encode", content=b"body"))  # type: ignore[arg-type]
    assert (reply.content, reply.headers["content-type"]) == (b"reply", "text/plain")


# Turns


def test_a_turn_is_over_when_all_have_their_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "REQUESTS", 0)
    asked = 0

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await Fixed(b"reply", "text/plain")(scope, receive, send)

    config = uvicorn.Config(counted, http="httptools", log_config=None)
    reply = asyncio.run(turns.ask(config, select("W2")[0]))
    assert (reply.status, reply.media_type, reply.body) == (200, "text/plain", b"reply")
    assert asyncio.run(turns.seconds_of(config, select("W2")[0])) > 0
    assert asked == 1 + 64 * turns.LEAST_TURNS


def test_turns_are_shown_by_server_and_workload() -> None:
    text = turns.markdown([("ours", {"W1": 1.04, "W2": 2})], select("W1,W2"))
    assert text.splitlines()[-1] == "| ours | 1.0 | 2.0 |"


# Open loop


class SlowStart:
    """Answers over a socket; the first reply of all takes ``hold`` seconds."""

    def __init__(self, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") -> None:
        self.hold = 0.3
        self._head = head
        self._handlers: list[asyncio.Task[Any]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Yields the port."""
        async with await asyncio.start_server(self._handle, "127.0.0.1", 0) as server:
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                await asyncio.gather(*self._handlers)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers += filter(None, [asyncio.current_task()])
        with suppress(ConnectionError):
            while await reader.read(1024):
                await asyncio.sleep(self.hold)
                self.hold = 0
                writer.write(self._head + b"reply")
        writer.close()


def drive(server: SlowStart, *, rate: float, connections: int) -> Latency:
    async def run() -> Latency:
        async with server.listening() as port:
            load = OpenLoop(b"ask", body_bytes=5, due=arrivals(rate, seconds=1))
            return await load.run(port, connections)

    return asyncio.run(run())


def test_requests_that_wait_for_a_slow_server_count_from_when_they_were_due() -> None:
    latency = drive(SlowStart(), rate=100, connections=1)
    # 30 of 100 were due in the 0.3 s, and waited 0.15 s in the middle: a closed loop sees one.
    assert latency.p99 > 0.25
    assert latency.late > 0.2


def test_a_refusal_ends_the_open_loop() -> None:
    with pytest.raises(BenchError, match="0 of 100 requests were answered; a reply starts with"):
        drive(SlowStart(b"HTTP/1.1 429 No\r\n\r\n"), rate=100, connections=1)


def test_one_exchange_is_counted_to_the_byte() -> None:
    server = SlowStart(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-length: 5\r\n\r\n")

    async def run() -> Reply:
        async with server.listening() as port:
            return await asyncio.to_thread(exchange, port, Request("/encode", b"body"))

    reply = asyncio.run(run())
    assert (reply.status, reply.media_type, reply.body) == (200, "a/b", b"reply")
    assert reply.wire_bytes == 62


# What is reported


def comparison(workload: Workload, **capacities: float) -> Comparison:
    """The tuned ones are twice as good as those that are named, where these are not ours."""
    names = {"fixed": FIXED, "naive": NAIVE, "slow": SLOW_LANE, "ours": OURS}
    found = {names[name]: capacity for name, capacity in capacities.items()}
    found |= {FIXED_TUNED: 2 * found[FIXED], NAIVE_TUNED: 2 * found[NAIVE]}
    return Comparison(
        workload,
        servers={
            name: Figures(capacity, 0.1, capacity, p50=0.001, p99=0.003, memory=50)
            for name, capacity in found.items()
        },
        calls={"encoder": {rows: 1e-4 * rows**0.5 for rows in bare.BATCHES}},
        half={OURS: Latency(rate=5000, p50=0.001, p99=0.004, late=0.0001)},
    )


def test_aims_are_ratios_within_one_run() -> None:
    w2, w3 = (
        comparison(*select(name), fixed=38_000, naive=2_000, slow=11_000, ours=ours)
        for name, ours in (("W2", 36_000), ("W3", 500))
    )
    measured = {"W2": w2, "W3": w3}
    reached = {
        (aim.workload, aim.text): [
            (round(aim.reached(measured, others), 3), aim.met(measured, others))
            for others in (AS_THEY_COME, TUNED)
        ]
        for aim in AIMS
        if aim.applies(measured)
    }
    assert reached == {
        ("W2", "ours ≥ 0.95 × fixed reply"): [(0.947, False), (0.474, False)],
        ("W2", "ours, no fast lane ≥ 0.28 × fixed reply"): [(0.289, True), (0.145, False)],
        ("W2", "ours ≥ 6 × naive FastAPI"): [(18.0, True), (9.0, True)],
        ("W3", "ours ≥ 300 for every 19,000 of fixed reply in W2"): [
            (250.0, False),
            (125.0, False),
        ],
        ("W3", "ours ≥ 10 × naive FastAPI"): [(0.25, False), (0.125, False)],
    }


def test_an_aim_for_latency_is_met_from_below() -> None:
    w1 = comparison(*select("W1"), fixed=1, naive=1, slow=1, ours=1)
    (aim,) = [aim for aim in AIMS if aim.workload == "W1"]
    assert aim.reached({"W1": w1}, TUNED) == pytest.approx(0.001 / (0.001 + 1e-4))
    assert aim.met({"W1": w1}, TUNED)


def test_the_limit_is_a_fixed_reply_and_the_rows_in_their_best_batch() -> None:
    w5 = comparison(*select("W5"), fixed=1000, naive=1, slow=1, ours=1)
    best_row = 1e-4 * 512**0.5 / 512
    assert w5.limit() == pytest.approx(1 / (1 / 2000 + 256 * best_row))
    assert w5.limit(FIXED) == pytest.approx(1 / (1 / 1000 + 256 * best_row))


def test_the_best_batch_has_the_cheapest_row() -> None:
    assert bare.best_row({1: 10.0, 8: 16.0, 64: 192.0}) == 2.0


def test_bare_calls_are_medians_over_rounds() -> None:
    rounds = [dict.fromkeys(bare.BATCHES, seconds) for seconds in (3.0, 1.0, 2.0)]
    assert bare.typical(rounds) == dict.fromkeys(bare.BATCHES, 2.0)


def test_the_load_elsewhere_is_bound_by_the_busiest_worker() -> None:
    even = Scale(2, 0, capacity=1000, server_cpus=1.8, wrk_cpus=0.2, busiest=0.5)
    assert even.elsewhere == 2000
    assert replace(even, busiest=0.8).elsewhere == 1250


def test_tables_are_markdown() -> None:
    (workload,) = select("W2")
    found = comparison(workload, fixed=38_000, naive=2_000, slow=11_000, ours=36_000)
    lines = table.markdown([found]).splitlines()
    assert (
        "| W2 | ours | 36,000 | 10% | 0.95 | 18.00 | 63% | 36,000 | 1.000 | 3.000 | 50 |" in lines
    )
    assert "| W2 | ours | 5,000 | 1.000 | 4.000 | 4.00 | 0.100 |" in lines
    assert "| W2 | ours ≥ 6 × naive FastAPI | 18.00 | yes | 9.00 | yes |" in lines
    for line, following in pairwise(lines):
        assert not (line and following) or line.count("|") == following.count("|")


def test_pauses_are_jumps_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.1, 0.1001, 0.4, 2.0])
    monkeypatch.setattr(pauses.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(pauses.os, "sched_setaffinity", lambda _process, _cores: None)
    found = pauses.watch(0, seconds=1.0)
    assert found == pytest.approx((0.1, 0.2999, 1.6))
    shown = pauses.markdown([pauses.Pauses(2, 0, 1.0, found), pauses.Pauses(1, 1, 1.0, ())])
    assert "| 2 | 0 | 3.0 | 299.9 | 1600.0 | 199.99% |" in shown


# Training


def test_training_is_measured_beside_its_yardsticks() -> None:
    found = training.measure(repetitions=1, rows=512)
    assert [each.batch for each in found] == list(training.BATCHES)
    assert all(min(astuple(each)) > 0 for each in found)
    text = training.markdown(found)
    assert text.count("40,000 images a CPU second") == len(found)


def test_the_aims_of_training_are_ratios_of_its_speeds() -> None:
    speeds = Speeds(batch=128, training=50_000, bfloat16=60_000, per_item=20_000, products=60_000)
    reached = [aim.met(speeds) for aim in TRAINING_AIMS]
    assert reached == [True, False, True]


def test_one_process_trains_as_torchrun_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BUILD", tmp_path)
    monkeypatch.setattr(processes, "PROCESSES", (1,))
    (found,) = processes.measure(batches=(128,), rows=512, epochs=1)
    assert (found.batch, found.processes) == (128, 1)
    assert found.images > 0
    assert processes.markdown([found, found._replace(processes=2)]).endswith("| 1.00 |")


def test_the_bare_products_are_those_of_every_layer_forwards_and_backwards() -> None:
    counted = []

    class Counting(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function is torch.Tensor.matmul or function is torch.Tensor.__matmul__:
                (rows, inner), (_, columns) = args[0].shape, args[1].shape
                counted.append(rows * inner * columns)
            return function(*args, **(kwargs or {}))

    work = training.products(rows=64, batch=32)
    with Counting():
        work()
    weights = [inputs * outputs for inputs, outputs in training.LAYERS]
    assert sum(counted) == 64 * (3 * sum(weights) - weights[0])


def test_every_variant_of_a_session_computes_the_same(digits_bundle: Path) -> None:
    bundle = open_bundle(digits_bundle)
    golden = bundle.arrays("golden.npz", "z", "mean")
    for change in sessions.VARIANTS.values():
        session = sessions.session_of(bundle.files[DECODER.file], change)
        (mean,) = session.run(DECODER.outputs, {"z": golden["z"]})
        np.testing.assert_allclose(mean, golden["mean"], rtol=1e-4, atol=1e-4)


def test_one_graph_reconstructs_as_two_do(digits_bundle: Path) -> None:
    bundle = open_bundle(digits_bundle)
    x = bundle.arrays("golden.npz", "x")["x"]
    encoder, decoder = (sessions.session_of(bundle.files[g.file]) for g in (ENCODER, DECODER))
    (two,) = decoder.run(DECODER.outputs, {"z": encoder.run(ENCODER.outputs, {"x": x})[0]})
    both = sessions.session_of(sessions.one_graph(bundle))
    np.testing.assert_allclose(both.run(["decoder_mean"], {"encoder_x": x})[0], two, rtol=1e-5)


def test_the_options_of_sessions_are_compared_with_ours() -> None:
    cell = ("mlp", "encoder", 1)
    calls = {sessions.OURS: {cell: 2e-6}, "arena": {cell: 3e-6}}
    merged = {("mlp", 1): {sessions.TWO: 4e-6, sessions.ONE: 3e-6}}
    found = sessions.markdown(sessions.Found(calls, merged, {"arena": 1.25}))
    for line in ("| ours, µs | 2 |", "| arena | 1.50 |", "| mlp 1 | 4 | 3 | 0.75 |", "1.2 |"):
        assert line in found


def test_the_best_run_counts() -> None:
    asked: list[str] = []
    works = {name: partial(asked.append, name) for name in "ab"}
    assert max(sessions.best_of(works, rounds=3).values()) < 1
    assert "".join(asked) == "ab" + "ba" + "ab" + "ba"
