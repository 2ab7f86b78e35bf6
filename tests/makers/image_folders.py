"""Ten classification sets as they are found on disks: small pictures in folders of classes, named in many ways."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 32  # pixels
_CELLS = 8  # of the background along a side


@dataclass(frozen=True, kw_only=True)
class FolderSet:
    """One set: the folders its images lie in, `{label}` standing for their class, or the table that names it."""

    name: str
    places: tuple[str, ...]
    classes: tuple[str, ...]
    table: str | None = None


SETS = (
    FolderSet(
        name="Brain Tumor MRI",
        places=("Training/{label}", "Testing/{label}"),
        classes=("glioma", "meningioma", "no_tumor"),
    ),
    FolderSet(name="lung_ct_scans", places=("{label}",), classes=("Covid", "nonCovid")),
    FolderSet(
        name="chest-xray",
        places=("train/{label}", "val/{label}", "test/{label}"),
        classes=("NORMAL", "PNEUMONIA"),
    ),
    FolderSet(name="dermoscopy", places=("{label}",), classes=("melanoma", "nevus", "SeborrheicKeratosis")),
    FolderSet(name="aptos", places=("train_images",), classes=("0", "1", "2"), table="train.csv"),
    FolderSet(name="breast ultrasound", places=("{label}",), classes=("benign", "malignant", "normal")),
    FolderSet(name="retina OCT", places=("train/{label}", "test/{label}"), classes=("CNV", "DRUSEN", "NORMAL")),
    FolderSet(name="blood_cells", places=("{label}",), classes=("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE")),
    FolderSet(name="colonoscopy", places=("test/{label}",), classes=("polyps", "z-line")),
    FolderSet(name="knee xray", places=("{label}",), classes=("fractured", "not fractured")),
)  # fmt: skip


def draw(name: str, shape: int, number: int) -> Image.Image:
    """A shape on a coarse background: the shape is the class, everything else the image's own."""
    drawn = random.Random(f"{name}/{shape}/{number}")
    grey = Image.frombytes("L", (_CELLS, _CELLS), drawn.randbytes(_CELLS * _CELLS)).point(lambda value: value // 2)
    image = grey.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    left, top, side = drawn.randrange(2, 14), drawn.randrange(2, 14), drawn.randrange(9, 15)
    corners = (left, top, left + side, top + side)
    pen = ImageDraw.Draw(image)
    if shape == 0:
        pen.ellipse(corners, fill=255)
    elif shape == 1:
        pen.rectangle(corners, fill=220)
    else:
        pen.line(corners, fill=250, width=3)
    return image


def write_image_folders(top: Path, num_per_place: int = 8, *, sets: Sequence[FolderSet] = SETS) -> None:
    """Write the sets, and what computers leave beside images.

    Args:
        top: Folder that will hold one folder a set.
        num_per_place: Images of each class in each place.
        sets: Which.
    """
    for each in sets:
        rows = []
        for number, label in [(n, label) for label in each.classes for n in range(num_per_place * len(each.places))]:
            place = each.places[number % len(each.places)].format(label=label)
            suffix = (".png", ".PNG", ".bmp")[number % 3]
            name = f"scan ({number}){suffix}" if each.table is None else f"{label}_{number:03d}{suffix}"
            path = top / each.name / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(each.name, each.classes.index(label), number).save(path)
            rows.append(f"{name},{label}")
        if each.table is not None:
            (top / each.name / each.table).write_text("\n".join(["file_name,diagnosis", *rows]), encoding="utf-8")
        (top / each.name / ".DS_Store").touch()
        (top / each.name / "Thumbs.db").touch()
        (top / each.name / "read me.txt").write_text("about this set", encoding="utf-8")


def with_target(draft: str) -> str:
    """A draft in which the set of test images alone is divided, as the draft itself proposes."""
    return draft.replace("    # shares: {train: 0", "    shares: {train: 0")
