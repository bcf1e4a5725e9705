"""Patience: what counts as better, and when it is lost."""

import math

from training.loop.early_stopping import EarlyStopping


def follow(*figures: float) -> EarlyStopping:
    patience = EarlyStopping()
    for figure in figures:
        patience = patience.update(figure)
    return patience


def test_a_better_figure_starts_the_count_again() -> None:
    assert follow(-5, -7, -6) == EarlyStopping(best=-5, bad_epochs=2)
    assert follow(-5, -7, -4) == EarlyStopping(best=-4, bad_epochs=0)


def test_the_same_figure_and_what_is_not_finite_are_no_better() -> None:
    assert follow(-5, -5, math.nan, math.inf) == EarlyStopping(best=-5, bad_epochs=3)
    assert follow(math.nan) == EarlyStopping(best=None, bad_epochs=1)


def test_it_is_lost_after_so_many_epochs_and_never_with_none() -> None:
    assert [follow(1, *[0] * n).should_stop(2) for n in (0, 1, 2, 3)] == [False, False, True, True]
    assert not follow(1, 0, 0, 0).should_stop(0)
