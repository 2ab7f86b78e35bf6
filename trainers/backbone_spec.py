"""Which vision-language model a study starts from; loads nothing heavy."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from datasets_spec.errors import UserError

PHANTOM = "phantom"
PHANTOM_DIR = Path(__file__).parent / "phantom" / "base"
# What decides how a model answers. These identify a phantom base: its other files are written by this version's code.
_PHANTOM_FILES = ("*.safetensors", "config.json", "tokenizer.json", "chat_template.*", "*processor_config.json")
_WEIGHT_FILES = (
    *_PHANTOM_FILES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "tokenizer.model",
    "vocab.*",
    "merges.txt",
    "*.py",  # run with `trust_remote_code`
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class BackboneSpec(BaseModel):
    """A Hugging Face image-text-to-text model by hub id and revision, by local folder, or `phantom`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default=PHANTOM, min_length=1, description="hub id, folder, or `phantom` (shipped, 0.3M parameters)"
    )
    revision: str | None = Field(
        default=None, description="commit of a hub model; name one so that results stay comparable"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    quantization: Literal["nf4"] | None = Field(
        default=None,
        description="keep the language model's frozen weights in 4 bits (QLoRA): a quarter of their memory, other "
        "answers; needs the extra `quantization`. Tried on CPUs only: unproven on a GPU",
    )
    activation_checkpointing: Literal["auto"] | bool = Field(
        default="auto",
        description="compute activations again in the backward pass: far less memory, about a third more time; auto: "
        "on a GPU that is estimated not to hold one sample's",
    )
    max_pixels: PositiveInt | None = Field(
        default=None,
        description="most pixels of an image as the model sees it; larger ones are scaled down. Default: 1,003,520 "
        "(about 1,280 tokens) where a family takes images of any size, else the family's own",
    )
    min_pixels: PositiveInt | None = Field(
        default=None, description="smaller images are scaled up to so many, in families that take images of any size"
    )
    trust_remote_code: bool = Field(
        default=False, description="runs Python code that comes with the model; off by default"
    )

    def location(self) -> str:
        """Return what `from_pretrained` is given: the shipped folder for `phantom`, else the name as written."""
        return str(PHANTOM_DIR) if self.model == PHANTOM else self.model

    def located(self, base: Path) -> "BackboneSpec":
        """Replace a folder by its absolute path.

        Args:
            base: where a relative path starts from. What looks like a path is one; `org/name` is one where there is
                such a folder, and else a hub id.
        """
        if self.model == PHANTOM:
            return self
        place = os.path.abspath(base / self.model)
        is_folder = self.model.startswith((".", "/")) or os.path.isdir(place)
        return self.model_copy(update={"model": place}) if is_folder else self

    @property
    def is_shipped(self) -> bool:
        """Whether this is the phantom that comes with this version, by name or by folder."""
        return Path(self.location()).absolute() == PHANTOM_DIR.absolute()

    def weight_files(self) -> list[Path]:
        """Return the files of a folder that decide how the model answers; none for a hub model.

        Raises:
            UserError: the folder is not there or holds no weights, or a hub model has no commit (its weights could
                change under a study).
        """
        folder = Path(self.location())
        if folder.is_dir():
            files = phantom_files(folder) if self.is_shipped else _files(folder, _WEIGHT_FILES)
            if not any(path.suffix == ".safetensors" for path in files):
                raise UserError(
                    f"backbone.model: {folder} holds no .safetensors file",
                    hint="pickled weights are never loaded",
                )
            return files
        if folder.is_absolute():
            raise UserError(
                f"backbone.model: there is no folder {folder}",
                hint="paths start from the study file; put the model there, or name a hub id and its revision",
            )
        if self.revision is None:
            raise UserError(
                f"backbone.model: '{self.model}' is no folder here, and a hub model needs a revision",
                hint="add `backbone.revision: <commit>` so that every trial starts from the same weights, "
                "or name a folder, or `phantom`",
            )
        if not _COMMIT.fullmatch(self.revision):
            raise UserError(
                f"backbone.revision: '{self.revision}' is a branch, a tag or a part of a commit; it may come to mean "
                f"other weights of '{self.model}'",
                hint="give the whole commit: 40 digits and letters from a to f, in the history on the model's page",
            )
        return []

    def resolved(self, *, gpus_per_worker: float) -> "BackboneSpec":
        """Replace `auto` by the device and number format that a worker with this many GPUs uses.

        The driver decides (it may have no GPU itself), so that a trial's identity is known before it starts.
        """
        device = self.device if self.device != "auto" else ("cuda" if gpus_per_worker > 0 else "cpu")
        dtype = self.dtype if self.dtype != "auto" else ("bfloat16" if device == "cuda" else "float32")
        is_checkpointed = self.activation_checkpointing is True  # `auto` is decided where the cards are known
        return self.model_copy(update={"device": device, "dtype": dtype, "activation_checkpointing": is_checkpointed})


def phantom_files(folder: Path) -> list[Path]:
    """Return the files that identify a phantom base, wherever it lies."""
    return _files(folder, _PHANTOM_FILES)


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})
