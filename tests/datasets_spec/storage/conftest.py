from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from datasets_spec.storage.place import open_storage
from datasets_spec.storage.storage import Storage
from tests.makers.s3_server import S3Server


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each kind."""
    if request.param == "local":
        return open_storage(tmp_path / "root")
    server: S3Server = request.getfixturevalue("s3")
    return open_storage(f"s3://{server.bucket}/{uuid.uuid4().hex}")
