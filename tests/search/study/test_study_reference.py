"""docs/study-file.md names every field that a study file and a catalog can have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from datasets_spec.catalog.spec import CatalogSpec
from search.study.spec import StudySpec

REFERENCE = (Path(__file__).resolve().parents[3] / "docs" / "study-file.md").read_text(encoding="utf-8")


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if "root" in annotation.model_fields else annotation
    return next((found for part in get_args(annotation) if (found := _section(part)) is not None), None)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            yield name
        else:
            yield from _fields(section)


@pytest.mark.parametrize("model", [StudySpec, CatalogSpec])
def test_every_field_is_in_the_reference(model: type[BaseModel]) -> None:
    fields = set(_fields(model))
    assert len(fields) > 10
    missing = [name for name in sorted(fields) if f"{name}`" not in REFERENCE]
    assert missing == []
