"""The answer of a selection's adapter to one question about images that the study has never seen."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_spec.errors import UserError
from datasets_spec.images.decode import decode
from datasets_spec.images.files import read_image
from datasets_spec.images.limits import ImageLimits, ImageRefused
from search.handover.selection import read_selection
from search.study.run_dir import RunDir


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """An answer.

    Attributes:
        answer: the likeliest option, or the generated words.
        probabilities: of the options, in their order, summing to 1; empty for a question without options.
        device: on which it was computed.
    """

    answer: str
    probabilities: tuple[float, ...]
    device: str


def predict(run_dir: RunDir, images: Sequence[Path], question: str, options: Sequence[str]) -> Prediction:
    """Ask the selected fine-tune as the study asks it: same prompt, same processing of images, same scoring.

    Args:
        run_dir: the study directory, with the selection's adapter in it.
        images: picture files, in the order in which the question speaks of them.
        question: in words.
        options: to choose from; none for an answer in words.

    Raises:
        UserError: there is no selection or adapter, a picture cannot be used, or there is one option only.
    """
    selection = read_selection(run_dir)
    if selection.adapter is None:
        raise UserError(
            f"{run_dir} holds no adapter of its selection",
            hint="the study has not kept it, or it was not copied along (`trials/*/adapter`)",
        )
    if len(options) == 1:
        raise UserError("one option is no choice", hint="give two or more, or none for an answer in words")
    row = {
        "sample_id": "asked", "subset": "asked", "question": question, "options": list(options), "answer": "",
        "answer_index": 0 if options else -1, "answer_kind": "closed" if options else "open",
        "images": [_as_png(path) for path in images],
    }  # fmt: skip
    return _answered(selection.backbone, selection.adapter, row)


def _as_png(path: Path) -> bytes:
    """The picture as the store keeps one: upright, 8-bit RGB, without metadata."""
    limits = ImageLimits()
    try:
        picture = decode(read_image(path.resolve(), limits), limits)  # it follows no links of its own
    except ImageRefused as error:
        what = ", ".join(filter(None, (error.reason.value.replace("_", " "), error.detail)))
        raise UserError(f"{path} cannot be used: {what}", hint="give PNG, JPEG or single-frame DICOM files") from error
    out = io.BytesIO()
    picture.save(out, "png")
    return out.getvalue()


def _answered(spec: Any, adapter: Path, row: dict[str, Any]) -> Prediction:
    import torch

    from trainers.backbone.adapters import load_adapter
    from trainers.backbone.backbone import load_backbone
    from trainers.scoring.scorer import answer_one

    backbone = load_backbone(spec.resolved(gpus_per_worker=float(torch.cuda.is_available())))
    model = load_adapter(backbone, adapter)
    log_probs, text = answer_one(model, backbone.encoder, row)
    if not row["options"]:
        return Prediction(answer=text.strip(), probabilities=(), device=str(backbone.device))
    top = max(log_probs)
    weights = [math.exp(value - top) for value in log_probs]
    shares = tuple(weight / sum(weights) for weight in weights)
    return Prediction(
        answer=row["options"][max(range(len(shares)), key=lambda k: (shares[k], -k))],
        probabilities=shares,
        device=str(backbone.device),
    )
