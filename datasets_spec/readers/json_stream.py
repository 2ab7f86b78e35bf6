"""JSON records from disk in bounded memory: an array taken item by item, or one record a line.

`json` parses whole files only and needs some five times a file's size. The incremental parsers on offer keep the last
of two equal keys in silence, where a record with a repeated key has to be set aside; hence `json`'s own decoder over a
window of the file.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from datasets_spec.errors import ReaderError
from datasets_spec.readers.records import DUPLICATE_KEYS, RowError
from datasets_spec.sample import QuarantineReason

CHUNK_BYTES = 1 << 20
# A published record has some 700 characters. What is longer than this is a damaged file, not a question.
MAX_RECORD_CHARS = 16 << 20
# An error this far before the window's end is one of the text, not of where the window was cut: no escape, literal or
# exponent is longer.
_CUT_MARGIN = 16
_SPACE = " \t\n\r"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two equal keys; which one the publisher meant is unknown.
    record = dict(pairs)
    if len(record) < len(pairs):
        record[DUPLICATE_KEYS] = True
    return record


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_pairs)
_LENIENT = json.JSONDecoder(parse_constant=lambda name: None, parse_int=len, parse_float=len)


class _Window:
    """A moving window on the text of a file; knows line and column of what it shows."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._num_read = 0
        self._line, self._column = 1, 1  # of the window's first character
        self.text = ""
        self.position = 0
        self.is_at_end = False

    def fill(self, num_bytes: int = 0) -> None:
        """Forgets what lies behind the position and reads on, by a chunk at least."""
        self._line, self._column = self._place(self.position)
        pending = len(self._decoder.getstate()[0])
        chunk = self._file.read(max(num_bytes, CHUNK_BYTES))
        try:
            added = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            at = self._num_read - pending + error.start
            raise ReaderError(f"{self._name} is not UTF-8 text (byte {at})") from None
        self._num_read += len(chunk)
        self.is_at_end = not chunk
        self.text = self.text[self.position :] + added
        self.position = 0

    def peek(self) -> str:
        """Returns the next character that is no white space; nothing at the end of the file."""
        while True:
            while self.position < len(self.text):
                if self.text[self.position] not in _SPACE:
                    return self.text[self.position]
                self.position += 1
            if self.is_at_end:
                return ""
            self.fill()

    def value(self) -> Any | RowError:
        """Returns the value at the position, or what is wrong with it, and moves behind it."""
        while True:
            try:
                value, end, is_closed = self._decoded()
            except json.JSONDecodeError as error:
                is_cut = error.pos > len(self.text) - _CUT_MARGIN or error.msg.startswith("Unterminated")
                if self.is_at_end or not is_cut:
                    raise self.error(error.msg, error.pos) from None
            except RecursionError:
                raise self.error("nested too deeply", self.position) from None
            else:
                # A number near the window's end may go on behind it: of "1e" json takes the 1.
                if is_closed or end <= len(self.text) - _CUT_MARGIN or self.is_at_end:
                    self.position = end
                    return value
            if len(self.text) - self.position > MAX_RECORD_CHARS:
                raise self.error(f"a record of more than {MAX_RECORD_CHARS:,} characters", self.position)
            # Doubling: a long record is tried a handful of times, not once a chunk.
            self.fill(len(self.text) - self.position)

    def _decoded(self) -> tuple[Any | RowError, int, bool]:
        """Returns the value at the position, where it ends, and whether more text could not change it."""
        try:
            value, end = _DECODER.raw_decode(self.text, self.position)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # One record's fault: its end is found all the same, and the others are read.
            skipped, end = _LENIENT.raw_decode(self.text, self.position)
            error = RowError(QuarantineReason.malformed_row, "NaN, infinity or a number of thousands of digits")
            return error, end, isinstance(skipped, dict | list)
        return value, end, isinstance(value, dict | list | str)

    def error(self, message: str, at: int) -> ReaderError:
        """Returns the error for something wrong at a place of the window."""
        line, column = self._place(at)
        return ReaderError(
            f"{self._name}:{line}:{column}: not a JSON array ({message})",
            hint="the file must hold one array of records: [{...}, {...}]; for one record a line, call it .jsonl",
        )

    def _place(self, at: int) -> tuple[int, int]:
        num_lines = self.text.count("\n", 0, at)
        if num_lines == 0:
            return self._line, self._column + at
        return self._line + num_lines, at - self.text.rfind("\n", 0, at)


def iter_array(file: BinaryIO, name: str) -> Iterator[Any | RowError]:
    """Yields the items of a file that must hold one JSON array; one with a number that JSON has not as an error.

    Args:
        file: The file.
        name: What to call it.

    Raises:
        ReaderError: It is none; names position, never content. Items before the fault have been yielded by then.
    """
    window = _Window(file, name)
    if window.peek() != "[":
        value = window.value()
        # Two records one after the other are the likelier mistake, and have another remedy.
        if window.peek():
            raise window.error("Extra data", window.position)
        kind = "value" if isinstance(value, RowError) else type(value).__name__
        raise ReaderError(f"{name} holds one JSON {kind}, not an array of records")
    window.position += 1
    if window.peek() == "]":
        window.position += 1
    else:
        yield window.value()
        while window.peek() == ",":
            window.position += 1
            window.peek()
            yield window.value()
        if window.peek() != "]":
            raise window.error("Expecting ',' delimiter", window.position)
        window.position += 1
    if window.peek():
        raise window.error("Extra data", window.position)


def iter_lines(file: BinaryIO) -> Iterator[Any | RowError]:
    """Yields the records of a file that holds one a line; a line that is no record is an error of its own.

    Args:
        file: The file. Blank lines are no records.
    """
    is_first = True
    while line := file.readline(MAX_RECORD_CHARS + 1):
        if len(line) > MAX_RECORD_CHARS:
            _skip_line(file, line)
            yield RowError(QuarantineReason.malformed_row, f"a line of more than {MAX_RECORD_CHARS:,} bytes")
        elif line.strip():
            yield _parsed(line.removeprefix(codecs.BOM_UTF8) if is_first else line)
        is_first = False


def _skip_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(CHUNK_BYTES)


def _parsed(line: bytes) -> Any | RowError:
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_pairs)
    except UnicodeDecodeError:
        return RowError(QuarantineReason.malformed_row, "a line that is not UTF-8 text")
    except (ValueError, RecursionError):
        return RowError(QuarantineReason.malformed_row, "a line that is not JSON")
