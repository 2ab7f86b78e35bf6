r"""The bytes of a ledger: one frame a record, each checked on its own.

A frame is `<length:8 hex> <crc32:8 hex> <json>\n`: the length counts the JSON's bytes, the checksum covers
the length and the JSON. JSON holds no raw newline, so a newline ends a frame and nothing else; what a crash
leaves behind is a beginning of a frame without one. That is what tells a torn tail from damage: an unfinished
write has no newline, a damaged record does (Optuna's journal cannot tell, and loses the next record:
optuna#5138).

Frames are chained: the JSON of a frame names the digest of all before it (`chain`, see `chained`), so that no record
can be changed, moved or left out, and its checksum made anew, unless every later one is written again. Frames of
versions before have none; the first chained one covers them.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADER_BYTES = 18
NEWLINE = b"\n"
CHAIN = "chain"
NOTHING_BEFORE = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """Bytes that are neither a good frame nor an unfinished one.

    Attributes:
        offset: where they begin in the file.
        length: how many there are.
        reason: what is wrong, in words.
    """

    offset: int
    length: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What a ledger file holds.

    Attributes:
        records: the good records, in the order of the file, without their `chain`.
        digests: the digest of what stands before each of them.
        last_digest: the digest of all whole frames.
        good_bytes: where the torn tail begins (the length of the file when there is none).
        torn_bytes: length of the torn tail.
        damage: what is damaged, in the order of the file.
    """

    records: tuple[dict[str, Any], ...]
    digests: tuple[str, ...]
    last_digest: str
    good_bytes: int
    torn_bytes: int
    damage: tuple[Damage, ...]


def chained(before: str, frame: bytes) -> str:
    """The digest of all frames up to this one: SHA-256 over the digest of those before it and its bytes."""
    return hashlib.sha256(before.encode() + frame).hexdigest()


def encode_frame(record: Mapping[str, Any], *, chain: str | None = None) -> bytes:
    """The frame of `record`. Raises ValueError or TypeError when it is no JSON (NaN included).

    Args:
        record: what is recorded.
        chain: digest of what stands before it.
    """
    if chain is not None:
        record = {**record, CHAIN: chain}
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    length = f"{len(body):08x}".encode()
    return b"%s %08x %s\n" % (length, zlib.crc32(length + body), body)


def _declared_length(header: bytes) -> int | None:
    """The body length a complete header states, or None when it is no header."""
    length, crc = header[:8], header[9:17]
    if header[8:9] != b" " or header[17:18] != b" " or not _is_hex(length) or not _is_hex(crc):
        return None
    return int(length, 16)


def _is_hex(text: bytes) -> bool:
    return all(byte in b"0123456789abcdef" for byte in text)


def _decode_frame(line: bytes) -> dict[str, Any] | str:
    """The record of one line without its newline, or what is wrong with it."""
    length = _declared_length(line[:HEADER_BYTES])
    body = line[HEADER_BYTES:]
    if length is None:
        return "the frame has no valid header"
    if length != len(body):
        return f"the frame states {length} bytes and has {len(body)}"
    if zlib.crc32(line[:8] + body) != int(line[9:17], 16):
        return "the checksum does not match"
    record = json.loads(body)
    return record if isinstance(record, dict) else "the frame holds no JSON object"


def _is_torn(rest: bytes) -> bool:
    """Whether `rest`, which holds no newline, is what an interrupted write leaves.

    Either a strict beginning of a frame, or one followed by zeros: after a power cut some file systems have
    extended the file without having written its last blocks.
    """
    written = rest.rstrip(b"\0")
    if len(written) < HEADER_BYTES:
        return True
    length = _declared_length(written[:HEADER_BYTES])
    return length is not None and len(written) <= HEADER_BYTES + length and len(rest) != HEADER_BYTES + length + 1


def scan_frames(content: bytes, *, first_seq: int = 0) -> Scan:
    """Read every frame, and tell good ones, damage and a torn tail apart.

    Args:
        content: the bytes of a ledger file.
        first_seq: the sequence number expected of the first record.
    """
    records: list[dict[str, Any]] = []
    digests: list[str] = []
    damage: list[Damage] = []
    offset, expected, digest = 0, first_seq, NOTHING_BEFORE
    while (end := content.find(NEWLINE, offset)) != -1:
        decoded = _decode_frame(content[offset:end])
        if isinstance(decoded, str):
            damage.append(Damage(offset=offset, length=end + 1 - offset, reason=decoded))
        else:
            # After damage the numbers tell nothing new; without it, a gap means that whole frames are gone.
            if not damage and decoded.get("seq") != expected:
                reason = f"record {decoded.get('seq')} stands where record {expected} belongs"
                damage.append(Damage(offset=offset, length=0, reason=reason))
            if not damage and decoded.pop(CHAIN, digest) != digest:
                reason = f"record {decoded.get('seq')} was written after other bytes than stand before it"
                damage.append(Damage(offset=offset, length=0, reason=reason))
            decoded.pop(CHAIN, None)
            records.append(decoded)
            digests.append(digest)
            expected += 1
        digest = chained(digest, content[offset : end + 1])
        offset = end + 1
    rest = content[offset:]
    if rest and not _is_torn(rest):
        damage.append(Damage(offset=offset, length=len(rest), reason="the last frame has no end"))
        rest, offset = b"", len(content)
    return Scan(
        records=tuple(records),
        digests=tuple(digests),
        last_digest=digest,
        good_bytes=offset,
        torn_bytes=len(rest),
        damage=tuple(damage),
    )
