"""Logits of chosen positions only: of a long prompt the others would take most of the memory and be thrown away."""

from __future__ import annotations

from typing import Any

import torch


def logits_at(model: Any, inputs: dict[str, Any], wanted: torch.Tensor) -> torch.Tensor:
    """Return the logits of the chosen positions of a forward pass: [positions chosen, vocabulary].

    What `logits_to_keep` keeps is kept of every row; samples whose answers stand at other places would so multiply each
    other's. Here only the chosen hidden states reach the vocabulary, and whatever the model does to its logits after
    (scaling, capping) is done by its own code.

    Args:
        model: backbone, with or without adapters or wrappers.
        inputs: of a forward pass, without labels.
        wanted: bool [batch, tokens].
    """
    base = model.module if hasattr(model, "module") else model  # DistributedDataParallel
    head = base.get_output_embeddings()

    def choose(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][wanted][None], *args[1:])  # [1, positions chosen, hidden]

    handle = head.register_forward_pre_hook(choose)
    try:
        logits: torch.Tensor = model(**inputs, use_cache=False).logits[0]
    finally:
        handle.remove()
    return logits
