"""Checks a study directory against itself: no byte of a result was changed, and every number is computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets_spec.errors import RecombineError, UserError
from search.designs.backbones import write_comparison
from search.designs.files import read_design
from search.evidence.inputs.environment import DECIDING_HARDWARE, Environment, this_environment
from search.evidence.inputs.recorded_study import read_recorded
from search.ledger.frames import Scan, scan_frames
from search.ledger.ledger import RECORDS_FILE
from search.ledger.records import Kind
from search.report.run_files import DATA_FILES
from search.report.write import write_report
from search.results.compute_results import compute_results
from search.results.differences import Tolerance, file_differences
from search.results.hash_list import ONLY_RESULTS, file_sha256, listed_hashes, result_files
from search.results.recount import recount
from search.study.run_dir import RunDir, RunFile

RECORDS = f"{RunFile.ledger}/{RECORDS_FILE}"
# Written from the other tables, by the code that draws: compared as text, made from the stored tables.
RENDERED = (".html", ".md", ".tex", ".svg", ".pdf", ".txt")
# The same arithmetic on another processor or library may round otherwise, and a resampled interval ends between two
# answers: half a point of accuracy is more than that moves, and less than any figure is quoted with.
ELSEWHERE = Tolerance(relative=1e-3, absolute=5e-3, may_add=True)
HERE = Tolerance(relative=1e-9, absolute=1e-12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A file that is not what the study wrote, or not what its evidence comes to.

    Attributes:
        file: relative to the study directory.
        what: what is wrong, in words.
    """

    file: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What `verify_run` found.

    Attributes:
        num_records: of the ledger.
        num_files: files with a hash in the ledger.
        num_recomputed: files that were computed again.
        problems: what was damaged or changed; none where all is well.
        otherwise: each place where this version computes something else from files that are as another version wrote
            them. What was changed together with its hash stands here, too: only the version that wrote it can tell.
        notes: what could not be compared, and why.
    """

    num_records: int
    num_files: int
    num_recomputed: int
    problems: tuple[Problem, ...] = ()
    otherwise: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def verify_run(run_dir: RunDir) -> Verification:
    """Check a study directory; a design on several backbones is checked one by one.

    Args:
        run_dir: the study directory; nothing in it is changed.

    Raises:
        UserError: it holds no study with a list of hashes.
    """
    backbones = run_dir / RunFile.backbones
    if not backbones.is_dir():
        return _verify_one(run_dir)
    names = sorted(path.name for path in backbones.iterdir() if path.is_dir())
    found = {name: _verify_one(run_dir.of_backbone(name)) for name in names}
    compared: list[Problem] = []
    is_ours = True
    if not any(v.problems for v in found.values()):
        compared = _compare_backbones(run_dir, names)
        is_ours = all(_is_of_this_version(_written_in(run_dir.of_backbone(name))) for name in names)
    return Verification(
        num_records=sum(v.num_records for v in found.values()),
        num_files=sum(v.num_files for v in found.values()),
        num_recomputed=sum(v.num_recomputed for v in found.values()) + 1,
        problems=(*_named({name: v.problems for name, v in found.items()}), *(compared if is_ours else ())),
        otherwise=(*_named({name: v.otherwise for name, v in found.items()}), *(() if is_ours else compared)),
        notes=tuple(dict.fromkeys(note for v in found.values() for note in v.notes)),
    )


def _named(by_backbone: Mapping[str, Iterable[Problem]]) -> Iterator[Problem]:
    for name, problems in by_backbone.items():
        for problem in problems:
            yield Problem(file=f"{RunFile.backbones}/{name}/{problem.file}", what=problem.what)


def _compare_backbones(run_dir: RunDir, names: list[str]) -> list[Problem]:
    with TemporaryDirectory() as folder:
        tables = {name: table for name in names if (table := read_design(run_dir.of_backbone(name))) is not None}
        again = write_comparison(tables, RunDir(Path(folder)))
        places = list(file_differences(run_dir / RunFile.backbones_markdown, again, HERE))
    return [Problem(file=RunFile.backbones_markdown, what=what) for what in places]


def _verify_one(run_dir: RunDir) -> Verification:
    path = run_dir / RECORDS
    if not path.is_file():
        raise UserError(f"{run_dir} holds no study ({RECORDS} is missing)", hint="`recombine run STUDY` makes one")
    scan = scan_frames(path.read_bytes())
    listed = listed_hashes(scan.records)
    if not listed and not scan.damage:
        raise UserError(
            f"the ledger of {run_dir} lists no hashes: its study has not ended, or a version before kept none",
            hint=f"`recombine report STUDY --run-dir {run_dir}` writes and lists them",
        )
    problems = [*_ledger_problems(scan), *_file_problems(run_dir, listed)]
    if not problems:
        problems = [Problem(file=file, what=what) for file, what in recount(run_dir, scan.records)]
    found = Verification(
        num_records=len(scan.records), num_files=len(listed), num_recomputed=0, problems=tuple(problems)
    )
    return found if problems else _recompute(run_dir, found)


def _ledger_problems(scan: Scan) -> Iterator[Problem]:
    for place in scan.damage:
        yield Problem(file=RECORDS, what=f"byte {place.offset}: {place.reason}")
    if scan.torn_bytes:
        yield Problem(file=RECORDS, what=f"byte {scan.good_bytes}: its last record is unfinished")
    if not scan.damage and scan.records and scan.records[-1]["kind"] != Kind.results:
        yield Problem(
            file=RECORDS,
            what="the study went on after its results were written; `recombine report STUDY` writes them again",
        )


def _file_problems(run_dir: RunDir, listed: dict[str, str]) -> Iterator[Problem]:
    for name, digest in listed.items():
        path = run_dir / name
        if not path.is_file():
            yield Problem(file=name, what="it is missing")
        elif file_sha256(path) != digest:
            yield Problem(file=name, what="its SHA-256 is not the one that the ledger lists")
    for name in result_files(run_dir):
        if name not in listed and name.split("/")[0] in ONLY_RESULTS:
            yield Problem(file=name, what="the ledger lists no such file")


def _recompute(run_dir: RunDir, found: Verification) -> Verification:
    """Compute tables from ledger and answers, and what is drawn from the stored tables; compare both with the files."""
    study = read_recorded(run_dir)
    written, here = study.facts.environment, this_environment()
    is_same = _same_arithmetic(written, here)
    with TemporaryDirectory() as folder:
        numbers, page = RunDir(Path(folder) / "numbers"), RunDir(Path(folder) / "page")
        _link(run_dir, numbers, (RunFile.ledger, RunFile.trials, RunFile.study))
        _link(run_dir, page, DATA_FILES)
        try:
            compute_results(study, numbers)
            write_report(page, is_flat=(run_dir / RunFile.flat_page).is_file())
        except RecombineError as error:
            problem = Problem(file=RunFile.trials, what=f"nothing can be computed from it: {error}")
            return replace(found, problems=(problem,))
        tolerance = HERE if is_same else ELSEWHERE
        tables = _compare(run_dir, numbers, tolerance, lambda name: not name.endswith(RENDERED))
        drawn = _compare(run_dir, page, HERE, lambda name: name.endswith(RENDERED))
    found = replace(found, num_recomputed=len(tables) + len(drawn))
    if is_same:
        return replace(found, problems=tuple(_firsts(tables) + _firsts(drawn)))
    notes = (_elsewhere(written, here),) if any(tables.values()) or any(drawn.values()) else ()
    if _is_of_this_version(written):
        return replace(found, problems=tuple(_firsts(tables)), notes=notes)
    return replace(found, otherwise=tuple(problem for places in tables.values() for problem in places), notes=notes)


def _firsts(compared: Mapping[str, list[Problem]]) -> list[Problem]:
    return [places[0] for places in compared.values() if places]


def _written_in(run_dir: RunDir) -> Environment:
    return read_recorded(run_dir).facts.environment


def _is_of_this_version(written: Environment) -> bool:
    """Whether these very sources wrote it: others may compute otherwise what they were mended in."""
    return written.source_sha256 == this_environment().source_sha256


def _same_arithmetic(written: Environment, here: Environment) -> bool:
    return written.source_sha256 == here.source_sha256 and _deciding(written) == _deciding(here)


def _deciding(environment: Environment) -> dict[str, str]:
    """Versions, system, Python and kind of processor; how many processors there are changes no figure.

    What an earlier version did not write down is unknown, and equal to nothing.
    """
    hardware = {name: str(environment.hardware.get(name, "unknown")) for name in DECIDING_HARDWARE}
    return {**environment.versions, **hardware}


def _elsewhere(written: Environment, here: Environment) -> str:
    now = _deciding(here)
    changed = [
        f"{name} {version} (here {now.get(name, 'none')})"
        for name, version in _deciding(written).items()
        if now.get(name) != version
    ]
    if written.source_sha256 != here.source_sha256:
        changed.append(f"other sources of recombine ({written.source_sha256[:12]}, here {here.source_sha256[:12]})")
    return (
        f"written with {', '.join(changed)}: numbers were compared up to {ELSEWHERE.absolute}, and page and pictures, "
        "whose hashes hold, not letter by letter"
    )


def _link(run_dir: RunDir, there: RunDir, names: tuple[str, ...]) -> None:
    for name in names:
        if (run_dir / name).exists():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).symlink_to((run_dir / name).resolve())


def _compare(
    run_dir: RunDir, again: RunDir, tolerance: Tolerance, is_meant: Callable[[str], bool]
) -> dict[str, list[Problem]]:
    """Where each file that was made again differs."""
    made = [path for path in again.root.rglob("*") if path.is_file() and not path.is_symlink()]
    names = sorted(path.relative_to(again.root).as_posix() for path in made)
    found: dict[str, list[Problem]] = {}
    for name in names:
        # What stands beneath a linked folder is the study's own.
        is_linked = any((again / parent.as_posix()).is_symlink() for parent in Path(name).parents)
        is_new = tolerance.may_add and not (run_dir / name).is_file()  # a listed file that is gone was found before
        if is_meant(name) and not is_linked and not is_new:
            places = file_differences(run_dir / name, again / name, tolerance)
            found[name] = [Problem(file=name, what=what) for what in places]
    return found
