import time
from pathlib import Path

import pytest

import service.batching.stopwatch
from service.batching.stopwatch import busy_seconds, run_queue_seconds


def test_sleep_counts_and_waiting_for_a_cpu_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert busy_seconds(lambda: time.sleep(0.02)) == pytest.approx(0.02, abs=0.015)
    waited = iter((1.0, 1.5))
    monkeypatch.setattr(service.batching.stopwatch, "run_queue_seconds", lambda: next(waited))
    assert busy_seconds(lambda: None) == pytest.approx(-0.5, abs=0.1)


def test_a_system_that_does_not_tell_has_no_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service.batching.stopwatch, "SCHEDSTAT", tmp_path / "none")
    assert run_queue_seconds() == 0.0
    (tmp_path / "none").write_text("1 2500000000 3\n")
    assert run_queue_seconds() == 2.5
