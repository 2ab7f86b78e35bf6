"""The demo's choice from the corpus: eight sources, two single-image targets, one two-image ability target.

Every target has, among the sources, one that shares two of its elements for each pair of elements, so that a good
composition can exist; and sources that share nothing, so that a bad one can too. No source is a target. The choice
rests on shared elements; what the search over it finds stands in the README.
"""

from __future__ import annotations

from typing import Final

DEMO_TARGETS: Final[tuple[str, ...]] = ("oct-brain-size", "ultrasound-lung-presence")
DEMO_ABILITIES: Final[tuple[str, ...]] = ("mri-fundus-presence-coreference",)

DEMO_SOURCES: Final[tuple[str, ...]] = (
    "oct-brain-presence",  # modality and area of the first target
    "oct-lung-size",  # its modality and task
    "ct-brain-size",  # its area and task
    "ultrasound-lung-kind",  # modality and area of the second target
    "ultrasound-bone-presence",  # its modality and task
    "xray-lung-presence",  # its area and task
    "mri-fundus-kind",  # modality and area of the ability target
    "mri-kidney-presence-coreference",  # its modality, task and ability
)

# Share no element with any of the three targets: matched controls can be drawn from these.
DEMO_CONTROLS: Final[tuple[str, ...]] = ("xray-bone-kind", "dermoscopy-breast-kind", "ct-kidney-kind")
