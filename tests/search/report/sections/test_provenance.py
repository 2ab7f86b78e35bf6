from __future__ import annotations

from search.report.run_files import RunRecords
from search.report.sections.provenance import compute_provenance


def test_facts_to_repeat_the_study(records: RunRecords) -> None:
    provenance = compute_provenance(records)
    facts = dict(provenance.facts)
    assert facts["Store fingerprint"] == "9f" * 32
    assert facts["Openings of the sealed questions"] == "1"
    assert facts["Training seeds"] == "0, 1, 2, 3, 11, 12, 13"
    assert facts["Backbone: revision"] == "3f1c2a"
    assert ("torch", "2.13.0") in provenance.versions
    assert len(provenance.decisions) == 2


def test_secrets_of_the_study_file_stay_out(records: RunRecords) -> None:
    study = compute_provenance(records).study
    assert "phantom-ct-mri" in study
    assert "do-not-print-me" not in study
    assert "me:hidden" not in study
    assert "tracker.invalid" in study
