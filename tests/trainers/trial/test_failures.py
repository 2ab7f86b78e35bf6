"""What may be written down of an error."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from safetensors import SafetensorError

from trainers.trial.failures import RunStorageError, describe_error, writing_to_run


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "of a patient", "/data/patient-7.png"), "OSError: No space left on device"),
        (FileNotFoundError(errno.ENOENT, "x", "/data/patient-7.png"), "FileNotFoundError: No such file or directory"),
        (OSError("patient-7", "x"), "OSError"),  # a number that is none
        (ssl.SSLError(1, "patient-7"), "SSLError"),  # a number of another list
        (socket.gaierror(-2, "patient-7"), "gaierror"),
        (SafetensorError("I/O error: x (os error 28)"), "SafetensorError: No space left on device"),
        (ValueError("patient-7"), "ValueError"),
    ],
)  # fmt: skip
def test_the_system_is_quoted_and_nobody_else(error: Exception, words: str) -> None:
    assert describe_error(error) == words


def test_what_hinders_writing_is_told_from_a_failure_of_the_trial() -> None:
    with pytest.raises(RunStorageError, match=r"cannot be written: Read-only file system$"), writing_to_run():
        raise OSError(errno.EROFS, "x", "/data/patient-7")
    with pytest.raises(ValueError, match="its own"), writing_to_run():
        raise ValueError("its own")
