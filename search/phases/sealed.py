"""The final figures: `sealed` is opened once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.canonical import content_hash
from datasets_spec.errors import StorageError, UserError
from datasets_spec.storage.files import names_in
from datasets_spec.storage.place import Place
from search.engine.setup import require_slots, slots_of
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.ledger.records import Kind, finished_of
from search.space.composition import Composition
from search.vocabulary import Stage, Status

if TYPE_CHECKING:
    from trainers.rows.stored_rows import StoredRows
    from trainers.trial.result import TrialResult
    from trainers.trial.spec import TrialSpec

FILE = "sealed_openings.jsonl"
FOLDER = "sealed_openings"  # of a store in a bucket


def open_sealed(run: StudyRun, arms: Mapping[str, Sequence[PlannedTrial]]) -> bool:
    """Score selection, comparators and baseline on `sealed`: possible once a study, and recorded before it happens.

    Returns:
        Whether these trials have sealed figures now.

    Raises:
        UserError: some could not be scored; the same command goes on with these.
    """
    planned = _sealed_trials(run, arms)
    train_ids = sorted({p.spec.train_id for p in planned})
    openings = run.ledger.records(Kind.sealed_opened)
    if any(opening["train_ids"] != train_ids for opening in openings):
        run.decide("sealed was opened before for another selection: it stays closed, its figures are those of then")
        return False
    if not openings:
        earlier = _note_opening(run)
        record = {
            "kind": Kind.sealed_opened.value,
            "train_ids": train_ids,
            "store": run.store.fingerprint,
            "earlier": earlier,
        }
        run.ledger.append(record)
        run.say("opening sealed: once, for the final figures")
    missing = [p for p in planned if not run.recorder.is_done(p)]
    if missing:
        run.engine.close()  # its slots hold the processors that reading and scoring need
        _score(run, missing)
    return True


def _score(run: StudyRun, missing: Sequence[PlannedTrial]) -> None:
    """Score trials and record those that were; the weights are there, so that a failure is not the end of a trial."""
    from trainers.rows.stored_rows import StoredRows

    specs = list({p.spec.train_id: p.spec for p in missing}.values())
    results = {r.train_id: r for r in _scored(run, specs, StoredRows(store=run.store))}
    scored = [p for p in missing if results[p.spec.train_id].status == Status.finished]
    for p in scored:
        run.recorder.record(p, results[p.spec.train_id])
    if left := [p for p in missing if p not in scored]:
        result = results[left[0].spec.train_id]
        raise UserError(
            f"sealed: {len(left)} of {len(missing)} trials could not be scored; {left[0].arm} with seed "
            f"{left[0].spec.seed}: {result.status}, {result.error}",
            hint="what was scored is kept, and `sealed` counts as opened once: the same command scores the others. "
            "`recombine doctor` checks the machine, `recombine data check` the data",
        )


def _scored(run: StudyRun, specs: Sequence[TrialSpec], rows: StoredRows) -> list[TrialResult]:
    """Score trials in as many processes as the study has slots, each on what its slot occupied."""
    from trainers.executors.rescore import rescore_trials

    slots = slots_of(run)[: len(specs)]
    require_slots(run, slots)  # nodes may have gone since the search began
    return rescore_trials(specs, rows, run.run_dir.root, slots)


def _note_opening(run: StudyRun) -> int:
    """Write this opening down beside the data; return how many other studies have opened the same questions."""
    partitions = {name: run.store.partition_fingerprint(name, "sealed") for name in run.spec.eval_sets}
    first = run.ledger.records(Kind.writer)[0]
    identity = content_hash([run.spec.name, first["opened_at"]])
    earlier = earlier_openings(run.study.store_dir, partitions, identity)
    if earlier:
        names = ", ".join(dict.fromkeys(str(opening["name"]) for opening in earlier))
        run.decide(
            f"these sealed questions were opened before by {len(earlier)} other studies ({names}): figures on them may "
            "have been chosen on what those showed"
        )
    if not note_opening(run.study.store_dir, partitions, identity, run.spec.name):
        run.decide("the store cannot be written to, so that other studies will not learn of this opening")
    return len(earlier)


def _sealed_trials(run: StudyRun, arms: Mapping[str, Sequence[PlannedTrial]]) -> list[PlannedTrial]:
    """Return the finished trials of every arm, asked for `sealed` only."""
    finished = {r["train_id"] for r in finished_of(run.records())}
    baseline = run.factory.baseline()
    planned: list[PlannedTrial] = []
    for arm, trials in {baseline.arm: [baseline], **arms}.items():
        for trial in trials:
            if trial.spec.train_id in finished:
                old = trial.spec
                spec = run.factory.spec(Composition(old.composition), old.recipe, old.seed, ("sealed",))
                planned.append(PlannedTrial(spec=spec, stage=Stage.sealed, arm=arm, reason="final figures"))
    return planned


def earlier_openings(store_dir: Place, partitions: Mapping[str, str], study: str) -> list[dict[str, Any]]:
    """Openings of the same sealed questions by other studies, oldest first.

    Args:
        store_dir: folder of the prepared data, or where they lie in a bucket.
        partitions: fingerprint of the sealed partition by evaluation set.
        study: identity of the asking study, whose own opening does not count.
    """
    found = []
    for line in _lines(store_dir):
        try:
            opening = json.loads(line)
        except json.JSONDecodeError:
            continue  # a line that a killed process left half written: its study has its own record
        if opening["study"] != study and set(opening["partitions"].values()) & set(partitions.values()):
            found.append(opening)
    return found


def _lines(store_dir: Place) -> list[str]:
    """What was noted, oldest first: lines of a file, or objects of a bucket, where nothing is appended."""
    if isinstance(store_dir, Path):
        path = store_dir / FILE
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    folder = store_dir / FOLDER
    return [(folder / name).read_text() for name in names_in(folder)]


def note_opening(store_dir: Place, partitions: Mapping[str, str], study: str, name: str) -> bool:
    """Append this study's opening; False where the store cannot be written to.

    Args:
        store_dir: folder of the prepared data, or where they lie in a bucket.
        partitions: fingerprint of the sealed partition by evaluation set.
        study: identity of the study directory.
        name: of the study, for the reader.
    """
    opened_at = datetime.now(UTC).isoformat()
    line = {
        "study": study,
        "name": name,
        "opened_at": opened_at,
        "partitions": dict(sorted(partitions.items())),
    }
    try:
        if not isinstance(store_dir, Path):
            place = store_dir / FOLDER / f"{opened_at}-{study[:16]}.json"
            place.storage.create(place.key, json.dumps(line).encode())
            return True
        with (store_dir / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except (OSError, StorageError):
        return False
    return True
