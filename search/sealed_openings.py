"""Who has opened which sealed questions: kept beside the data, because several studies can share one store.

A study opens `sealed` once (`phases.open_sealed`). A second study on the same questions could still be tuned on what
the first one saw; that cannot be prevented by files, but it can be counted and said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "sealed_openings.jsonl"


def earlier_openings(store_dir: Path, partitions: Mapping[str, str], study: str) -> list[dict[str, Any]]:
    """Openings of the same sealed questions by other studies, oldest first.

    Args:
        store_dir: folder of the prepared data.
        partitions: fingerprint of the sealed partition by evaluation set.
        study: identity of the asking study, whose own opening does not count.
    """
    path = store_dir / FILE
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            opening = json.loads(line)
        except json.JSONDecodeError:
            continue  # a line that a killed process left half written: its study has its own record
        if opening["study"] != study and set(opening["partitions"].values()) & set(partitions.values()):
            found.append(opening)
    return found


def note_opening(store_dir: Path, partitions: Mapping[str, str], study: str, name: str) -> bool:
    """Append this study's opening; False where the store cannot be written to.

    Args:
        store_dir: folder of the prepared data.
        partitions: fingerprint of the sealed partition by evaluation set.
        study: identity of the study directory.
        name: of the study, for the reader.
    """
    line = {
        "study": study,
        "name": name,
        "opened_at": datetime.now(UTC).isoformat(),
        "partitions": dict(sorted(partitions.items())),
    }
    try:
        with (store_dir / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True
