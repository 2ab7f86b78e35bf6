"""Greedy answers by one configuration for all backbones, whatever a checkpoint's own says of sampling and penalties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


def greedy_tokens(
    model: Any, tokenizer: Any, inputs: dict[str, Any], *, max_new_tokens: int, on_token: Callable[[], None]
) -> torch.Tensor:
    """Return the tokens that a model writes after its prompts, each time the likeliest: [batch, new tokens].

    Args:
        model: backbone, with or without adapters.
        tokenizer: of the backbone: pad and end mark.
        inputs: of a forward pass, padded on the left.
        max_new_tokens: at most.
        on_token: called after every token; may raise to stop.
    """
    from transformers import GenerationConfig

    greedy = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )

    def beat(ids: torch.Tensor, scores: Any, **options: Any) -> torch.Tensor:
        on_token()
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    with _without_own_configuration(model):
        tokens: torch.Tensor = model.generate(**inputs, generation_config=greedy, stopping_criteria=[beat])
    return tokens[:, inputs["input_ids"].shape[1] :]


@contextmanager
def _without_own_configuration(model: Any) -> Iterator[None]:
    """What `generate` is not told it takes from the checkpoint's `generation_config.json` (transformers 5.23)."""
    from transformers import GenerationConfig

    backbone = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = backbone.generation_config
    backbone.generation_config = GenerationConfig()
    try:
        yield
    finally:
        backbone.generation_config = own
