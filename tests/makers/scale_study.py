"""A study of the size that Med-MAT has unsampled: 53 subsets, 2.4 million rows, four GPUs; as its manifest says it."""

from __future__ import annotations

from pathlib import Path

import yaml

from datasets_spec.catalog.keys import Key
from datasets_spec.packs.pack_writer import PackFile
from datasets_spec.sample import SPLITS
from datasets_spec.store.manifest import PartFile, StoreManifest, SubsetCounts, write_manifest
from search.study.load_study import load_study

MODALITIES = ("CT", "MR", "X-ray", "US", "OCT", "dermoscopy")
AREAS = ("lung", "brain", "bones", "breast", "eye")
TASKS = ("tumor", "fracture", "grading", "quality")
NUM_SUBSETS = 53
NUM_ROWS = {"train": 42_284, "search": 1_000, "confirm": 1_000, "sealed": 1_000}  # 53 x 45,284 = 2,400,052
ROW_BYTES = 82  # of Parquet a row without its image: `packed_store` over 2,000 images, 20,000 rows a part
IMAGE_BYTES = 200_000
PACK_IMAGES = 8_192
# The published shape of Qwen2.5-VL-3B-Instruct (its config.json).
SHAPE = {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
         "num_key_value_heads": 2, "vocab_size": 151936}  # fmt: skip
STUDY = {
    "name": "at-scale",
    "catalog": "catalog.yaml",
    "backbone": {"model": "./qwen2.5-vl-3b"},
    "targets": ["subset-00", "subset-07"],
    "space": {"composition": {"sources": [f"subset-{n:02d}" for n in range(NUM_SUBSETS) if n not in (0, 7)],
                              "num_samples": [1000, 3000], "budget": 9000, "max_size": 4},
              "recipe": {"learning_rate": {"kind": "log_uniform", "low": 2e-5, "high": 4e-4}}},
    "recipe": {"num_steps": 500, "batch_size": 32, "lora_modules": "language"},
    "strategy": {"name": "recombine", "num_trials": 64},
    "confirm": {"num_finalists": 2, "seeds": [101, 102, 103]},
    "execution": {"gpus_per_worker": 1, "max_concurrent": 4, "num_threads": 4},
}  # fmt: skip


def key_of(number: int) -> Key:
    """Keys that share elements with some others, and none with most."""
    return Key(modality=MODALITIES[number % 6], area=AREAS[number % 5], task=TASKS[number % 4])


def write_scale_study(folder: Path) -> Path:
    """Write catalog, study, backbone's configuration and the store's manifest; no row and no image.

    Returns:
        the study file.
    """
    names = [f"subset-{number:02d}" for number in range(NUM_SUBSETS)]
    subsets = [
        {"name": name, **key_of(number).model_dump(include={"modality", "area", "task"}), "format": "med_mat",
         "pool": [f"{name}.json"]}
        for number, name in enumerate(names)
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.yaml").write_text(yaml.safe_dump({"name": "at-scale", "subsets": subsets}), encoding="utf-8")
    study_file = folder / "study.yaml"
    study_file.write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
    _write_backbone(folder / "qwen2.5-vl-3b")
    study = load_study(study_file, [])
    counts = {
        name: SubsetCounts(
            key=study.catalog.subset(name).key, read=sum(NUM_ROWS.values()), kept=sum(NUM_ROWS.values()),
            splits=NUM_ROWS, partition_fingerprints={split: f"{name}/{split}" for split in SPLITS},
            files={split: (part_of(name, split, number),) for split, number in NUM_ROWS.items()},
        )
        for name in names
    }  # fmt: skip
    num_packs = -(-NUM_SUBSETS * sum(NUM_ROWS.values()) // PACK_IMAGES)
    packs = tuple(
        PackFile(name=f"{number:016x}.pack", num_bytes=PACK_IMAGES * IMAGE_BYTES, sha256="0" * 64)
        for number in range(num_packs)
    )
    study.store_dir.mkdir(parents=True, exist_ok=True)
    manifest = StoreManifest(
        catalog_name="at-scale", task_map="identity", seed=0, fingerprint="f", inputs_fingerprint="i", generation="g",
        subsets=counts, packs=packs,
    )  # fmt: skip
    write_manifest(study.store_dir, manifest)
    return study_file


def part_of(name: str, split: str, num_rows: int) -> PartFile:
    path = f"data/{name}-{split}.parquet"
    return PartFile(path=path, num_rows=num_rows, num_bytes=ROW_BYTES * num_rows, sha256="0" * 64)


def _write_backbone(folder: Path) -> None:
    """A configuration alone: plans look at nothing else of a backbone."""
    from transformers import Qwen2_5_VLConfig

    rope = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
    config = Qwen2_5_VLConfig(
        text_config={**SHAPE, "rope_parameters": rope, "tie_word_embeddings": True},
        vision_config={"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
                       "out_hidden_size": 2048},
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    config.architectures = ["Qwen2_5_VLForConditionalGeneration"]
    config.save_pretrained(folder)
    (folder / "model.safetensors").touch()
