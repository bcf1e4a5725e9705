"""What is printed where there is no terminal, and where there is one."""

import io

import pytest
from rich.console import Console

from tests.training.models import epoch_metrics
from training.loggers.console import PLAIN_LINES, TerminalReporter, console_reporter


@pytest.mark.parametrize("epochs", [1, 2, 19, 20, 21, 333])
def test_plain_lines_are_few_and_have_the_first_and_the_last(epochs: int) -> None:
    stream = io.StringIO()
    with console_reporter(
        Console(file=stream, width=40), rows=5, epochs=epochs, epochs_done=0
    ) as shown:
        for epoch in range(1, epochs + 1):
            shown.step(5)
            shown.epoch(epoch_metrics(epoch))
    lines = stream.getvalue().splitlines()
    assert min(epochs, 10) <= len(lines) <= PLAIN_LINES + 1
    assert lines[0].startswith(f"epoch 1/{epochs} ")
    assert lines[-1].startswith(f"epoch {epochs}/{epochs} ")


def test_a_terminal_gets_a_bar_that_ends_full() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    with console_reporter(console, rows=5, epochs=2, epochs_done=1) as shown:
        assert isinstance(shown, TerminalReporter)
        shown.step(5)
        shown.epoch(epoch_metrics(2))
    assert "100%" in stream.getvalue()
    for figure in ("epoch 2", "ELBO -1.00", "KL 0.50", "2 active", "1,234 rows/s"):
        assert figure in stream.getvalue()


def test_numbers_that_json_does_not_have_are_none() -> None:
    assert epoch_metrics(1).as_json()["held_out_elbo"] is None
    assert epoch_metrics(1).as_json()["elbo"] == -1.0
