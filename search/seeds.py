"""Generators and seeds that depend on labels only."""

from __future__ import annotations

import hashlib
import random


def derived_rng(seed: int, *labels: int | str) -> random.Random:
    """A generator that depends on `seed` and `labels` only: not on the process or on earlier draws."""
    return random.Random(derived_seed(seed, *labels))


def derived_seed(seed: int, *labels: int | str) -> int:
    """A 32-bit seed from `seed` and `labels` (Optuna's samplers take no more)."""
    text = "|".join([str(seed), *map(str, labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
