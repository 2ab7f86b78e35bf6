"""Which vision-language model a study starts from; loads nothing heavy."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PHANTOM = "phantom"
PHANTOM_DIR = Path(__file__).parent / "phantom" / "base"


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
    activation_checkpointing: bool = Field(
        default=False,
        description="compute activations again in the backward pass: far less memory, about a third more time",
    )
    trust_remote_code: bool = Field(
        default=False, description="runs Python code that comes with the model; off by default"
    )

    def location(self) -> str:
        """Return what `from_pretrained` is given: the shipped folder for `phantom`, else the name as written."""
        return str(PHANTOM_DIR) if self.model == PHANTOM else self.model

    def resolved(self, *, gpus_per_worker: float) -> "BackboneSpec":
        """Replace `auto` by the device and number format that a worker with this many GPUs uses.

        The driver decides (it may have no GPU itself), so that a trial's identity is known before it starts.
        """
        device = self.device if self.device != "auto" else ("cuda" if gpus_per_worker > 0 else "cpu")
        dtype = self.dtype if self.dtype != "auto" else ("bfloat16" if device == "cuda" else "float32")
        return self.model_copy(update={"device": device, "dtype": dtype})
