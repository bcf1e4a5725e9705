"""Streams of random numbers that are independent of each other."""

import itertools

import torch

from training.system.seeds import Purpose, derive_seed, generator


def test_every_seed_purpose_and_number_has_its_own_stream() -> None:
    keys = itertools.product((0, 1, 2**40), Purpose, range(5))
    derived = [derive_seed(*key) for key in keys]
    assert len(set(derived)) == len(derived)


def test_a_stream_is_the_same_every_time() -> None:
    first, again = (torch.randn(4, generator=generator(7, Purpose.NOISE, 3)) for _ in range(2))
    assert torch.equal(first, again)
