"""Keys (modality, area, task, ability), the task map, and what two keys share."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from datasets_spec.spec_files.spec_file import load_spec, load_spec_text

Ability = Literal["none", "temporal", "reasoning", "comparison", "coreference"]
Element = Literal["modality", "area", "task", "ability"]
# Med-MIM's four abilities (arXiv 2505.19031); "none" is a question about a single image.
ABILITIES: tuple[str, ...] = get_args(Ability)
ELEMENTS: tuple[str, ...] = get_args(Element)
MODALITY_AREA = "modality_area"


class Key(BaseModel):
    """What every subset and every target carries.

    Args:
        modality: E.g. ``X-ray``.
        area: Anatomical area, e.g. ``Lung``.
        task: Fine task, e.g. ``COVID-19 Classification``.
        ability: Multi-image ability, ``none`` for single-image questions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field(min_length=1)
    area: str = Field(min_length=1)
    task: str = Field(min_length=1)
    ability: Ability = "none"

    @field_validator("modality", "area", "task")
    @classmethod
    def _tidy(cls, text: str) -> str:
        tidy = " ".join(text.split())
        if not tidy:
            raise ValueError("must not be blank")
        return tidy

    def __str__(self) -> str:
        parts = [self.modality, self.area, self.task]
        return "/".join(parts if self.ability == "none" else [*parts, self.ability])


class TaskMap(BaseModel):
    """The explicit, versioned table under which "shares the task" is decided.

    No published table maps Med-MAT's subsets to its coarse tasks, and its related/unrelated counts cannot be
    reproduced from its labels, so the map is an input and part of every result.

    Args:
        name: Name of the map.
        version: Version of its content.
        spelling: For an element, variant -> canonical spelling; compared without regard to case.
        tasks: Fine task -> coarse task, in canonical spelling.
        modality_area_pairs: Pairs that always occur together and count as one element.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    spelling: dict[Literal["modality", "area", "task"], dict[str, str]] = Field(default_factory=dict)
    tasks: dict[str, str] = Field(default_factory=dict)
    modality_area_pairs: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def _is_one_step(self) -> TaskMap:
        # A chain a -> b -> c would make the canonical form depend on how often it is applied.
        for element, variants in self.spelling.items():
            _refuse_chains(variants, f"spelling.{element}")
        _refuse_chains(self.tasks, "tasks")
        for task in (*self.tasks, *self.tasks.values()):
            if self._spell("task", task) != task:
                raise ValueError(f"tasks: '{task}' is not in canonical spelling")
        for modality, area in self.modality_area_pairs:
            if (self._spell("modality", modality), self._spell("area", area)) != (modality, area):
                raise ValueError(f"modality_area_pairs: [{modality}, {area}] is not in canonical spelling")
        return self

    def _spell(self, element: Literal["modality", "area", "task"], text: str) -> str:
        return _look_up(self.spelling.get(element, {}), text)

    def canonical(self, key: Key) -> Key:
        """Returns the key in canonical spelling with its coarse task; applying it twice changes nothing.

        Args:
            key: Any key.
        """
        return Key(
            modality=self._spell("modality", key.modality),
            area=self._spell("area", key.area),
            task=_look_up(self.tasks, self._spell("task", key.task)),
            ability=key.ability,
        )


def _look_up(table: dict[str, str], text: str) -> str:
    if text in table:
        return table[text]
    folded = text.casefold()
    for variant, canonical in table.items():
        if folded in (variant.casefold(), canonical.casefold()):
            return canonical
    return text


def _refuse_chains(table: dict[str, str], where: str) -> None:
    seen: dict[str, str] = {}
    spellings: dict[str, str] = {}
    for variant, canonical in table.items():
        if seen.setdefault(variant.casefold(), canonical) != canonical:
            raise ValueError(f"{where}: '{variant}' is mapped to two names")
        if spellings.setdefault(canonical.casefold(), canonical) != canonical:
            raise ValueError(f"{where}: '{canonical}' is written in two ways")
    for variant, canonical in table.items():
        further = seen.get(canonical.casefold(), canonical)
        if further != canonical:
            raise ValueError(f"{where}: '{variant}' leads to '{canonical}', which leads on to '{further}'")


def load_task_map(name_or_path: str | Path, *, base_dir: Path | None = None) -> TaskMap:
    """Loads a shipped task map by name, or one from a file.

    Args:
        name_or_path: ``identity``, ``med_mat_strict`` or a path to a YAML file.
        base_dir: Folder that a relative path starts from.

    Raises:
        UserError: Neither a shipped map nor a file.
        SpecError: The file is wrong.
    """
    shipped = _shipped_task_maps()
    name = str(name_or_path)
    if name in shipped:
        folder = resources.files("datasets_spec.catalog") / "shipped" / "task_maps"
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        return load_spec_text(text, f"{name}.yaml (shipped)", TaskMap)
    path = Path(name_or_path) if base_dir is None else base_dir / name_or_path
    if path.suffix in (".yaml", ".yml"):
        return load_spec(path, TaskMap)
    near = nearest_of(name, shipped)
    raise UserError(
        f"no task map is called '{name}'" + (f". Did you mean '{near}'?" if near else ""),
        hint=f"shipped maps: {', '.join(shipped)}; or give a path to a .yaml file",
    )


def _shipped_task_maps() -> tuple[str, ...]:
    folder = resources.files("datasets_spec.catalog") / "shipped" / "task_maps"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


def shared_elements(a: Key, b: Key, task_map: TaskMap) -> tuple[str, ...]:
    """Returns what two keys have in common, in the order of ``ELEMENTS``.

    Args:
        a: One key.
        b: Another key; the result does not depend on the order.
        task_map: The map under which spellings and tasks are compared.

    Returns:
        Names out of ``ELEMENTS``. A listed modality-area pair that both carry counts once, as
        ``modality_area``. An ability counts only if both have the same one and it is not ``none``.
    """
    one, two = task_map.canonical(a), task_map.canonical(b)
    shared = [name for name in ELEMENTS if getattr(one, name) == getattr(two, name)]
    if one.ability == "none" and "ability" in shared:
        shared.remove("ability")
    is_pair = (one.modality, one.area) in task_map.modality_area_pairs
    if is_pair and shared[:2] == ["modality", "area"]:
        shared[:2] = [MODALITY_AREA]
    return tuple(shared)


def is_related(a: Key, b: Key, task_map: TaskMap) -> bool:
    """Says whether two keys share at least one element.

    Args:
        a: One key.
        b: Another key.
        task_map: The map under which they are compared.
    """
    return bool(shared_elements(a, b, task_map))


def same_key(a: Key, b: Key, task_map: TaskMap) -> bool:
    """Says whether two keys are one key under the map, so that training on one is not held out for the other.

    Args:
        a: One key.
        b: Another key.
        task_map: The map under which they are compared.
    """
    return task_map.canonical(a) == task_map.canonical(b)
