"""Loads a Hugging Face image-text-to-text model and puts LoRA adapters where they belong."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets_spec.canonical import content_hash
from datasets_spec.errors import UserError
from trainers.backbone_spec import BackboneSpec
from trainers.prompts.encoder import BatchEncoder
from trainers.recipe import Recipe

# Names that transformers' model families give the part between vision tower and language model.
PROJECTOR_NAMES = ("multi_modal_projector", "connector", "merger", "aligner", "mm_projector")
# The block whose linear layers are an attention's: `self_attn.q_proj`, `attention.query_key_value`.
_ATTENTION = re.compile(r"(?:attn|attention)[^.]*\.")


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A loaded model with what is needed to feed it."""

    model: Any
    processor: Any
    encoder: BatchEncoder
    device: torch.device
    dtype: torch.dtype


def load_backbone(spec: BackboneSpec) -> Backbone:
    """Load model and processor by hub id and revision, or from a folder; safetensors only.

    Args:
        spec: a backbone whose device and dtype are resolved (`BackboneSpec.resolved`).

    Raises:
        UserError: the model cannot be found or needs a package that is not installed.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    options: dict[str, Any] = {"revision": spec.revision, "trust_remote_code": spec.trust_remote_code}
    dtype: torch.dtype = getattr(torch, spec.dtype)
    if spec.attention != "auto":
        options["attn_implementation"] = spec.attention
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            spec.location(), dtype=dtype, use_safetensors=True, **options
        )
        options.pop("attn_implementation", None)
        processor = AutoProcessor.from_pretrained(spec.location(), **options)
    except (OSError, ImportError, ValueError) as error:
        raise UserError(
            f"backbone.model: cannot load '{spec.model}' ({type(error).__name__}: {str(error).splitlines()[0]})",
            hint="check the name and revision; families that read video need `pip install torchvision`; "
            "on a machine without internet put the model in a folder and name the folder",
        ) from error
    return assemble_backbone(model, processor, spec)


def assemble_backbone(model: Any, processor: Any, spec: BackboneSpec) -> Backbone:
    """Join a model and its processor on the device that the spec names, frozen and in evaluation mode."""
    device, dtype = torch.device(spec.device), getattr(torch, spec.dtype)
    model = model.to(device).eval().requires_grad_(False)
    if spec.activation_checkpointing:
        model.activation_checkpointing_enable()  # in training mode only
    text_config = model.config.get_text_config()
    encoder = BatchEncoder(
        processor,
        image_token_id=int(model.config.image_token_id),
        max_tokens=getattr(text_config, "max_position_embeddings", None),
        device=device,
        dtype=dtype,
    )
    return Backbone(model=model, processor=processor, encoder=encoder, device=device, dtype=dtype)


def adapter_pattern(model: nn.Module, modules: str) -> str:
    """Return a regular expression that matches the linear layers to adapt, for PEFT's `target_modules`.

    Shorthands such as `all-linear` or `q_proj` also hit the vision tower in most families; this pattern is built
    from the module tree and never does.

    Args:
        model: the backbone.
        modules: `attention`, `language` or `language+projector` (`Recipe.lora_modules`).

    Raises:
        UserError: no linear layer of a language model was found.
    """
    names = {id(module): name for name, module in model.named_modules()}
    language = names[id(model.get_decoder())]  # type: ignore[operator]
    vision = names.get(id(model.get_encoder(modality="image")), "")  # type: ignore[operator]
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    chosen = [name for name in linear if language and name.startswith(f"{language}.")]
    if modules == "attention":
        chosen = [name for name in chosen if _ATTENTION.search(name)]
    if not chosen:
        hint = "try `recipe.lora_modules: language`" if modules == "attention" else None
        raise UserError(f"no linear layers for '{modules}' in the language model of {type(model).__name__}", hint=hint)
    if modules == "language+projector":
        chosen += [name for name in linear if any(part in PROJECTOR_NAMES for part in name.split("."))]
    projector = [n for n in chosen if not n.startswith(f"{language}.")]
    if any(
        vision and n.startswith(f"{vision}.") and not any(p in PROJECTOR_NAMES for p in n.split(".")) for n in chosen
    ):
        raise UserError(f"the adapter pattern would touch the vision tower '{vision}'")
    leaves = sorted({name.rsplit(".", 1)[-1] for name in chosen if name.startswith(f"{language}.")})
    inside = rf"{_ATTENTION.pattern}(?:.*\.)?" if modules == "attention" else r"\."
    pattern = rf"{re.escape(language)}\..*{inside}({'|'.join(map(re.escape, leaves))})"
    if projector:
        pattern += "|" + "|".join(re.escape(name) for name in sorted(projector))
    return pattern


def add_adapter(backbone: Backbone, recipe: Recipe, *, seed: int) -> Any:
    """Wrap the backbone in a fresh LoRA adapter (PEFT) whose first values depend on the seed only."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,  # type: ignore[arg-type, unused-ignore]
        lora_dropout=recipe.lora_dropout,
        target_modules=adapter_pattern(backbone.model, recipe.lora_modules),
        bias="none",
    )
    torch.manual_seed(seed)
    return get_peft_model(backbone.model, config)


def load_adapter(backbone: Backbone, folder: Path) -> Any:
    """Put a saved adapter on the backbone for scoring; safetensors only.

    Raises:
        UserError: the folder holds no `adapter_model.safetensors` (pickled adapters are refused).
    """
    from peft import PeftModel

    if not (folder / "adapter_model.safetensors").is_file():
        raise UserError(f"{folder} holds no adapter_model.safetensors", hint="pickled adapters are never loaded")
    return PeftModel.from_pretrained(backbone.model, str(folder)).eval()


def save_adapter(model: Any, folder: Path, spec: BackboneSpec) -> None:
    """Save the adapter so that it loads elsewhere: hub id and revision instead of this machine's paths."""
    model.save_pretrained(str(folder), safe_serialization=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = spec.model
    config["revision"] = spec.revision
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def backbone_fingerprint(spec: BackboneSpec) -> str:
    """Return the identity of the weights: file hashes of a folder, hub id and commit of a hub model.

    Raises:
        UserError: a hub model without a revision (its weights could change under a study) or an empty folder.
    """
    folder = Path(spec.location())
    if folder.is_dir():
        names = (
            "*.safetensors",
            "config.json",
            "tokenizer.json",
            "chat_template.*",
            "*processor_config.json",
        )
        files = sorted({path for pattern in names for path in folder.glob(pattern)})
        if not any(path.suffix == ".safetensors" for path in files):
            raise UserError(
                f"backbone.model: {folder} holds no .safetensors file",
                hint="pickled weights are never loaded",
            )
        return content_hash({path.name: _file_hash(path) for path in files})
    if spec.revision is None:
        raise UserError(
            f"backbone.model: '{spec.model}' is no folder here, and a hub model needs a revision",
            hint="add `backbone.revision: <commit>` so that every trial starts from the same weights, "
            "or name a folder, or `phantom`",
        )
    return content_hash({"model": spec.model, "revision": spec.revision})


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
