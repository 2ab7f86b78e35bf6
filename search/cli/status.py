"""`recombine status`."""

from __future__ import annotations

from collections import Counter

from search.cli.console import print_line, print_table
from search.evidence.timeline import compute_slot_use
from search.ledger.records import Kind, of_kind, trials_of
from search.statistics.ties import descending
from search.study.objective import objective_names, objective_values
from search.study.run_dir import RunDir, read_resolved
from search.vocabulary import Stage, Status

SHOWN_BEST = 5


def show_status(run_dir: RunDir) -> None:
    """Print trials by stage and status, the best so far and the failures of a study directory."""
    spec = read_resolved(run_dir)
    records = run_dir.read_records()
    trials = trials_of(records)
    counts = Counter((record["stage"], record["status"]) for record in trials)
    proposed = len(of_kind(records, Kind.suggestion))
    print_line(
        f"study {spec.name}: {len(trials)} trials recorded, {proposed} of {spec.strategy.num_trials} proposals made"
    )
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
    failures = [r for r in trials if r["status"] not in (Status.finished, Status.stopped_early)]
    if failures:
        print_table(
            "Not finished", ["arm", "status", "error"], [[r["arm"], r["status"], r["error"] or "-"] for r in failures]
        )
    slots = compute_slot_use(trials)
    if slots:
        rows = [[u.slot, str(u.num_trials), f"{u.busy_s:.0f} s", f"{u.busy_share:.0%}"] for u in slots]
        print_table("Slots, from their first trial to their last", ["slot", "trials", "busy", "share"], rows)
    spent_s = sum(record["train_s"] + record["startup_s"] for record in trials if not record["reused"])
    print_line(f"spent: {spent_s / 60:.1f} min of trial time; `recombine run` with the same study goes on")
