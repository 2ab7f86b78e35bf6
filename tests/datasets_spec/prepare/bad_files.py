"""Broken files by the hundred, generated: rows, JSON, tables, images and paths as they arrive from the world."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.makers.corpus import encoded, picture, save_picture
from tests.makers.formats import FORMAT_CASES

GOOD = "good.png"
BAD = "bad.png"
NOISE = Image.merge("RGB", [Image.effect_noise((96, 64), spread) for spread in (30, 60, 90)])


@dataclass(frozen=True, kw_only=True)
class BadFile:
    """A folder with one data file in which something is wrong.

    Args:
        name: What is wrong.
        format: Format it is read as.
        file: Name of the data file.
        write: Writes it, and what it names, into a folder.
        reasons: Expected reason of every record, None for a good one; None where the whole file must be refused.
    """

    name: str
    format: str
    file: str
    write: Callable[[Path], None]
    reasons: tuple[str | None, ...] | None


def _good(name: str = "med_mat", index: int = 0) -> dict[str, Any]:
    return FORMAT_CASES[name].record(index, GOOD, index % 3)


def _file(name: str, data: bytes, *, fmt: str = "med_mat", file: str = "f.json") -> BadFile:
    return BadFile(name=name, format=fmt, file=file, write=lambda root: _write(root / file, data), reasons=None)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _row(name: str, fmt: str, record: Any, reason: str, *, file: str = "f.json") -> BadFile:
    """A bad record between two good ones, which must survive it."""
    records = [_good(fmt), record, _good(fmt, 1)]
    text = json.dumps(records) if file == "f.json" else "\n".join(map(json.dumps, records))
    return BadFile(
        name=name,
        format=fmt,
        file=file,
        write=lambda root: _write(root / file, text.encode()),
        reasons=(None, reason, None),
    )


def json_files() -> list[BadFile]:
    whole = json.dumps([_good(index=index) for index in range(4)], indent=1).encode()
    cases = {
        "nothing": b"", "a blank": b" \n", "a byte order mark": b"\xef\xbb\xbf",
        "UTF-16": whole.decode().encode("utf-16"),
        "UTF-32": whole.decode().encode("utf-32"), "Latin-1": b'[{"image": "\xe9"}]', "a NUL": b"\0",
        "NULs": b"\0" * 4096,
        "100,000 brackets": b"[" * 100_000, "100,000 braces": b'[{"a":' * 100_000,
        "an open string": b'["' + b"x" * 1_000_000,
        "junk behind": whole + b"]", "two arrays": whole + whole, "lines in an array": b'{"a": 1}\n{"a": 2}\n',
        "one record": json.dumps(_good()).encode(), "a text": b'"text"', "a number": b"12", "null": b"null",
        "true": b"true",
        "a table": b"image,question,answer\na.png,q,a\n", "XML": b"<?xml version='1.0'?><a/>",
        "HTML": b"<html></html>",
        "gzip": b"\x1f\x8b\x08" + bytes(range(200)), "ZIP": b"PK\x03\x04" + bytes(range(100)), "PNG": encoded(NOISE),
        "noise": random.Random(0).randbytes(2000),
        "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
        "a stray comma": b"[1,]", "single quotes": b"[{'image': 'a.png'}]", "a comment": b"[1, /* no */ 2]",
        "no commas": b"[1 2]", "an open surrogate escape": b'["\\ud8', "a control character": b'["a\x01b"]',
        "an unknown escape": b'["\\x41"]', "a bare word": b"[nothing]", "a plus sign": b"[+1]", "hex": b"[0x10]",
    }  # fmt: skip
    files = [_file(f"json: {name}", data) for name, data in cases.items()]
    files += [
        _file(f"json: cut at {share:.0%}", whole[: int(len(whole) * share)]) for share in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    return files + [_file(f"json: {num} bytes short", whole[:-num]) for num in (1, 2, 3)]


_VALUES: dict[str, Any] = {
    "null": None, "a number": 5, "a truth": True, "a list": [], "a mapping": {}, "a nested list": [[["x"]]],
    "half a surrogate": "\ud800", "a list of numbers": [1, 2],
}  # fmt: skip


def json_rows() -> list[BadFile]:
    cases = [
        _row(f"{fmt}: a record that is {name}", fmt, value, "malformed_row")
        for fmt in FORMAT_CASES
        for name, value in {"null": None, "a text": "text", "a list": [1], "a number": 1}.items()
    ]
    for fmt, case in FORMAT_CASES.items():
        for key in case.needed:
            cases += [
                _row(f"{fmt}: '{key}' is {name}", fmt, _good(fmt) | {key: value}, "*", file="f.jsonl")
                for name, value in _VALUES.items()
                if (key, name) != ("label", "a number")  # many sets number their classes
            ]
            cases.append(_row(f"{fmt}: no '{key}'", fmt, {k: v for k, v in _good(fmt).items() if k != key}, "*"))
    ask = "q\nA: x\nB: y\n"
    wordings: dict[str, tuple[dict[str, Any], str]] = {
        "no question": ({"Question-choice": "A: x\nB: y"}, "empty_question"),
        "only a tag": ({"Question-choice": "<image>\nA: x\nB: y"}, "empty_question"),
        "no option": ({"Question-choice": "q"}, "too_few_options"),
        "one option": ({"Question-choice": "q\nA: x"}, "too_few_options"),
        "equal options": ({"Question-choice": "q\nA: x\nB: X "}, "too_few_options"),
        "27 options": (
            {"Question-choice": "q\n" + "\n".join(f"{x}: {x}" for x in [*map(chr, range(65, 91)), "AA"])},
            "too_many_options",
        ),
        "an empty option": ({"Question-choice": "q\nA: x\nB:"}, "malformed_row"),
        "letters twice": ({"Question-choice": "q\nA: x\nB: y\nB: z"}, "malformed_row"),
        "letters backwards": ({"Question-choice": "q\nB: x\nA: y\n"}, "*"),
        "an unknown letter": ({"Question-choice": ask, "Answer-choice": "E"}, "answer_not_in_options"),
        "a text that is no option": ({"Question-choice": ask, "Answer-choice": "z"}, "answer_not_in_options"),
        "a number that is no option": ({"Question-choice": ask, "Answer-choice": "2"}, "answer_not_in_options"),
        "a zero-width letter": ({"Question-choice": ask, "Answer-choice": "\u200bA"}, "answer_not_in_options"),
        "a Cyrillic letter": ({"Question-choice": ask, "Answer-choice": "\u0410"}, "answer_not_in_options"),
        "an empty answer": ({"Question-choice": ask, "Answer-choice": "\t"}, "empty_answer"),
        "an image list with a hole": ({"image": ["good.png", None]}, "malformed_row"),
        "an empty path": ({"image": " "}, "image_count_mismatch"),
        "a mapping for a path": ({"image": {"path": "good.png"}}, "malformed_row"),
    }  # fmt: skip
    cases += [_row(f"med_mat: {name}", "med_mat", _good() | change, why) for name, (change, why) in wordings.items()]
    twice = '[{"image": "good.png", "image": "good.png"}]'
    cases.append(
        BadFile(
            name="a key twice",
            format="med_mat",
            file="f.json",
            write=lambda root: _write(root / "f.json", twice.encode()),
            reasons=("malformed_row",),
        )
    )
    numbers = {"NaN": "NaN", "minus infinity": "-Infinity", "5000 digits": "9" * 5000, "NaN inside": '{"x": [1, NaN]}'}
    for name, text in numbers.items():
        whole = f"[{json.dumps(_good())}, {text}, {json.dumps(_good(index=1))}]".encode()
        cases.append(
            BadFile(
                name=f"{name} in an array",
                format="med_mat",
                file="f.json",
                write=lambda root, data=whole: _write(root / "f.json", data),  # type: ignore[misc]
                reasons=(None, "malformed_row", None),
            )
        )
    lines = [json.dumps(_good()), '{"image": ', '{"image": NaN}', "\x00", "[1]", json.dumps(_good(index=1))]
    cases.append(
        BadFile(
            name="lines that are no JSON",
            format="med_mat",
            file="f.jsonl",
            write=lambda root: _write(root / "f.jsonl", "\n".join(lines).encode()),
            reasons=(None, *["malformed_row"] * 4, None),
        )
    )
    return cases


def tables() -> list[BadFile]:
    head = b"image,question,A,B,answer\n"
    good = b"good.png,q,x,y,A\n"
    refused = {
        "no header": b"", "a header with a hole": b"image,,answer\n", "a header twice": b"image,image\n",
        "an open quote": head + good + b'"good.png,q,x,y,A\n' + good,
        "a quote inside": head + b'go"od.png,q,"x"x,y,A\n',
        "Latin-1": head + b"good.png,\xe9\xff,x,y,A\n", "UTF-16": (head + good).decode().encode("utf-16"),
        "a giant cell": head + b"good.png," + b"q" * 200_000 + b",x,y,A\n",
    }  # fmt: skip
    cases = [_file(f"csv: {name}", data, fmt="table", file="f.csv") for name, data in refused.items()]
    rows = {
        "too few cells": b"good.png,q\n", "too many cells": b"good.png,q,x,y,A,B\n", "no image": b",q,x,y,A\n",
        "no question": b"good.png, ,x,y,A\n", "no answer": b"good.png,q,x,y,\n", "one option": b"good.png,q,x,,A\n",
        "an unknown letter": b"good.png,q,x,y,C\n", "a NUL in the path": b"go\0od.png,q,x,y,A\n",
        "a path outside": b"../good.png,q,x,y,A\n", "a formula for a path": b"=HYPERLINK(1),q,x,y,A\n",
    }  # fmt: skip
    for name, row in rows.items():
        data = head + good + row + b"good.png,q,x,y,B\n"
        cases.append(
            BadFile(
                name=f"csv: {name}",
                format="table",
                file="f.csv",
                write=lambda root, data=data: _write(root / "f.csv", data),  # type: ignore[misc]
                reasons=(None, "*", None),
            )
        )
    return cases + parquet_files()


def parquet_files() -> list[BadFile]:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_good(index=index) for index in range(50)]), buffer)
    whole = buffer.getvalue()
    inside = io.BytesIO()
    pq.write_table(pa.table({"images": pa.array([[{"bytes": b"x", "path": "a"}]])}), inside)
    flipped = bytearray(whole)
    flipped[-6] ^= 255  # of its length
    cases = {
        "nothing": b"", "a magic number": b"PAR1", "magic numbers": b"PAR1PAR1",
        "a huge footer": b"PAR1\xff\xff\xff\x7fPAR1",
        "a flipped footer": bytes(flipped), "images inside": inside.getvalue(), "JSON": b"[]",
        "noise": random.Random(1).randbytes(500),
    }  # fmt: skip
    files = [_file(f"parquet: {name}", data, file="f.parquet") for name, data in cases.items()]
    return files + [
        _file(f"parquet: cut at {share:.0%}", whole[: int(len(whole) * share)], file="f.parquet")
        for share in (0.1, 0.5, 0.9, 0.99)
    ]


def _image_case(name: str, data: bytes, reason: str = "*") -> BadFile:
    def write(root: Path) -> None:
        _write(root / BAD, data)
        records = [_good(), _good() | {"image": BAD}, _good(index=1)]
        _write(root / "f.json", json.dumps(records).encode())

    return BadFile(name=f"image: {name}", format="med_mat", file="f.json", write=write, reasons=(None, reason, None))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IEND", b"")


def _with_scans(data: bytes, num: int) -> bytes:
    at = data.index(b"\xff\xda")
    scan = data[at:-2]
    return data[:-2] + scan * num + data[-2:]


def images() -> list[BadFile]:
    png, jpeg = encoded(NOISE), encoded(NOISE, "JPEG")
    kinds = {"png": png, "jpeg": jpeg, "bmp": encoded(NOISE, "BMP"), "tiff": encoded(NOISE, "TIFF")}
    kinds["webp"] = encoded(NOISE, "WEBP")
    cases = [
        _image_case(f"{kind} cut at {share:.0%}", data[: int(len(data) * share)])
        for kind, data in kinds.items()
        for share in (0.02, 0.1, 0.5, 0.9)
    ]
    at = png.index(b"IDAT") + 10
    frames = io.BytesIO()
    NOISE.save(frames, "TIFF", save_all=True, append_images=[picture(1).resize(NOISE.size)])
    animated = io.BytesIO()
    NOISE.save(animated, "PNG", save_all=True, append_images=[picture(1).resize(NOISE.size)] * 20)
    moving = io.BytesIO()
    NOISE.save(moving, "WEBP", save_all=True, append_images=[picture(1).resize(NOISE.size)] * 20)
    bomb = _chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000, 9))
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 50_000_000, 9))
    progressive = io.BytesIO()
    NOISE.save(progressive, "JPEG", progressive=True)
    others = {
        "nothing": b"", "one byte": b"\x89", "a PNG signature": png[:8], "a JPEG signature": jpeg[:3],
        "a broken checksum": png[:at] + bytes([png[at] ^ 255]) + png[at + 1 :], "text": b"not an image",
        "SVG": b"<svg/>",
        "HTML": b"<html><img></html>", "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "PDF": b"%PDF-1.7\n",
        "DICOM": b"\0" * 128 + b"DICM" + png, "GIF": encoded(NOISE, "GIF"), "PPM": encoded(NOISE, "PPM"),
        "ICO": encoded(picture(1), "ICO"), "TGA": encoded(NOISE, "TGA"), "JPEG 2000": encoded(NOISE, "JPEG2000"),
        "a pickle": b"\x80\x04.", "gzip": b"\x1f\x8b\x08\0\0", "NumPy": b"\x93NUMPY\x01\0",
        "NIfTI": b"\x5c\x01\0\0" + b"\0" * 348,
        "16 bits": encoded(Image.new("I;16", (9, 9), 999)), "32 bits": encoded(Image.new("I", (9, 9), 9), "TIFF"),
        "floats": encoded(Image.new("F", (9, 9), 0.5), "TIFF"), "TIFF frames": frames.getvalue(),
        "PNG frames": animated.getvalue(), "WebP frames": moving.getvalue(),
        "a thousand million pixels": _png(31_623, 31_623, bomb), "2^31 pixels wide": _png(2**31 - 1, 1, bomb),
        "no width": _png(0, 9, bomb), "a zero in the depth": _png(9, 9, bomb, depth=0), "no pixels": _png(9, 9),
        "51 megapixels": _png(51_000, 1_000, bomb, depth=1, colour=0), "a text bomb": _png(9, 9, text, bomb),
        "pixels for a tenth": _png(6_000, 6_000, bomb), "5,000 scans": _with_scans(progressive.getvalue(), 5_000),
        "a JPEG of no height": jpeg.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 0, 96), 1),
        "a JPEG of 65,500 pixels": jpeg.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 65_500, 65_500), 1),
        "a BMP of 2^30 pixels": kinds["bmp"][:18] + struct.pack("<ii", 2**15, 2**15) + kinds["bmp"][26:],
        "a TIFF of circles": b"II*\0\x08\0\0\0\x01\0" + b"\0" * 12 + b"\x08\0\0\0",
    }  # fmt: skip
    return cases + [_image_case(name, data) for name, data in others.items()]


def paths() -> list[BadFile]:
    outside = [
        "../out.png", "a/../../out.png", "..\\out.png", "/etc/hostname", "//etc/hostname", "~/out.png", "C:/out.png",
        "c:\\out.png", "\\\\host\\out.png", "file:///etc/hostname", "file://localhost/etc/hostname",
        "http://169.254.169.254/",
        "https://[::1]/a.png", "s3://bucket/a.png", "gs://bucket/a.png", "zip::a.zip",
        "zip://a.png::http://host/a.zip",
        "simplecache::http://host/a.png", "reference://a", "github://a:b@/c.png", "go\0od.png", "link-out",
        "folder-out/out.png",
        "./../out.png", "good.png/../../out.png", "\\etc\\hostname", "memory://a.png", "data://image/png;base64,AAAA",
    ]  # fmt: skip
    missing = [
        "none.png", "folder", "pipe", "socket", "loop", "dangling", "x" * 300 + ".png", "a/" * 2100 + "b.png",
        " good.png ",
        "GOOD.PNG", "good.png\n", "%2e%2e/out.png", "good.png?x=1", "data:image/png;base64,AAAA",
        "\u202egnp.doog", "zero",
    ]  # fmt: skip

    def case(published: str, reason: str) -> BadFile:
        def write(root: Path) -> None:
            _strange_places(root)
            records = [_good(), _good() | {"image": published}, _good(index=1)]
            _write(root / "f.json", json.dumps(records).encode())

        shown = published[:40].encode("unicode_escape").decode()
        return BadFile(
            name=f"path: {shown}", format="med_mat", file="f.json", write=write, reasons=(None, reason, None)
        )

    return [case(name, "path_outside_root") for name in outside] + [case(name, "*") for name in missing]


def _strange_places(root: Path) -> None:
    save_picture(root.parent / "out.png", 1)
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket may have 108 characters only.
        os.chdir(root)
        server.bind("socket")
        os.chdir(here)
    (root / "loop").symlink_to(root / "loop")
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "link-out").symlink_to(root.parent / "out.png")
    (root / "folder-out").symlink_to(root.parent)
    (root / "zero").symlink_to("/dev/zero")


ALL: list[BadFile] = [*json_files(), *json_rows(), *tables(), *images(), *paths()]
