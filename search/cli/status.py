"""`recombine status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from search.cli.console import print_line, print_table
from search.evidence.spent import compute_spent
from search.evidence.timeline import compute_slot_use
from search.ledger.records import Kind, Record, of_kind, search_end, trials_of, tries_of
from search.results.study_end import final_page, missing_end, parts_of
from search.statistics.ties import descending
from search.study.objective import objective_names, objective_values, own_keys_seen
from search.study.run_dir import RunDir, read_resolved
from search.study.sections.execution import ExecutionSection
from search.study.spec import StudySpec
from search.vocabulary import Stage, Status

SHOWN_BEST = 5
# Stages whose trials are scored by the objective; comparators and designs may train on what they like.
_COUNTING = (Stage.search, Stage.single, Stage.reused)


def not_counted_lines(spec: StudySpec, trials: Sequence[Record]) -> list[str]:
    """One line a stage whose trials trained on a target's own key, so that they have no objective value."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for record in trials:
        if record["stage"] in _COUNTING and (seen := own_keys_seen(spec, record)):
            found.setdefault(str(record["stage"]), []).append(seen)
    return [
        f"{len(seen)} {'trial' if len(seen) == 1 else 'trials'} of stage {stage} "
        f"{'does' if len(seen) == 1 else 'do'} not count: trained on the own key of "
        f"{', '.join(sorted({name for names in seen for name in names}))}"
        for stage, seen in found.items()
    ]


def require_end(run_dir: RunDir) -> int:
    """Say whether the study of a directory is over, in one line; return 0 only if it is."""
    missing = missing_end(run_dir)
    print_line(f"not ended: {missing}" if missing else f"ended; report: {run_dir / final_page(run_dir)}")
    return 0 if missing is None else 1


def show_status(run_dir: RunDir) -> None:
    """Print trials by stage and status, the best so far and the failures of a study directory, for each backbone."""
    parts = parts_of(run_dir)
    for place in parts:
        if len(parts) > 1:
            print_line(f"{place}:")
        _show_one(place)


def _show_one(run_dir: RunDir) -> None:
    spec = read_resolved(run_dir)
    records = run_dir.read_records()
    trials = trials_of(records)
    counts = Counter((record["stage"], record["status"]) for record in trials)
    proposed = len(of_kind(records, Kind.suggestion))
    end = search_end(records, spec.search_limits)
    ended = f"; the search has ended, because {end['why']}" if end else ""
    made = f"{proposed} of {spec.strategy.num_trials} proposals made"
    print_line(f"study {spec.name}: {len(trials)} trials recorded, {made}{ended}")
    print_table("Trials", ["stage", "status", "number"], [[s, t, str(n)] for (s, t), n in sorted(counts.items())])
    scored = [(v, r) for r in trials if r["stage"] == Stage.search and (v := objective_values(spec, r))]
    scored.sort(key=lambda pair: int(pair[1]["proposal_index"]))
    scored = [scored[place] for place in descending([sum(v) for v, _ in scored])]
    if scored:
        rows = [
            [
                str(r["proposal_index"]),
                "+".join(f"{s}:{n}" for s, n in r["composition"].items()),
                *(f"{x:.1%}" for x in v),
            ]
            for v, r in scored[:SHOWN_BEST]
        ]
        print_table("Best of the search so far", ["proposal", "composition", *objective_names(spec)], rows)
    for line in not_counted_lines(spec, trials):
        print_line(line)
    failures = [r for r in trials if r["status"] not in (Status.finished, Status.stopped_early)]
    if failures:
        print_table(
            "Not finished", ["arm", "status", "error"], [[r["arm"], r["status"], r["error"] or "-"] for r in failures]
        )
    tries = tries_of(records)
    slots = compute_slot_use(tries)
    if slots:
        rows = [[u.slot, str(u.num_trials), f"{u.busy_s:.0f} s", f"{u.busy_share:.0%}"] for u in slots]
        print_table("Slots, from their first trial to their last", ["slot", "trials", "busy", "share"], rows)
    if spec.execution.prices:
        print_line(cost_line(spec.execution, tries))
    spent_s = sum(record["train_s"] + record["startup_s"] for record in tries if not record["reused"])
    print_line(
        f"spent: {spent_s / 60:.1f} min of trial time; "
        "`recombine run` (or `recombine submit`) with the same study goes on"
    )


def cost_line(execution: ExecutionSection, trials: Sequence[Record]) -> str:
    """What the work of slots, or of trials in processes of their own, has cost so far."""
    spent = compute_spent(execution, trials)
    cost = execution.cost_text(spent.cost or 0.0)
    return f"cost so far: {cost} ({spent.busy_h:.1f} h of trials at work, without starts, idle time and the head)"
