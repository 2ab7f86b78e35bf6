"""Where an unfinished fine-tune stands, on disk: adapter and optimizer, verified when they are read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from datasets_spec.atomic import replace_file
from trainers.training.packed_adapters import AdapterWeights
from trainers.training.packed_loop import MemberState
from trainers.training.packed_optimizer import OptimizerState
from trainers.trial.folder import CACHE_DIR


def checkpoint_file(run_dir: Path, train_id: str) -> Path:
    """Return the file of a trial's checkpoint; a cache that may be deleted at any time."""
    return run_dir / CACHE_DIR / "checkpoints" / f"{train_id}.safetensors"


def save_checkpoint(file: Path, train_id: str, state: MemberState) -> None:
    """Write a checkpoint whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    names = list(state.weights.down)
    tensors = {f"down.{n}": t for n, t in state.weights.down.items()}
    tensors |= {f"up.{n}": t for n, t in state.weights.up.items()}
    tensors |= {f"first.{i}": t for i, t in enumerate(state.optimizer.first)}
    tensors |= {f"second.{i}": t for i, t in enumerate(state.optimizer.second)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {
        "train_id": train_id,
        "num_steps": state.optimizer.num_steps,
        "train_s": state.train_s,
        "num_tokens": state.num_tokens,
        "data_s": state.data_s,
        "scaling": state.weights.scaling,
        "layers": names,
        "digest": _digest(tensors),
    }
    data = save(tensors, metadata={"about": json.dumps(about)})
    replace_file(file, lambda temporary: Path(temporary).write_bytes(data))


def load_checkpoint(file: Path, train_id: str) -> MemberState | None:
    """Return a verified checkpoint of this trial; None when there is none, or it is damaged or another trial's."""
    try:
        with safe_open(str(file), framework="pt") as content:
            about = json.loads((content.metadata() or {})["about"])
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a mapping
        if about["train_id"] != train_id or about["digest"] != _digest(tensors):
            return None
        num_moments = 2 * len(about["layers"])
        return MemberState(
            weights=AdapterWeights(
                down={n: tensors[f"down.{n}"] for n in about["layers"]},
                up={n: tensors[f"up.{n}"] for n in about["layers"]},
                scaling=about["scaling"],
            ),
            optimizer=OptimizerState(
                num_steps=about["num_steps"],
                first=tuple(tensors[f"first.{i}"] for i in range(num_moments)),
                second=tuple(tensors[f"second.{i}"] for i in range(num_moments)),
            ),
            **{name: about[name] for name in ("train_s", "num_tokens", "data_s") if name in about},
        )
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
