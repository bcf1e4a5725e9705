"""R² of a column, at its ends."""

import numpy as np
import pytest

from training.report.column_figures import r_squared


def test_r_squared_is_one_for_a_match_and_zero_for_the_mean() -> None:
    x = np.array([1, 2, 3, 4], np.float32)
    assert r_squared(x, x) == 1
    assert r_squared(x, np.full_like(x, 2.5)) == 0
    assert r_squared(x, -x) < 0


@pytest.mark.parametrize(("guess", "expected"), [(5.0, 1.0), (6.0, 0.0)])
def test_a_constant_column_is_met_or_not(guess: float, expected: float) -> None:
    x = np.full(3, 5, np.float32)
    assert r_squared(x, np.full_like(x, guess)) == expected
