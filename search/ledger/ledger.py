"""The append-only record of every finished trial: the only truth of a study.

A record is durable when `append` returns. One process writes at a time; readers may come and go. The rules
(checksummed frames, torn tail cut before the first append, interior damage refused, fencing) answer measured
failures: Ray Tune's state lost 8 of 26 finished trials after `kill -9`, and starts afresh from a cut file.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datasets_spec.atomic import sync
from datasets_spec.errors import UserError
from search.ledger.frames import HEADER_BYTES, NOTHING_BEFORE, Scan, chained, encode_frame, scan_frames
from search.ledger.records import Kind
from search.ledger.secrets import mask_arguments
from search.vocabulary import Status

RECORDS_FILE = "records.log"
LOCK_FILE = "writer.lock"


class LedgerError(UserError):
    """The ledger cannot be opened or written; says where and what to do."""


class LedgerLockedError(LedgerError):
    """Another process writes to this ledger."""


class LedgerSupersededError(LedgerError):
    """Another writer has taken this ledger over since it was opened here."""


class DuplicateTrialError(LedgerError):
    """The same trial was to be recorded as finished twice."""


def _role(record: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What may be recorded as finished only once; None for every other record.

    The same training may serve in several stages and arms (a control of two targets), and may be scored again
    on new evaluation sets; neither is a repetition.
    """
    if record.get("kind") != Kind.trial or record.get("status") != Status.finished:
        return None
    scores = frozenset(evaluation["score_id"] for evaluation in record.get("evaluations", ()))
    return record["train_id"], record.get("stage"), record.get("arm"), record.get("rung"), scores


class Ledger:
    """An open ledger. Use `Ledger.open`; a context manager.

    Attributes:
        recovered_tail_bytes: length of the unfinished record found at the end when it was opened. A writer
            has cut it off; it had never been acknowledged.
        epoch: number of this writer, 1 for the first; 0 for a reader.
    """

    def __init__(self, directory: Path, scan: Scan, *, descriptor: int | None = None, lock: int | None = None) -> None:
        self._path = directory / RECORDS_FILE
        self._records = list(scan.records)
        self._digests = list(scan.digests)
        self._digest = scan.last_digest
        self._size = scan.good_bytes
        self._descriptor = descriptor
        self._lock = lock
        self._broken: str | None = None
        self._roles = {role for record in self._records if (role := _role(record)) is not None}
        self.recovered_tail_bytes = scan.torn_bytes
        self.epoch = 0

    @classmethod
    def open(cls, directory: Path | str, *, writer: bool, accept_loss: bool = False, is_run: bool = True) -> Ledger:
        """Open the ledger in `directory`.

        Args:
            directory: RUN/ledger; a writer creates it.
            writer: whether to append. Only one writer at a time, on all machines that share the directory.
            is_run: whether the writer runs the study; one that only notes what it has written opens no epoch.
            accept_loss: a writer moves a damaged file aside (`records.log.<n>.bad`) and keeps what is good.

        Raises:
            LedgerError: there is no ledger to read, or it is damaged.
            LedgerLockedError: another process is writing.
        """
        folder = Path(directory)
        if not writer:
            return cls(folder, _read(folder))
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take_lock(folder)
        descriptor: int | None = None
        try:
            if accept_loss:
                _set_damage_aside(folder / RECORDS_FILE)
            descriptor = os.open(folder / RECORDS_FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            sync(folder)
            sync(folder.parent)
            scan = _checked(folder, (folder / RECORDS_FILE).read_bytes())
            if scan.torn_bytes:
                os.ftruncate(descriptor, scan.good_bytes)
                os.fsync(descriptor)
            ledger = cls(folder, scan, descriptor=descriptor, lock=lock)
            if is_run:
                ledger._begin_epoch()
        except BaseException:
            for held in (descriptor, lock):
                if held is not None:
                    os.close(held)
            raise
        return ledger

    def _begin_epoch(self) -> None:
        self.epoch = 1 + max((r["epoch"] for r in self._records if r.get("kind") == Kind.writer), default=0)
        self.append(
            {"kind": Kind.writer.value, "epoch": self.epoch, "opened_at": datetime.now(UTC).isoformat(), **_who()}
        )

    def append(self, record: Mapping[str, Any]) -> int:
        """Write `record` durably; when this returns, it survives a crash.

        Args:
            record: a JSON object with a `kind`; `seq` is added.

        Returns:
            The sequence number, counted from 0.

        Raises:
            LedgerError: opened for reading, not JSON, or the disk refused.
            LedgerSupersededError: another writer has appended since.
            DuplicateTrialError: a finished trial with this train_id, stage, arm, rung and evaluations exists.
        """
        descriptor = self._writable()
        seq = len(self._records)
        try:
            frame = encode_frame({**record, "seq": seq}, chain=self._digest)
        except (TypeError, ValueError) as error:
            raise LedgerError(f"a {record.get('kind')} record is not JSON: {error}") from error
        role = _role(record)
        if role is not None and role in self._roles:
            raise DuplicateTrialError(
                f"trial {record['train_id'][:12]} is already recorded as finished with these evaluations",
                hint="look for it among the records before running it",
            )
        self._check_fence(descriptor)
        self._write(descriptor, frame)
        self._size += len(frame)
        self._records.append(json.loads(encode_frame({**record, "seq": seq})[HEADER_BYTES:]))
        self._digests.append(self._digest)
        self._digest = chained(self._digest, frame)
        if role is not None:
            self._roles.add(role)
        return seq

    def _writable(self) -> int:
        if self._descriptor is None:
            raise LedgerError(f"{self._path} is open for reading, or closed", hint="open it with writer=True")
        if self._broken is not None:
            raise LedgerError(f"{self._path} takes no more records: {self._broken}", hint="open it again")
        return self._descriptor

    def _check_fence(self, descriptor: int) -> None:
        """Refuse when the file is no longer the one this writer left behind."""
        mine = os.fstat(descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is not None and (there.st_ino, there.st_dev, there.st_size) == (
            mine.st_ino,
            mine.st_dev,
            self._size,
        ):
            return
        self._broken = "another process has written to it or replaced it"
        raise LedgerSupersededError(
            f"{self._path} was taken over since this process opened it (epoch {self.epoch})",
            hint="this driver is stale: stop it; the newer one goes on",
        )

    def _write(self, descriptor: int, frame: bytes) -> None:
        """Write all of `frame` and wait for the disk, or leave the file as it was."""
        try:
            written = 0
            while written < len(frame):
                written += os.write(descriptor, frame[written:])
            os.fsync(descriptor)
        except OSError as error:
            # After a failed fsync the page cache may disagree with the disk: nothing more may be appended.
            self._broken = f"writing failed ({error.strerror})"
            os.ftruncate(descriptor, self._size)
            raise LedgerError(
                f"cannot write to {self._path}: {error.strerror}",
                hint="free space or check the disk, then run the same command again: it resumes",
            ) from error

    def records(self, kind: str | None = None) -> tuple[dict[str, Any], ...]:
        """The records (of one kind, if given) in the order they were written. Do not change them."""
        return tuple(record for record in self._records if kind is None or record.get("kind") == kind)

    def evidence(self) -> tuple[int, str]:
        """What results are made from: the number of records before the last lists of hashes, and their digest."""
        number = len(self._records)
        while number and self._records[number - 1].get("kind") == Kind.results:
            number -= 1
        return number, self._digests[number] if number < len(self._records) else self._digest

    def close(self) -> None:
        """Release the file and the lock. Closing twice is fine."""
        for held in (self._descriptor, self._lock):
            if held is not None:
                os.close(held)
        self._descriptor = self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _who() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "arguments": mask_arguments(sys.argv[1:])}


def _read(folder: Path) -> Scan:
    if not folder.is_dir():
        raise LedgerError(f"there is no ledger at {folder}", hint="check the path of the run directory")
    path = folder / RECORDS_FILE
    return _checked(folder, path.read_bytes() if path.exists() else b"")


def _checked(folder: Path, content: bytes) -> Scan:
    scan = scan_frames(content)
    if scan.damage:
        first = scan.damage[0]
        raise LedgerError(
            f"{folder / RECORDS_FILE} is damaged at byte {first.offset}: {first.reason} "
            f"({len(scan.damage)} damaged place(s), {len(scan.records)} good records)",
            hint="restore the file from a copy; or `recombine run STUDY --accept-loss` (on a cluster "
            "`recombine submit` with that option) keeps the good records, "
            "moves the file aside as .bad and runs the lost trials again",
        )
    return scan


def _take_lock(folder: Path) -> int:
    """Hold the writer's lock until the returned descriptor is closed, by us or by the kernel when we die."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 4096).decode(errors="replace").strip() or "an unknown process"
        os.close(descriptor)
        raise LedgerLockedError(
            f"{folder} is being written by {holder}",
            hint="wait for it, or stop that process; the lock goes with it",
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise LedgerError(
            f"{folder} cannot be locked: {error.strerror}",
            hint="use a run directory on a disk that supports flock",
        ) from error
    who = _who()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {who['pid']} on {who['host']}".encode(), 0)
    return descriptor


def _set_damage_aside(path: Path) -> None:
    """Move a damaged file aside and write its good records, renumbered, in its place."""
    if not path.exists():
        return
    scan = scan_frames(path.read_bytes())
    if not scan.damage:
        return
    number = 1
    while (bad := path.with_name(f"{path.name}.{number}.bad")).exists():
        number += 1
    lost = {
        "kind": Kind.loss_accepted.value,
        "file": bad.name,
        "damaged_bytes": sum(place.length for place in scan.damage),
        "offsets": [place.offset for place in scan.damage],
    }
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.writelines(_chained((*scan.records, lost)))
        file.flush()
        os.fsync(file.fileno())
    os.link(path, bad)  # both names exist until the replacement is in place: no moment without a ledger
    os.replace(fresh, path)
    sync(path.parent)


def _chained(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """The frames of records that are numbered and chained anew."""
    digest = NOTHING_BEFORE
    for seq, record in enumerate(records):
        frame = encode_frame({**record, "seq": seq}, chain=digest)
        digest = chained(digest, frame)
        yield frame
