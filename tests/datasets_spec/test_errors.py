from __future__ import annotations

import pickle

import pytest

from datasets_spec.errors import (
    LeakageError,
    MissingImagesError,
    Problem,
    QuarantineLimitError,
    ReaderError,
    RecombineError,
    SpecError,
    StoreError,
    UserError,
)

PROBLEM = Problem(file="a.yaml", line=3, column=5, where="x.y", message="unknown key", found="yy", nearest="yz")


@pytest.mark.parametrize(
    "kind", [UserError, ReaderError, StoreError, LeakageError, MissingImagesError, QuarantineLimitError]
)
def test_user_errors_survive_pickling_with_hint(kind: type[UserError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what", hint="do this")))
    assert type(copy) is kind
    assert str(copy) == "what\n  do this"
    assert copy.exit_code == 2
    assert isinstance(copy, RecombineError)


def test_spec_error_survives_pickling_with_its_problems() -> None:
    error = SpecError([PROBLEM, PROBLEM], hint="look")
    copy = pickle.loads(pickle.dumps(error))
    assert copy.problems == error.problems
    assert str(copy) == str(error)


def test_a_problem_reads_as_file_line_column_and_nearest() -> None:
    assert str(PROBLEM) == "a.yaml:3:5: x.y: unknown key (found yy). Did you mean 'yz'?"


def test_a_flood_of_problems_is_cut_and_counted() -> None:
    lines = str(SpecError([PROBLEM] * 60)).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "... and 10 more"
