"""The private folder a local cluster keeps its sockets, logs and spilled blocks in."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from cluster.errors import ClusterError

# A Unix socket's path holds at most 107 bytes (103 on macOS), and Ray adds
# "/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store" (64) to its folder.
_LONGEST_BYTES = 103 - 64
_LOCK = "owner.lock"


class RuntimeDir:
    """One local cluster's folder: mode 0700, locked while its owner lives, removed at the end.

    Ray's default (/tmp/ray) is open to every user and shared by every cluster of the machine; a folder of
    its own keeps two studies, and two users, apart.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """Create the folder under `parent`, clearing what killed studies left there.

        Raises:
            ClusterError: `parent` cannot be written, belongs to someone else, or makes socket paths too long.
        """
        base = _default_parent() if parent is None else parent.resolve()
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            if parent is None:
                _refuse_foreign(base)
            _remove_abandoned(base)
            self.path = Path(tempfile.mkdtemp(prefix="r-", dir=base))
        except OSError as error:
            raise ClusterError(
                f"Ray's runtime folder cannot be made under {base} ({error.strerror}).",
                hint="Set RAY_TMPDIR to a short path you can write to, for example /tmp.",
            ) from error
        if len(os.fsencode(self.path)) > _LONGEST_BYTES:
            self.path.rmdir()
            raise ClusterError(
                f"{base} is too long a path for Ray's sockets ({len(os.fsencode(self.path))} bytes, at most "
                f"{_LONGEST_BYTES} with the study's own folder).",
                hint="Choose a shorter one, for example /tmp.",
            )
        self._lock = (self.path / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        """Remove the folder; Ray's last processes may still write for a moment, hence the second try."""
        for pause_s in (0.0, 1.0):
            time.sleep(pause_s)
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                break
        self._lock.close()


def _default_parent() -> Path:
    base = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    name = f"recombine-{os.getuid()}"
    # mkdtemp adds "/r-" and eight characters.
    fits = len(os.fsencode(base / name)) + 11 <= _LONGEST_BYTES
    return (base if fits else Path("/tmp")) / name


def _refuse_foreign(base: Path) -> None:
    """In a folder everyone can write to, another user could have prepared our folder, or a link to theirs."""
    status = base.lstat()
    if base.is_symlink() or status.st_uid != os.getuid():
        raise ClusterError(
            f"{base} belongs to another user or is a link.", hint="Set RAY_TMPDIR to a folder of your own."
        )
    base.chmod(0o700)


def _remove_abandoned(base: Path) -> None:
    for lock_path in base.glob(f"r-*/{_LOCK}"):
        try:
            with lock_path.open("r") as lock:
                # Whoever holds it is alive, also from inside another container.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_path.parent, ignore_errors=True)
        except OSError:
            continue
