"""What is chosen fits, one more would not, and activations are kept where they can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.training.fit_memory import USED_SHARE, fit_memory, largest_micro_batch
from trainers.training.memory_estimate import OVERHEAD_GIB, MemoryEstimate

KEPT = MemoryEstimate(weights_gib=8.0, adapters_gib=1.0, activations_gib=9.0, gradients_gib=1.0)
AGAIN = MemoryEstimate(weights_gib=8.0, adapters_gib=1.0, activations_gib=1.0, gradients_gib=1.0)
OPTIONS = [(False, KEPT), (True, AGAIN)]


@pytest.mark.parametrize(("room_gib", "kept", "again"), [(9.0, 0, 0), (12.0, 0, 4), (15.0, 2, 10), (20.0, 4, 20)])
def test_what_is_proposed_fits_and_one_more_would_not(room_gib: float, kept: int, again: int) -> None:
    for estimate, expected in ((KEPT, kept), (AGAIN, again)):
        found = largest_micro_batch(estimate, 4, room_gib)
        assert found == expected
        a_sample = (estimate.activations_gib + estimate.gradients_gib) / 4
        fixed = estimate.weights_gib + estimate.adapters_gib + OVERHEAD_GIB
        assert found == 0 or fixed + found * a_sample <= room_gib
        assert fixed + (found + 1) * a_sample > room_gib


def test_activations_are_kept_where_one_sample_fits_so() -> None:
    def choice(room_gib: float, batch_size: int = 8, asked: int | None = None) -> str:
        return str(fit_memory(OPTIONS, estimated_for=4, batch_size=batch_size, asked=asked, room_gib=room_gib))

    assert choice(80) == "8 samples at a time"
    assert choice(27, batch_size=10) == "5 samples at a time"
    assert choice(27) == "4 samples at a time"  # two parts of four, not five and three
    assert choice(14) == "1 sample at a time"
    assert choice(12.5) == "2 samples at a time, activations computed again"
    assert choice(9) == "1 sample at a time, activations computed again"  # the ladder has the last word
    assert choice(80, asked=2) == "2 samples at a time"
    assert choice(14, asked=2) == "2 samples at a time, activations computed again"


@given(st.floats(10, 200), st.integers(1, 64))
def test_the_parts_of_a_batch_are_even_and_fit(room_gib: float, batch_size: int) -> None:
    choice = fit_memory(OPTIONS, estimated_for=4, batch_size=batch_size, asked=None, room_gib=room_gib)
    size = choice.micro_batch_size
    assert 1 <= size <= batch_size
    largest = largest_micro_batch(AGAIN if choice.is_checkpointed else KEPT, 4, USED_SHARE * room_gib)
    assert size <= max(1, largest)
    assert -(-batch_size // size) == -(-batch_size // max(1, min(largest, batch_size)))  # as few parts as can be
