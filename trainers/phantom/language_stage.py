"""Second stage of the base: copying from text alone, then questions about images.

In a feasibility study the answer's cross-entropy alone stayed at chance, even on copying; auxiliary losses solve it.
They name the steps of an answer where they should happen: after layer 1 the question mark points at the cells it
asks about, in layer 2 it looks at them with one attention head an image, after layer 2 it says what it found there and
the answer's word, after layer 3 each option word knows whether it is the right one. The heads are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from trainers.phantom.architecture import HIDDEN_SIZE, IMAGE, NUM_IMAGE_TOKENS, NUM_TEXT_LAYERS, vocabulary
from trainers.phantom.curriculum import NUM_FINDINGS
from trainers.phantom.tensors import MAX_IMAGES, EncodedItems

PEAK_RATE: Final = 2e-3
BATCH_SIZE: Final = 64
OPTION_LAYER: Final = 3  # of 4
POINTER_LAYER: Final = 1  # the layers after it can then read what stands in those cells
WORD_LAYER: Final = 2
POINTER_POSITIVE_WEIGHT: Final = 6.0  # about one cell in 16 is asked about
NUM_LOOKING_HEADS: Final = MAX_IMAGES  # attention heads of layer 2 that are told where to look; the fourth is free
POINTER_WEIGHT: Final = 4.0  # a mean over cells is small beside the other losses
SEVERAL_IMAGES_WORD_WEIGHT: Final = 0.5  # their answer needs all images at once, which comes late


class AuxiliaryHeads(nn.Module):
    """The heads of the auxiliary losses, used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.option = nn.Linear(HIDDEN_SIZE, 1)
        self.word = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.findings = nn.Linear(HIDDEN_SIZE, NUM_LOOKING_HEADS * NUM_FINDINGS)
        self.query = nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)
        self.bias = nn.Parameter(torch.tensor(-2.0))

    def point(self, question: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Logit of each cell: [batch, 64] and [batch, cells, 64] -> [batch, cells]."""
        scores = torch.einsum("bh,bch->bc", self.query(question), cells) / HIDDEN_SIZE**0.5
        return torch.add(scores, self.bias)


def layer_states(model: Any, batch: EncodedItems, features: torch.Tensor, depth: int) -> list[torch.Tensor]:
    """Hidden states [batch, tokens, 64] after the embedding and after each of the first ``depth`` layers.

    No mask is needed: padding stands on the right and attention is causal.
    """
    inner, language = model.model, model.model.language_model
    states = language.embed_tokens(batch.ids)
    if (batch.blends > 0).any():
        states = torch.lerp(states, language.embed_tokens(batch.spelled_ids), batch.blends.unsqueeze(-1))
    if batch.features_at.shape[1]:
        projected = inner.multi_modal_projector(features[batch.features_at.flatten()])
        places = (batch.ids == vocabulary()[IMAGE]).unsqueeze(-1)
        states = states.masked_scatter(places, projected.to(states.dtype))
    positions = torch.arange(batch.ids.shape[1]).unsqueeze(0)
    turns = language.rotary_emb(states, position_ids=positions)
    layers = [states]
    for layer in language.layers[:depth]:
        layers.append(layer(layers[-1], position_embeddings=turns, position_ids=positions))
    return layers


def answer_logits(model: Any, batch: EncodedItems, features: torch.Tensor) -> torch.Tensor:
    """Logits over the vocabulary where the answer stands: [batch, words]."""
    final = layer_states(model, batch, features, NUM_TEXT_LAYERS)[-1]
    at_answer: torch.Tensor = final[torch.arange(len(batch.ids)), batch.answer_at]
    logits: torch.Tensor = model.lm_head(model.model.language_model.norm(at_answer))
    return logits


def _losses(
    model: Any, heads: AuxiliaryHeads, batch: EncodedItems, features: torch.Tensor, depth: int
) -> list[torch.Tensor]:
    """Losses that ``depth`` layers allow: pointer, looking; from two on word, finding; with all option, answer, end."""
    if depth < NUM_TEXT_LAYERS:
        batch = batch.questions_only()
    layers = layer_states(model, batch, features, depth)
    losses = [_pointer_loss(heads, layers[POINTER_LAYER], batch), _looking_loss(model, layers[POINTER_LAYER], batch)]
    rows = torch.arange(len(batch.ids))
    if depth >= WORD_LAYER:
        question = layers[WORD_LAYER][rows, batch.question_at]
        losses += [_word_loss(model, heads, question, batch), _finding_loss(heads, question, batch)]
    if depth == NUM_TEXT_LAYERS:
        losses += _answer_losses(model, heads, layers, batch)
    return losses


def _answer_losses(
    model: Any, heads: AuxiliaryHeads, layers: list[torch.Tensor], batch: EncodedItems
) -> list[torch.Tensor]:
    rows = torch.arange(len(batch.ids)).unsqueeze(1)
    scores = heads.option(layers[OPTION_LAYER][rows, batch.options_at.clamp(min=0)]).squeeze(-1)  # [batch, 5]
    scores = scores.masked_fill(batch.options_at < 0, float("-inf"))
    closed = batch.gold >= 0
    option = nn.functional.cross_entropy(scores[closed], batch.gold[closed])
    places = torch.stack([batch.answer_at, batch.answer_at + 1], dim=1)  # the answer, then the end token
    logits = model.lm_head(model.model.language_model.norm(layers[-1][rows, places]))  # [batch, 2, words]
    wanted = batch.ids[rows, places + 1]
    answer = nn.functional.cross_entropy(logits[:, 0], wanted[:, 0])
    end = nn.functional.cross_entropy(logits[:, 1], wanted[:, 1])
    return [option, answer, 0.2 * end]


def _word_loss(model: Any, heads: AuxiliaryHeads, question: torch.Tensor, batch: EncodedItems) -> torch.Tensor:
    """Cross-entropy of the answer's word at the question mark."""
    loss = nn.functional.cross_entropy(model.lm_head(heads.word(question)), batch.word)
    return loss if batch.features_at.shape[1] < 2 else SEVERAL_IMAGES_WORD_WEIGHT * loss


def _finding_loss(heads: AuxiliaryHeads, question: torch.Tensor, batch: EncodedItems) -> torch.Tensor:
    """Cross-entropy at the question mark of what each image shows of what is asked."""
    if not (batch.findings >= 0).any():
        return torch.zeros(())
    logits = heads.findings(question).view(-1, NUM_FINDINGS)  # [batch * images, findings]
    return nn.functional.cross_entropy(logits, batch.findings.flatten(), ignore_index=-1)


def _pointer_loss(heads: AuxiliaryHeads, states: torch.Tensor, batch: EncodedItems) -> torch.Tensor:
    if not batch.cells.shape[1]:
        return torch.zeros(())
    rows = torch.arange(len(batch.ids))
    seen = states[batch.ids == vocabulary()[IMAGE]].view(len(batch.ids), -1, HIDDEN_SIZE)
    logits = heads.point(states[rows, batch.question_at], seen)  # [batch, images * 16]
    asked = ~batch.cells[:, 0].isnan()
    positive = torch.tensor(POINTER_POSITIVE_WEIGHT)
    loss = nn.functional.binary_cross_entropy_with_logits(logits[asked], batch.cells[asked], pos_weight=positive)
    return POINTER_WEIGHT * loss


def _looking_targets(batch: EncodedItems) -> torch.Tensor:
    """Where the question mark looks for each image: [batch, images, tokens]; at itself where nothing is asked about."""
    num_images = batch.features_at.shape[1]
    cells = batch.cells.nan_to_num(0.0).view(-1, num_images, NUM_IMAGE_TOKENS)
    targets = torch.zeros(len(batch.ids), NUM_LOOKING_HEADS, batch.ids.shape[1])
    places = (batch.ids == vocabulary()[IMAGE]).nonzero()[:, 1].view(len(batch.ids), num_images, NUM_IMAGE_TOKENS)
    targets[:, :num_images].scatter_(2, places, cells)
    nothing = (targets.sum(dim=2) == 0).nonzero()
    targets[nothing[:, 0], nothing[:, 1], batch.question_at[nothing[:, 0]]] = 1.0
    return targets / targets.sum(dim=2, keepdim=True)


def _looking_loss(model: Any, states: torch.Tensor, batch: EncodedItems) -> torch.Tensor:
    """Cross-entropy of layer 2's attention at the question mark with the cells asked about."""
    if not batch.cells.shape[1]:
        return torch.zeros(())
    language, rows = model.model.language_model, torch.arange(len(batch.ids))
    layer = language.layers[POINTER_LAYER]
    normed = layer.input_layernorm(states)
    size = NUM_LOOKING_HEADS * layer.self_attn.head_dim
    positions = torch.arange(batch.ids.shape[1]).unsqueeze(0)
    cos, sin = language.rotary_emb(states, position_ids=positions)
    queries = layer.self_attn.q_proj(normed)[..., :size].unflatten(-1, (NUM_LOOKING_HEADS, -1)).transpose(1, 2)
    keys = layer.self_attn.k_proj(normed)[..., :size].unflatten(-1, (NUM_LOOKING_HEADS, -1)).transpose(1, 2)
    queries, keys = apply_rotary_pos_emb(queries, keys, cos, sin)  # [batch, heads, tokens, 16]
    query = queries[rows, :, batch.question_at]  # [batch, heads, 16]
    scores = torch.einsum("bhd,bhtd->bht", query, keys) * layer.self_attn.scaling
    later = positions > batch.question_at.unsqueeze(1)
    looks = scores.masked_fill(later.unsqueeze(1), -1e4).log_softmax(dim=-1)
    asked = ~batch.cells[:, 0].isnan()
    loss: torch.Tensor = -(_looking_targets(batch) * looks).sum(dim=2)[asked].mean()
    return loss


def train_language(
    model: Any,
    heads: AuxiliaryHeads,
    groups: Sequence[EncodedItems],
    shares: Sequence[float],
    features: torch.Tensor,
    *,
    num_steps: int,
    depth: int = NUM_TEXT_LAYERS,
    seed: int,
    on_event: Callable[[str], None],
    name: str,
) -> None:
    """Train language model and projector; the tower stays frozen behind its cached features.

    Args:
        model: the backbone.
        heads: of the auxiliary losses.
        groups: items by number of images.
        shares: probability that a batch is drawn from each group.
        features: the feature cache, [images, 16, 64].
        num_steps: optimiser steps.
        depth: how many layers take part; fewer than all train only the losses that those allow.
        seed: of the batch order.
        on_event: gets a line of progress now and then.
        name: of the stage, for those lines.
    """
    inner = model.model
    parameters = [*inner.language_model.parameters(), *inner.multi_modal_projector.parameters()]
    parameters += list(heads.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=num_steps, pct_start=0.1)
    order = torch.Generator().manual_seed(seed)
    weights = torch.tensor(list(shares), dtype=torch.float)
    for step in range(num_steps):
        group = groups[int(torch.multinomial(weights, 1, generator=order))]
        rows = torch.randint(len(group.ids), (BATCH_SIZE,), generator=order)
        losses = _losses(model, heads, group.take(rows), features, depth)
        optimiser.zero_grad()
        torch.autograd.backward(torch.stack(losses).sum())
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            parts = ", ".join(f"{loss.item():.3f}" for loss in losses)
            on_event(f"{name}: step {step + 1} of {num_steps}, losses {parts}")


@torch.no_grad()
def right_answers(model: Any, group: EncodedItems, features: torch.Tensor) -> torch.Tensor:
    """Which items the model answers with the right token, out of the whole vocabulary: bool [items]."""
    right = []
    for start in range(0, len(group.ids), 256):
        batch = group.take(torch.arange(start, min(start + 256, len(group.ids))))
        wanted = batch.ids[torch.arange(len(batch.ids)), batch.answer_at + 1]
        right.append(answer_logits(model, batch, features).argmax(-1) == wanted)
    return torch.cat(right)


def new_auxiliary_heads(seed: int) -> AuxiliaryHeads:
    """Fresh heads with weights drawn from ``seed``."""
    torch.manual_seed(seed)
    return AuxiliaryHeads()
