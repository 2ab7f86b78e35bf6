"""Loads a Hugging Face image-text-to-text model, and says what it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from datasets_spec.canonical import content_hash
from datasets_spec.errors import UserError
from trainers.backbone.image_limits import limit_images
from trainers.backbone.quantization import quantization_options, require_quantizer
from trainers.backbone_spec import BackboneSpec, phantom_files
from trainers.prompts.encoder import BatchEncoder

# Raise it when a question, an image or an answer becomes other tokens. 2: answers as the template writes them behind a
# prompt. 3: images within the limits of `image_limits`.
PROMPTS_VERSION = 3
_DECIDING = ("min_pixels", "max_pixels", "quantization")  # settings that are part of a backbone's identity where set


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

    require_quantizer(spec)
    options = _source_options(spec)
    if spec.attention != "auto":
        options["attn_implementation"] = spec.attention
    try:
        more = quantization_options(spec, model_without_weights(spec)) if spec.quantization else {}
        model = AutoModelForImageTextToText.from_pretrained(
            spec.location(), dtype=getattr(torch, spec.dtype), use_safetensors=True, **options, **more
        )
        processor = AutoProcessor.from_pretrained(spec.location(), **_source_options(spec))
    except (OSError, ImportError, ValueError) as error:
        raise _cannot_load(spec, error) from error
    return assemble_backbone(model, processor, spec)


def load_encoder(spec: BackboneSpec) -> BatchEncoder:
    """Load what turns rows into tensors, without the model's weights.

    Args:
        spec: a resolved backbone; tensors stay on the CPU.

    Raises:
        UserError: as for `load_backbone`.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(spec.location(), **_source_options(spec))
        config = configuration_of(spec)
    except (OSError, ImportError, ValueError) as error:
        raise _cannot_load(spec, error) from error
    return _encoder(processor, config, spec.model_copy(update={"device": "cpu"}))


def model_without_weights(spec: BackboneSpec) -> Any:
    """Return the backbone's model on the meta device: shapes alone, not quantised.

    Raises:
        OSError: the configuration cannot be read here.
    """
    from transformers import AutoModelForImageTextToText

    eager = {"attn_implementation": "eager"} if spec.attention == "eager" else {}
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(
            configuration_of(spec),
            dtype=getattr(torch, spec.dtype),
            trust_remote_code=spec.trust_remote_code,
            **eager,
        )
    return model.requires_grad_(False)


def configuration_of(spec: BackboneSpec) -> Any:
    """Return the configuration of a backbone's model.

    Raises:
        OSError: it cannot be read here.
    """
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(spec.location(), **_source_options(spec))


def _source_options(spec: BackboneSpec) -> dict[str, Any]:
    return {"revision": spec.revision, "trust_remote_code": spec.trust_remote_code}


def _cannot_load(spec: BackboneSpec, error: Exception) -> UserError:
    return UserError(
        f"backbone.model: cannot load '{spec.model}' ({type(error).__name__}: {str(error).splitlines()[0]})",
        hint="check the name and revision; families that read video need `pip install torchvision`; "
        "on a machine without internet put the model in a folder and name the folder",
    )


def assemble_backbone(model: Any, processor: Any, spec: BackboneSpec) -> Backbone:
    """Join a model and its processor on the device that the spec names, frozen and in evaluation mode."""
    device, dtype = torch.device(spec.device), getattr(torch, spec.dtype)
    model = model.to(device).eval().requires_grad_(False)
    if spec.activation_checkpointing is True:
        model.activation_checkpointing_enable()  # in training mode only
    encoder = _encoder(processor, model.config, spec)
    return Backbone(model=model, processor=processor, encoder=encoder, device=device, dtype=dtype)


def _encoder(processor: Any, config: Any, spec: BackboneSpec) -> BatchEncoder:
    limit_images(processor, min_pixels=spec.min_pixels, max_pixels=spec.max_pixels)
    return BatchEncoder(
        processor,
        image_token_id=int(config.image_token_id),
        max_tokens=getattr(config.get_text_config(), "max_position_embeddings", None),
        device=torch.device(spec.device),
        dtype=getattr(torch, spec.dtype),
    )


def backbone_fingerprint(spec: BackboneSpec) -> str:
    """Return the identity of the weights: file hashes of a folder, hub id and commit of a hub model.

    Raises:
        UserError: as for `BackboneSpec.weight_files`.
    """
    if spec.is_shipped and spec.quantization is None:
        return phantom_fingerprint(Path(spec.location()))
    hashes = _hashes(spec.weight_files())
    source: dict[str, object] = {"files": hashes} if hashes else {"model": spec.model, "revision": spec.revision}
    asked = {name: value for name in _DECIDING if (value := getattr(spec, name)) is not None}
    return content_hash({**source, "prompts": PROMPTS_VERSION, **asked})


def phantom_fingerprint(folder: Path) -> str:
    """Return the identity of a phantom base, which is the same wherever it lies."""
    return content_hash(_hashes(phantom_files(folder)))


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    return {path.name: _file_hash(path) for path in files}


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
