"""One JSON text and one hash for a value, on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SHORT_HASH_LENGTH = 12


def canonical_json(value: Any) -> str:
    """Writes a JSON value in the one way that is hashed and compared.

    Args:
        value: Mappings with string keys, sequences, strings, finite numbers, booleans, None.

    Returns:
        JSON with sorted keys, no whitespace, and text outside ASCII kept as it is.

    Raises:
        ValueError: NaN or infinity.
        TypeError: A value JSON has no word for, or a mapping key that is not a string.
    """
    _check_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _check_keys(value: Any) -> None:
    # json.dumps turns the keys 1 and "1" into the same text: two values, one hash.
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON needs string keys, found {type(key).__name__}")
            _check_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


def content_hash(value: Any) -> str:
    """Returns the SHA-256 (64 hex digits) of the canonical JSON of a value.

    Args:
        value: What :func:`canonical_json` accepts.
    """
    return hashlib.sha256(canonical_json(value).encode("utf-8")).hexdigest()


def short_hash(full_hash: str) -> str:
    """Returns the first 12 digits of a hash, for names people read.

    Args:
        full_hash: Hex digits.
    """
    return full_hash[:SHORT_HASH_LENGTH]
