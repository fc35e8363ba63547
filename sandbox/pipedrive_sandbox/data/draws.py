"""Random draws that are the same on every Python version."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def pick(rng: Random, pool: Sequence[T]) -> T:
    """Return an element of a pool; random.choice takes three times as long, and this is called a million
    times.
    """
    return pool[int(rng.random() * len(pool))]


def weighted(rng: Random, weights: Mapping[T, float]) -> T:
    """Return one of the keys by weight; the weights add up to 1."""
    draw = rng.random()
    for key, weight in weights.items():  # noqa: B007 - the last key also takes the rounding rest
        draw -= weight
        if draw < 0:
            break
    return key
