from __future__ import annotations

import pickle

from cluster.errors import ClusterError


def test_survives_pickling_with_its_hint() -> None:
    error = pickle.loads(pickle.dumps(ClusterError("found", hint="do this")))
    assert isinstance(error, ClusterError)
    assert (error.message, error.hint, error.exit_code) == ("found", "do this", 2)
    assert str(error) == "found\n  do this"
    assert str(ClusterError("found")) == "found"
