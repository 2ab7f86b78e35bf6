"""The shipped backbone before data that it was not made for: it runs, and learns nothing, which has to be said."""

from __future__ import annotations

import json

from search.study.study import Study
from trainers.backbone_spec import PHANTOM, PHANTOM_DIR


def foreign_catalog_warning(study: Study) -> str | None:
    """What plan, run and report say where the `phantom` backbone meets another catalog than the phantom corpus.

    Returns:
        One sentence with the sizes of the shipped model; None for other backbones and for the corpus's own keys.
    """
    spec = study.spec
    if spec.backbone.model != PHANTOM:
        return None
    from datasets_spec.phantom.free_answers import free_keys
    from datasets_spec.phantom.questions import all_keys

    own = {(key.modality, key.area, key.task) for key in (*all_keys(), *free_keys())}
    used = dict.fromkeys((*spec.space.composition.available, *spec.eval_sets, *spec.control_sources))
    keys = {name: study.catalog.subset(name).key for name in used}
    foreign = [name for name, key in keys.items() if (key.modality, key.area, key.task) not in own]
    if not foreign:
        return None
    config = json.loads((PHANTOM_DIR / "config.json").read_text(encoding="utf-8"))
    size = config["vision_config"]["image_size"]
    return (
        f"the backbone `phantom` was made for the phantom corpus: it reads grey pictures of {size} x {size} pixels and "
        f"{config['text_config']['vocab_size']} words, and learns nothing from {foreign[0]}"
        + (f" and {len(foreign) - 1} other subsets of this catalog" if len(foreign) > 1 else "")
        + "; accuracies, gains and selections then mean nothing. Name a real one under `backbone.model`"
    )
