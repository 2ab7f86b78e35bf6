"""Memory of a device: what an error says of it, and giving it back."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# torch's CPU allocator, CUDA itself, and cuBLAS when it cannot get its workspace.
_NO_MEMORY = ("not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def free_memory(device: torch.device) -> None:
    """Give back what a failed attempt held, once nothing refers to it: also what only circles of objects keep."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or this process could not get memory; some allocators say so in words only."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
