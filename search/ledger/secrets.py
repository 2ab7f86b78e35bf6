"""What of a command line or a setting is a secret, and how it is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Names under which a spec or a command could carry a secret; its value reaches neither ledger nor page.
SECRET_NAME = re.compile(r"token|secret|password|passwd|credential|api_?-?key|authorization", re.IGNORECASE)
# `user:password@` of an address with or without a scheme; the password may hold an @.
USER_INFO = re.compile(r"(?<=://)[^/?#\s]+@|(?<![^\s=,])[^\s/@:=,]+:[^\s/=,]+@(?=[\w\[])")
LEFT_OUT = "(left out)"


def mask_arguments(arguments: Sequence[str]) -> list[str]:
    """A command's arguments without secrets: `name=value`, `--name value` and the user part of addresses."""
    masked: list[str] = []
    is_value = False
    for argument in arguments:
        name, is_pair, _ = argument.partition("=")
        is_secret = SECRET_NAME.search(name) is not None
        if is_value and not argument.startswith("--"):
            masked.append(LEFT_OUT)
        elif is_pair and is_secret:
            masked.append(f"{name}={LEFT_OUT}")
        else:
            masked.append(USER_INFO.sub("", argument))
        is_value = argument.startswith("-") and is_secret and not is_pair
    return masked


def without_secrets(value: Any) -> Any:
    """The same value with secrets and the user part of addresses replaced."""
    if isinstance(value, Mapping):
        return {
            str(name): LEFT_OUT if SECRET_NAME.search(str(name)) else without_secrets(entry)
            for name, entry in value.items()
        }
    if isinstance(value, str):
        return USER_INFO.sub("", value)
    if isinstance(value, Sequence):
        return [without_secrets(entry) for entry in value]
    return value
