"""A study as its directory alone shows it: no catalog, store or study file is needed to compute its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets_spec.catalog.keys import Key, TaskMap
from datasets_spec.errors import UserError
from datasets_spec.store.store import Store
from search.evidence.blind import blind_figures
from search.evidence.groups.strata import read_strata
from search.evidence.inputs.environment import this_environment
from search.evidence.inputs.questions import Questions, gather_questions, read_questions, write_questions
from search.evidence.inputs.study_facts import StudyFacts, gather_facts, read_facts, write_facts, writing_version
from search.evidence.outcomes import question_groups
from search.ledger.records import Kind, Record, of_kind, trials_of
from search.study.run_dir import RunDir, RunFile
from search.study.spec import StudySpec
from search.study.study import Study
from search.vocabulary import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedStudy:
    """What results are computed from beside ledger and answers.

    Attributes:
        path: of the file with its facts, for messages.
        facts: of the study and its data.
        questions: of its evaluation sets.
    """

    path: Path
    facts: StudyFacts
    questions: Questions

    @property
    def spec(self) -> StudySpec:
        """The study, as its results are computed."""
        return self.facts.spec

    @property
    def keys(self) -> Mapping[str, Key]:
        """The key of every subset of the catalog."""
        return self.facts.keys

    @property
    def task_map(self) -> TaskMap:
        """Decides what is shared."""
        return self.facts.task_map


def shown_split(records: tuple[Record, ...]) -> str:
    """The split whose classes and strata are reported: `sealed` once it is scored."""
    return "sealed" if trials_of(records, Stage.sealed) else "confirm"


def record_study(study: Study, store: Store, run_dir: RunDir, records: tuple[Record, ...]) -> None:
    """Write into a study directory what its results are computed from beside ledger and answers.

    Args:
        study: the study.
        store: its data.
        run_dir: its directory.
        records: the ledger's.
    """
    spec = study.spec
    is_opened = bool(of_kind(records, Kind.sealed_opened))
    blind = blind_figures(store, spec.eval_sets, spec.score)
    blind_sealed = blind_figures(store, spec.eval_sets, spec.score, "sealed") if is_opened else {}
    facts = gather_facts(study, store, blind, run_dir, blind_sealed=blind_sealed)
    write_facts(facts, run_dir / RunFile.facts)
    splits = ("search", "confirm", "sealed") if is_opened else ("search", "confirm")
    groups = question_groups(store, spec, splits)
    strata = read_strata(study.path.resolve().parent / spec.strata) if spec.strata else {}
    rows = gather_questions(store, spec, groups, splits, shown_split(records), strata)
    write_questions(rows, run_dir / RunFile.questions)


def read_recorded(run_dir: RunDir) -> RecordedStudy:
    """Read what `record_study` wrote.

    Raises:
        UserError: it is missing (a study of a version before), of another version, or damaged.
    """
    facts, questions = run_dir / RunFile.facts, run_dir / RunFile.questions
    if not facts.is_file() or not questions.is_file():
        raise UserError(
            f"{run_dir} does not hold what its results were computed from ({RunFile.facts}, {RunFile.questions})",
            hint=f"`recombine report STUDY --run-dir {run_dir}` writes it, with the study's data at hand",
        )
    try:
        return RecordedStudy(path=facts, facts=read_facts(facts), questions=read_questions(questions))
    except (OSError, ValueError) as error:
        written, here = writing_version(facts), this_environment()
        if written is not None and written != (here.versions["recombine"], here.source_sha256):
            raise UserError(
                f"{facts} was written by recombine {written[0]} (sources {written[1][:12]}), and this is "
                f"{here.versions['recombine']} ({here.source_sha256[:12]}), which reads it otherwise",
                hint=f"`recombine report STUDY --run-dir {run_dir}` writes it anew, with the study's data at hand; "
                "or use the version that wrote it",
            ) from error
        raise UserError(f"{facts.parent} is damaged: {type(error).__name__}", hint="restore it from a copy") from error
