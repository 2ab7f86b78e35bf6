"""Whether vision features that are kept give the answers of pixels: asked before a study relies on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets_spec.errors import RecombineError

if TYPE_CHECKING:
    import torch

    from trainers.backbone.backbone import Backbone
    from trainers.prompts.encoder import Example

# Largest change of a log-probability that is rounding. With 8 bits a logit between 16 and 32 has steps of 0.125; two
# right ways to compute it were seen to differ by 0.07 to 0.13 in the largest of 8 x 152k.
FLOAT_ROUNDING = 1e-3
HALF_ROUNDING = 0.15


class FeaturesNotKeptError(RecombineError):
    """Vision features of this backbone cannot stand for pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Of kept inputs with direct ones, on some questions.

    Attributes:
        divergence: largest Kullback-Leibler divergence of a question's distribution over all tokens, in nats.
        num_changed: questions that are answered otherwise though the answer was no near tie.
    """

    divergence: float
    num_changed: int


def check_kept(backbone: Backbone, examples: Sequence[Example], kept: dict[str, Any]) -> None:
    """Make sure that kept features answer as pixels do.

    Args:
        backbone: without an adapter.
        examples: with images.
        kept: what a forward pass takes of the same questions, with features for pixels.

    Raises:
        FeaturesNotKeptError: they do not, and by how much.
    """
    import torch

    rounding = FLOAT_ROUNDING if backbone.dtype == torch.float32 else HALF_ROUNDING
    found = agreement(backbone, examples, kept, rounding=rounding)
    most = rounding**2 / 2  # of two distributions whose log-probabilities nowhere differ by more than the rounding
    if not found.divergence <= most or found.num_changed:
        raise FeaturesNotKeptError(
            f"kept features change {found.num_changed} of {len(examples)} answers, and what is said by "
            f"{found.divergence:.2g} nats (rounding: {most:.2g})"
        )


def agreement(backbone: Backbone, examples: Sequence[Example], kept: dict[str, Any], *, rounding: float) -> Agreement:
    """Compare what is said at the answer position; a single log-probability among all may round far.

    Args:
        backbone: without an adapter.
        examples: with images.
        kept: what a forward pass takes of the same questions, with features for pixels.
        rounding: largest change of a log-probability that is none of the features' making.
    """
    import torch

    with torch.inference_mode():
        direct = _log_probs(backbone, backbone.encoder.encode_prompts(examples))
        by_kept = _log_probs(backbone, kept)
        divergences = (direct.exp() * (direct - by_kept)).sum(dim=-1)
    changed = 0
    for example, before, after in zip(examples, direct, by_kept, strict=True):
        tokens = backbone.encoder.letter_ids(len(example.options)) if example.is_closed else range(before.shape[0])
        choices = list(tokens)
        best, other = (choices[int(said[choices].argmax())] for said in (before, after))
        changed += float(before[best] - before[other]) > 2 * rounding  # both may have moved
    return Agreement(divergence=float(divergences.max()), num_changed=changed)


def _log_probs(backbone: Backbone, inputs: dict[str, Any]) -> torch.Tensor:
    """[questions, vocabulary] at the answer position."""
    import torch

    last = inputs["attention_mask"].sum(dim=1) - 1
    logits = backbone.model(**inputs, use_cache=False).logits
    at_answer: torch.Tensor = logits[torch.arange(len(last), device=last.device), last].float()
    return at_answer.log_softmax(dim=-1)
