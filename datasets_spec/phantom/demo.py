"""The demo's choice from the corpus: eight sources, two single-image targets, one two-image ability target.

The sources are those of the evidence's table (``evidence.yaml``): two half fractions of a 2 x 2 x 2 design, one of them
with a noisy source, the other with a harmful one. Every target misses among them; three sources share two elements with
it, and four sources none. What the search over it finds stands in the README.
"""

from __future__ import annotations

from typing import Final

DEMO_TARGETS: Final[tuple[str, ...]] = ("xray-lung-staging", "oct-bone-histology")
DEMO_ABILITIES: Final[tuple[str, ...]] = ("ct-brain-staging-comparison",)

DEMO_SOURCES: Final[tuple[str, ...]] = (
    "xray-brain-staging",  # modality and task of the first target; area and task of the ability target
    "xray-lung-grading",  # modality and area of the first target
    "ct-brain-grading",  # modality and area of the ability target
    "ct-lung-staging",  # area and task of the first target, modality and task of the ability target; noisy
    "mri-bone-histology",  # area and task of the second target
    "mri-fundus-laterality",  # nothing of any target
    "oct-bone-laterality",  # modality and area of the second target
    "oct-fundus-histology",  # its modality and task; harmful: yes and no stand the other way round
)

# Share no element with any of the three targets: matched controls can be drawn from these.
DEMO_CONTROLS: Final[tuple[str, ...]] = (
    "ultrasound-breast-laterality",
    "dermoscopy-kidney-grading",
    "ultrasound-kidney-grading",
)
