"""Large blocks that were freed are used again without the system's help; seen by its count of pages it had to give."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from trainers.executors.kept_memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("this C library does not take the settings")
def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    before = pages()
    block = bytearray(b"x") * (64 * 2**20)
    given = pages() - before
    del block
print(given)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_a_large_block_is_used_again() -> None:
    given = {
        name: int(
            subprocess.run([sys.executable, "-c", SCRIPT, name], capture_output=True, text=True, check=True).stdout
        )
        for name in ("kept", "not kept")
    }
    assert given["kept"] < 100 < given["not kept"]
