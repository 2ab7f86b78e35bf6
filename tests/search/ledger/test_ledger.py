"""The ledger survives crashes, refuses damage, and lets one writer write."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from search.ledger.frames import encode_frame, scan_frames
from search.ledger.ledger import (
    RECORDS_FILE,
    DuplicateTrialError,
    Ledger,
    LedgerError,
    LedgerLockedError,
    LedgerSupersededError,
)
from search.ledger.secrets import mask_arguments


def trial(number: int, **change: Any) -> dict[str, Any]:
    record = {
        "kind": "trial",
        "train_id": f"train-{number}",
        "stage": "search",
        "status": "finished",
        "arm": "search",
        "rung": None,
        "composition": {"mrt-knie-größe": 10 + number},
        "evaluations": [{"score_id": f"score-{number}", "accuracy": 0.5}],
    }
    return record | change


def write_ledger(directory: Path, num_trials: int) -> bytes:
    with Ledger.open(directory, writer=True) as ledger:
        for number in range(num_trials):
            ledger.append(trial(number))
    return (directory / RECORDS_FILE).read_bytes()


def test_records_come_back_in_order_with_sequence_numbers(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger", 3)
    with Ledger.open(tmp_path / "ledger", writer=False) as reader:
        assert [record["seq"] for record in reader.records()] == [0, 1, 2, 3]
        assert [record["train_id"] for record in reader.records("trial")] == ["train-0", "train-1", "train-2"]
        assert reader.records("trial")[1] == trial(1) | {"seq": 2}
        assert reader.recovered_tail_bytes == 0


def test_every_truncation_keeps_exactly_the_whole_frames(tmp_path: Path) -> None:
    content = write_ledger(tmp_path / "whole", 29)
    ends = [i + 1 for i, byte in enumerate(content) if byte == 10]
    assert len(ends) == 30
    for length in range(len(content) + 1):
        scan = scan_frames(content[:length])
        whole = [end for end in ends if end <= length]
        assert scan.damage == ()
        assert len(scan.records) == len(whole)
        assert scan.torn_bytes == length - (whole[-1] if whole else 0)


def test_writer_cuts_a_torn_tail_before_its_first_append(tmp_path: Path) -> None:
    content = write_ledger(tmp_path / "whole", 4)
    rng = random.Random(0)
    for length in [0, 1, 17, 18, 19, len(content) - 1, *rng.sample(range(len(content)), 40)]:
        folder = tmp_path / f"cut-{length}"
        folder.mkdir()
        (folder / RECORDS_FILE).write_bytes(content[:length])
        whole = content[:length].count(b"\n")
        with Ledger.open(folder, writer=True) as ledger:
            assert ledger.recovered_tail_bytes == length - (content[:length].rfind(b"\n") + 1)
            assert ledger.append(trial(99)) == whole + 1
        with Ledger.open(folder, writer=False) as reader:
            assert reader.recovered_tail_bytes == 0
            assert [record["seq"] for record in reader.records()] == list(range(whole + 2))
            assert reader.records()[-1]["train_id"] == "train-99"


def test_zeros_after_an_unfinished_write_are_a_torn_tail() -> None:
    good, next_frame = encode_frame({"seq": 0}), encode_frame({"seq": 1, "text": "x" * 50})
    scan = scan_frames(good + next_frame[:30] + bytes(4096))
    assert (len(scan.records), scan.torn_bytes, scan.damage) == (1, 30 + 4096, ())


def test_every_flipped_byte_is_noticed_and_no_other_record_changes(tmp_path: Path) -> None:
    content = write_ledger(tmp_path / "whole", 9)
    good = scan_frames(content).records
    for position in range(len(content)):
        for mask in (0x01, 0x80, 0xFF):
            flipped = bytearray(content)
            flipped[position] ^= mask
            scan = scan_frames(bytes(flipped))
            assert scan.damage, f"byte {position} ^ {mask:#x} went unnoticed"
            assert all(record in good for record in scan.records)
            assert len(scan.records) >= len(good) - 2
            assert scan.damage[0].offset <= position


def test_removed_and_repeated_frames_are_damage(tmp_path: Path) -> None:
    lines = write_ledger(tmp_path / "whole", 5).splitlines(keepends=True)
    assert scan_frames(b"".join(lines[:2] + lines[3:])).damage[0].reason == "record 3 stands where record 2 belongs"
    assert scan_frames(b"".join([*lines[:3], lines[2], *lines[3:]])).damage


def test_damage_is_refused_with_its_place_and_accepted_only_on_request(tmp_path: Path) -> None:
    content = bytearray(write_ledger(tmp_path, 5))
    place = content.index(b"train-2")
    content[place] ^= 1
    (tmp_path / RECORDS_FILE).write_bytes(content)
    start = content.rindex(b"\n", 0, place) + 1
    for writer in (False, True):
        with pytest.raises(LedgerError, match=rf"damaged at byte {start}: the checksum(.|\n)*--accept-loss"):
            Ledger.open(tmp_path, writer=writer)
    with Ledger.open(tmp_path, writer=True, accept_loss=True) as ledger:
        kept = [record["train_id"] for record in ledger.records("trial")]
        assert kept == ["train-0", "train-1", "train-3", "train-4"]
        assert ledger.records("loss_accepted")[0]["file"] == "records.log.1.bad"
        ledger.append(trial(2))
    assert (tmp_path / "records.log.1.bad").read_bytes() == bytes(content)
    with Ledger.open(tmp_path, writer=False) as reader:
        assert len(reader.records("trial")) == 5


WRITER = """
import sys
from pathlib import Path
from search.ledger.ledger import Ledger
with Ledger.open(Path(sys.argv[1]), writer=True) as ledger:
    while True:
        seq = ledger.append({"kind": "note", "text": "x" * 3000})
        sys.stdout.write(f"{seq}\\n")
        sys.stdout.flush()
"""


def test_kill_9_loses_no_acknowledged_record(tmp_path: Path) -> None:
    rng = random.Random(0)
    acknowledged = -1
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(rng.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines(keepends=True):
            acknowledged = int(line) if line.endswith("\n") else acknowledged
        process.wait()
        with Ledger.open(tmp_path, writer=False) as reader:
            seen = [record["seq"] for record in reader.records()]
        assert seen == list(range(len(seen)))
        assert len(seen) > acknowledged


def _num_records(directory: Path) -> int:
    with Ledger.open(directory, writer=False) as reader:
        return len(reader.records())


def test_a_reader_never_meets_a_partial_record(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            sizes = [_num_records(tmp_path)]
            deadline = time.monotonic() + 30
            while sizes[-1] < sizes[0] + 20 and time.monotonic() < deadline:
                sizes.append(_num_records(tmp_path))
        finally:
            process.kill()
    assert sizes == sorted(sizes)
    assert sizes[-1] >= sizes[0] + 20


def test_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True), pytest.raises(LedgerLockedError, match=f"pid {os.getpid()} on "):
        Ledger.open(tmp_path, writer=True)
    with Ledger.open(tmp_path, writer=True) as ledger:
        assert ledger.epoch == 2


def test_secrets_of_the_command_line_are_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [
        "run",
        "s.yaml",
        "--token",
        "aaa",
        "a.api_key=bbb",
        "s3://me:cc@c@host/d@e",
        "--at=me:ddd@host:1",
        "seed=3",
    ]
    monkeypatch.setattr(sys, "argv", ["recombine", *typed])
    with Ledger.open(tmp_path, writer=True) as ledger:
        (writer,) = ledger.records("writer")
    left = ["--token", "(left out)", "a.api_key=(left out)", "s3://host/d@e", "--at=host:1", "seed=3"]
    assert writer["arguments"] == ["run", "s.yaml", *left]
    content = (tmp_path / RECORDS_FILE).read_bytes()
    assert not any(secret in content for secret in (b"aaa", b"bbb", b"cc@c", b"ddd"))
    assert mask_arguments(writer["arguments"]) == writer["arguments"]


def test_a_superseded_writer_cannot_append(tmp_path: Path) -> None:
    stale = Ledger.open(tmp_path, writer=True)
    (tmp_path / "writer.lock").unlink()  # what a shared disk without working locks amounts to
    with Ledger.open(tmp_path, writer=True) as newer:
        assert newer.epoch == 2
        with pytest.raises(LedgerSupersededError, match="epoch 1"):
            stale.append(trial(1))
        newer.append(trial(2))
    with pytest.raises(LedgerError, match="no more records"):
        stale.append(trial(3))
    stale.close()
    with Ledger.open(tmp_path, writer=False) as reader:
        assert [record["train_id"] for record in reader.records("trial")] == ["train-2"]


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        path = tmp_path / RECORDS_FILE
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(LedgerSupersededError):
            ledger.append(trial(1))


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        before = (tmp_path / RECORDS_FILE).read_bytes()
        real_write = os.write

        def full_disk(descriptor: int, data: bytes) -> int:
            if len(data) <= 40:
                raise OSError(28, "No space left on device")
            return real_write(descriptor, data[:-40])

        monkeypatch.setattr(os, "write", full_disk)
        with pytest.raises(LedgerError, match="No space left"):
            ledger.append(trial(1))
        monkeypatch.undo()
        assert (tmp_path / RECORDS_FILE).read_bytes() == before
        with pytest.raises(LedgerError, match="open it again"):
            ledger.append(trial(1))


def test_a_finished_trial_is_recorded_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        ledger.append(trial(1, status="failed", evaluations=[]))
        ledger.append(trial(1))
        with pytest.raises(DuplicateTrialError, match="already recorded"):
            ledger.append(trial(1, train_s=3.0))
        ledger.append(trial(1, evaluations=[{"score_id": "new-target"}]))
        ledger.append(trial(1, stage="control", arm="control:knee"))
    with Ledger.open(tmp_path, writer=True) as ledger, pytest.raises(DuplicateTrialError):
        ledger.append(trial(1))


def test_what_is_no_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, writer=True) as ledger:
        for wrong in (float("nan"), object()):
            with pytest.raises(LedgerError, match="not JSON"):
                ledger.append({"kind": "note", "value": wrong})
        assert ledger.append({"kind": "note"}) == 1


def test_readers_cannot_write_and_need_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        Ledger.open(tmp_path / "none", writer=False)
    write_ledger(tmp_path, 1)
    reader = Ledger.open(tmp_path, writer=False)
    with pytest.raises(LedgerError, match="writer=True"):
        reader.append(trial(5))


def test_a_record_with_a_new_checksum_breaks_the_chain(tmp_path: Path) -> None:
    lines = write_ledger(tmp_path / "ledger", 5).splitlines(keepends=True)
    changed = json.loads(lines[2][18:]) | {"arm": "another"}
    forged = b"".join([*lines[:2], encode_frame(changed), *lines[3:]])
    (place,) = scan_frames(forged).damage
    assert place.reason == "record 3 was written after other bytes than stand before it"
    assert place.offset == sum(map(len, lines[:2])) + len(encode_frame(changed))


def test_frames_of_before_the_chain_are_read_and_covered_by_the_first_that_has_it(tmp_path: Path) -> None:
    old = [encode_frame({"kind": "trial", "train_id": str(seq), "seq": seq}) for seq in range(3)]
    (tmp_path / RECORDS_FILE).write_bytes(b"".join(old))
    with Ledger.open(tmp_path, writer=True):
        pass
    content = (tmp_path / RECORDS_FILE).read_bytes()
    assert not scan_frames(content).damage
    forged = encode_frame({"kind": "trial", "train_id": "9", "seq": 1})
    assert scan_frames(content.replace(old[1], forged)).damage


def test_what_results_are_made_from_ends_before_the_lists_of_hashes(tmp_path: Path) -> None:
    content = write_ledger(tmp_path, 2)
    expected = (3, scan_frames(content).last_digest)
    for _ in range(2):
        with Ledger.open(tmp_path, writer=True, is_run=False) as ledger:
            assert ledger.evidence() == expected
            ledger.append({"kind": "results", "files": {}})
            assert ledger.evidence() == expected
    with Ledger.open(tmp_path, writer=True) as ledger:
        assert ledger.evidence() == (6, scan_frames((tmp_path / RECORDS_FILE).read_bytes()).last_digest)
