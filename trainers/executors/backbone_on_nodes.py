"""The backbone on every node before slots start: fetched once a node, and the same on all of them."""

from __future__ import annotations

from typing import Any

from datasets_spec.errors import UserError
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone.quantization import require_quantizer
from trainers.backbone_spec import BackboneSpec

# What `from_pretrained` reads of a model; pickled weights are never fetched.
_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


def place_backbone(spec: BackboneSpec, fingerprint: str) -> None:
    """Make sure that every node of the cluster can load the backbone, and the same one.

    Args:
        spec: the backbone, resolved and located.
        fingerprint: of it, as this process sees it.

    Raises:
        UserError: a node cannot fetch it, or has another one; says which and what to do.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if spec.is_shipped and spec.quantization is None:  # comes with the package
        return
    asked: dict[str, tuple[str, Any]] = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0) + node["Resources"].get("GPU", 0) > 0:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=1)(_placed)
            asked[node["NodeID"]] = (node["NodeManagerAddress"], task.remote(spec, fingerprint))
    for node_id, (address, reference) in asked.items():
        try:
            message, hint = ray.get(reference)
        except ray.exceptions.RayError:
            if any(node["Alive"] and node["NodeID"] == node_id for node in ray.nodes()):
                raise
            continue  # it has died since it was asked: the others go on
        if message is not None:
            raise UserError(f"{message} (on the node {address})", hint=hint)


def _placed(spec: BackboneSpec, fingerprint: str) -> tuple[str | None, str | None]:
    """What keeps a node from having the backbone, and what to do; an exception would reach the driver as Ray's own."""
    try:
        require_quantizer(spec)
        fetch_backbone(spec)
        require_same_backbone(spec, fingerprint)
    except UserError as error:
        return error.message, error.hint
    return None, None


def require_same_backbone(spec: BackboneSpec, fingerprint: str) -> None:
    """Compare this node's backbone with the driver's: of a folder, every file (2.4 s a GB without SHA in hardware).

    Args:
        spec: the backbone, resolved and located.
        fingerprint: of it, as the driver sees it.

    Raises:
        UserError: it is another, or is not there.
    """
    if backbone_fingerprint(spec) != fingerprint:
        raise UserError(
            f"backbone.model: {spec.model} holds other files there than where the study was started",
            hint="copy the same folder to every node, or put it on storage that all of them share",
        )


def fetch_backbone(spec: BackboneSpec) -> None:
    """Bring a hub model's commit into this node's cache; a folder is left as it is.

    Raises:
        UserError: the model is gated, private, unknown, or cannot be reached.
    """
    from huggingface_hub import errors, snapshot_download

    if spec.revision is None or not is_hub_model(spec):
        return
    place = f"'{spec.model}' at {spec.revision}"
    files = [*_FILES, "*.py"] if spec.trust_remote_code else [*_FILES]
    try:
        snapshot_download(spec.model, revision=spec.revision, allow_patterns=files)
    except errors.GatedRepoError as error:
        raise UserError(
            f"backbone.model: {place} is gated, and this node has no access",
            hint="accept the model's terms on its page, then give every node a token of that account: the environment "
            "variable HF_TOKEN, or `hf auth login`",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"backbone.revision: {place}: there is no such commit", hint="take one from the history on the model's page"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"backbone.model: {place} is not on the hub, or is private and this node has no token for it",
            hint="check the name; for a private model set the environment variable HF_TOKEN on every node",
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"backbone.model: {place} cannot be fetched ({type(error).__name__})",
            hint="this node needs the internet once; or put the model into a folder that all nodes see and name it",
        ) from error


def is_hub_model(spec: BackboneSpec) -> bool:
    """Whether the model is named by hub id, and not by a folder of this node."""
    from pathlib import Path

    folder = Path(spec.location())
    return not (spec.is_shipped or folder.is_dir() or folder.is_absolute())
