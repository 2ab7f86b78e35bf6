"""What goes wrong with a bucket is said in words that name neither secrets nor keys of credentials."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest

from datasets_spec.errors import StorageError
from datasets_spec.storage import s3_words
from datasets_spec.storage.place import as_place, open_storage, s3_storage
from datasets_spec.storage.s3_bucket import forget_sessions
from datasets_spec.storage.s3_words import WrittenAtOnceError
from tests.makers.s3_server import S3Server

SECRET = "wrong-and-secret-0123456789"
VERBS: dict[str, Callable[[Any], object]] = {
    "read": lambda storage: storage.read("a"),
    "create": lambda storage: storage.create("a", b""),
    "list": lambda storage: list(storage.objects()),
    "state": lambda storage: storage.state("a"),
}


@pytest.mark.parametrize(
    ("verb", "name"), [*((verb, "AWS_SECRET_ACCESS_KEY") for verb in VERBS), ("read", "AWS_ACCESS_KEY_ID")]
)
def test_wrong_credentials(s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch, verb: str, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(StorageError, match="credentials") as caught:
        VERBS[verb](open_storage(f"s3://{s3_anew.bucket}/x"))
    assert SECRET not in str(caught.value)
    assert s3_anew.key not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_credentials(s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name)
    with pytest.raises(StorageError, match=f"no credentials for s3://{s3_anew.bucket}\n.*AWS_SECRET_ACCESS_KEY"):
        open_storage(f"s3://{s3_anew.bucket}").read("a")


@pytest.mark.parametrize("verb", VERBS)
def test_no_such_bucket(s3: S3Server, verb: str) -> None:
    with pytest.raises((StorageError, FileNotFoundError)) as caught:
        VERBS[verb](open_storage("s3://not-there-at-all"))
    assert isinstance(caught.value, StorageError)
    assert str(caught.value).startswith(f"there is no bucket 'not-there-at-all' at {s3.endpoint}\n")


def test_an_endpoint_that_nobody_serves(s3_anew: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageError, match=r"cannot reach http://127\.0\.0\.1:9 for s3://some-bucket") as caught:
        open_storage("s3://some-bucket").read("a")
    assert "hidden" not in str(caught.value)


def test_a_bucket_read_again_in_this_process_is_told_from_one_that_is_gone(s3: S3Server) -> None:
    assert open_storage(f"s3://{s3.bucket}").state("not/there") is None
    assert open_storage(f"s3://{s3.bucket}").state("not/there") is None


def test_what_changes_while_it_is_read_is_said(s3: S3Server) -> None:
    storage = open_storage(f"s3://{s3.bucket}/changing")
    storage.replace("file", b"a" * (5 << 20))
    with storage.open("file") as file:
        file.read(10)
        storage.replace("file", b"b" * (5 << 20))
        file.seek(4_500_000)
        with pytest.raises(StorageError, match="changed while it was read"):
            file.read(10)


def test_a_write_at_the_same_time_is_tried_again(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets_spec.storage import s3 as module

    storage = s3_storage(s3.bucket)
    call, answers = storage._bucket.call, [WrittenAtOnceError("a"), WrittenAtOnceError("a")]

    def busy(verb: str, what: str, key: str = "", **options: Any) -> Any:
        if verb == "put_object" and answers:
            raise answers.pop()
        return call(verb, what, key, **options)

    monkeypatch.setattr(module, "_WAIT_S", 0.0)
    monkeypatch.setattr(storage._bucket, "call", busy)
    storage.create("at-once", b"mine")
    assert storage.read("at-once") == b"mine"


def test_a_write_whose_answer_was_lost_is_known_as_its_own(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(f"s3://{s3.bucket}/lost-answers")
    call: Callable[..., Any] = storage._bucket.call  # type: ignore[attr-defined]

    def twice(verb: str, what: str, key: str = "", **options: Any) -> Any:
        if verb in ("put_object", "complete_multipart_upload"):
            call(verb, what, key, **options)
            raise FileExistsError(key)  # as the repetition is answered
        return call(verb, what, key, **options)

    monkeypatch.setattr(storage._bucket, "call", twice)  # type: ignore[attr-defined]
    storage.create("small", b"mine")
    with storage.writer("large") as file:
        file.write(bytes(17 << 20))
    with pytest.raises(FileExistsError):
        open_storage(f"s3://{s3.bucket}/lost-answers").create("small", b"another's")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredToken", "have expired"),
        ("AccessDenied", "do not allow to read s3://b/k"),
        ("403", "do not allow to read s3://b/k"),
        ("SlowDown", "tried several times"),
        ("PermanentRedirect", "in another region"),
        ("NeverSeenBefore", "refuses to read s3://b/k .NeverSeenBefore."),
    ],
)
def test_what_a_server_answers_is_told(code: str, words: str) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(StorageError, match=words), s3_words.in_words("read", "b", "k"):
        raise ClientError({"Error": {"Code": code, "Message": SECRET}}, "GetObject")


@pytest.mark.parametrize("written", ["gs://bucket/a", "GS://bucket", "abfs://c/a", "https://host/a", "file:///a"])
def test_other_schemes_are_refused_by_name(written: str) -> None:
    scheme = written.split(":")[0].lower()
    with pytest.raises(StorageError, match=f"s3://, not from {scheme}://"):
        as_place(written)
    with pytest.raises(StorageError, match=f"not from {scheme}://"):
        open_storage(written)


@pytest.mark.parametrize("written", ["s3://", "s3:///key", "s3://a", "s3://bu cket/a", "s3://user:pass@host/a"])
def test_an_address_without_a_bucket_is_refused(written: str) -> None:
    with pytest.raises(StorageError, match="no address of a bucket"):
        as_place(written)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "s3fs":
            raise ModuleNotFoundError(name)
        return real(name, *args, **options)

    forget_sessions()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StorageError, match=r"extra `s3`.*\n.*recombine\[s3\]"):
        open_storage("s3://bucket")
