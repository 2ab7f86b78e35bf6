"""The catalog as it is opened: its folder, its task map, and the shipped ones by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from datasets_spec.catalog.keys import TaskMap, load_task_map
from datasets_spec.catalog.spec import CatalogSpec, SubsetSpec
from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from datasets_spec.spec_files.spec_file import load_spec, load_spec_text
from datasets_spec.splits.shares import SamplingSpec, SplitShares
from datasets_spec.storage.place import Place, below

# Of a data set whose catalog names no licence; and what stands between the licences of several.
NOT_STATED = "not stated"
BETWEEN_LICENCES = ";"


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """A catalog spec with the folder its paths start from and its task map.

    Args:
        spec: The spec.
        base_dir: Folder that relative paths start from.
        task_map: The loaded task map.
    """

    spec: CatalogSpec
    base_dir: Path
    task_map: TaskMap

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the subsets that have files, as ordered in the catalog."""
        return tuple(subset.name for subset in self.prepared)

    @property
    def prepared(self) -> tuple[SubsetSpec, ...]:
        """The subsets that have files; others are known by key only."""
        return tuple(subset for subset in self.spec.subsets if subset.released)

    def subset(self, name: str) -> SubsetSpec:
        """Returns a subset by name, with files or without.

        Args:
            name: Its name.

        Raises:
            UserError: There is none; names the nearest.
        """
        for subset in self.spec.subsets:
            if subset.name == name:
                return subset
        names = [subset.name for subset in self.spec.subsets]
        near = nearest_of(name, names)
        advice = f". Did you mean '{near}'?" if near else ""
        raise UserError(
            f"the catalog '{self.spec.name}' has no subset '{name}'{advice}",
            hint=f"its subsets: {_listed(names)}",
        )

    def licence_of(self, name: str) -> str | None:
        """Returns the licence of a subset: its own, or those of the data sets that it is built from.

        Args:
            name: Name of the subset.

        Returns:
            Several are parted by `BETWEEN_LICENCES`, with `NOT_STATED` for a source that names none; None where no
            source names one.
        """
        subset = self.subset(name)
        if subset.licence:
            return subset.licence
        found = {source.licence for source in self.spec.sources if source.id in subset.sources}
        return f"{BETWEEN_LICENCES} ".join(sorted(licence or NOT_STATED for licence in found)) if any(found) else None

    def image_root(self, name: str) -> Place:
        """Returns the folder beneath which a subset's images lie, or ``s3://bucket/prefix``.

        Args:
            name: Name of the subset.
        """
        return self.place(self.subset(name).image_root or self.spec.image_root)

    def place(self, written: str) -> Place:
        """Returns where a file or folder lies that the catalog names.

        Args:
            written: A path from the catalog's folder on, or ``s3://bucket/key``.
        """
        return below(self.base_dir, written)

    def shares(self, name: str) -> SplitShares:
        """Returns the shares a subset's pool is divided by, its role considered.

        Args:
            name: Name of the subset.
        """
        subset = self.subset(name)
        return self.sampling(name).shares_for(subset.role, subset.shares or self.spec.shares)

    def sampling(self, name: str) -> SamplingSpec:
        """Returns how a subset is sampled.

        Args:
            name: Name of the subset.
        """
        return self.subset(name).sampling or self.spec.sampling


def _listed(names: Iterable[str], limit: int = 12) -> str:
    items = list(names)
    return ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if len(items) > limit else "")


def load_catalog(path_or_name: str | Path, *, base_dir: Path | None = None) -> Catalog:
    """Loads a catalog from a file, or a shipped one by name.

    Args:
        path_or_name: A path ending in ``.yaml``, or the name of a shipped catalog.
        base_dir: Folder that the catalog's relative paths start from; by default the folder of the file, or
            the current folder for a shipped catalog.

    Raises:
        UserError: No such catalog.
        SpecError: The file is wrong; carries all problems.
    """
    name = str(path_or_name)
    shipped = _shipped_catalogs()
    if name in shipped:
        text = (resources.files("datasets_spec.catalog") / "shipped" / f"{name}.yaml").read_text(encoding="utf-8")
        spec = load_spec_text(text, f"{name}.yaml (shipped)", CatalogSpec)
        folder = Path.cwd() if base_dir is None else base_dir
    else:
        path = Path(path_or_name)
        if path.suffix not in (".yaml", ".yml"):
            near = nearest_of(name, shipped)
            raise UserError(
                f"no catalog is called '{name}'" + (f". Did you mean '{near}'?" if near else ""),
                hint=f"shipped catalogs: {', '.join(shipped) or 'none'}; or give a path to a .yaml file",
            )
        spec = load_spec(path, CatalogSpec)
        folder = path.resolve().parent if base_dir is None else base_dir
    return Catalog(spec=spec, base_dir=folder, task_map=load_task_map(spec.task_map, base_dir=folder))


def _shipped_catalogs() -> tuple[str, ...]:
    folder = resources.files("datasets_spec.catalog") / "shipped"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))
