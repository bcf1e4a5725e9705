import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.models.noise import MAX_SEED, standard_normal


@pytest.mark.parametrize("seed", [0, 1, 12345, MAX_SEED])
def test_a_row_does_not_depend_on_how_many_rows_there_are(seed: int) -> None:
    many = standard_normal(seed, (257, 20))
    for rows in (1, 2, 7, 64):
        assert np.array_equal(standard_normal(seed, (rows, 20)), many[:rows])


def test_the_noise_of_a_seed_never_changes() -> None:
    expected = np.float32([[-0.293339, 1.7038306, 1.5391918]])
    assert np.array_equal(standard_normal(7, (1, 3)), expected)


@given(
    draws=st.lists(
        st.tuples(st.integers(0, MAX_SEED), st.integers(0, 9), st.integers(1, 9)), max_size=9
    )
)
def test_each_draw_is_that_of_a_new_generator(draws: list[tuple[int, int, int]]) -> None:
    for seed, rows, columns in draws:
        fresh = np.random.Generator(np.random.Philox(key=seed))
        expected = fresh.standard_normal((rows, columns), dtype=np.float32)
        assert np.array_equal(standard_normal(seed, (rows, columns)), expected)


def test_it_is_standard_normal() -> None:
    noise = standard_normal(3, (20_000, 8)).astype(float)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert np.abs(np.corrcoef(noise.T) - np.eye(8)).max() < 0.03


def test_other_seeds_give_other_noise() -> None:
    drawn = [standard_normal(seed, (1, 4)).tobytes() for seed in (0, 1, None, None)]
    assert len(set(drawn)) == 4
