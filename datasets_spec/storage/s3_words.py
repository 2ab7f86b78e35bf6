"""What went wrong with a bucket, in words; no message holds a key, a secret or what a server answered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from datasets_spec.errors import StorageError

_SET_CREDENTIALS: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role; on every node"
)
# Codes that a server answers (docs of S3, "Error responses"); a look at an object has a status and no code.
_WRONG: Final = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "InvalidToken")
_EXPIRED: Final = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired")
_REFUSED: Final = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403")
_BUSY: Final = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "503")
_ABSENT: Final = ("NoSuchKey", "404", "NotFound")
_EXISTING: Final = ("PreconditionFailed", "412")
_AT_ONCE: Final = ("ConditionalRequestConflict", "OperationAborted", "409")
_PAST_END: Final = ("InvalidRange", "416")
_ELSEWHERE: Final = ("PermanentRedirect", "301", "TemporaryRedirect", "307", "IllegalLocationConstraintException")


class WrittenAtOnceError(Exception):
    """Another write of the same object was under way (409): whoever asks again is told who was first."""


class PastEndError(Exception):
    """The range that was asked for lies behind the object's end."""


@contextmanager
def in_words(what: str, bucket: str, key: str) -> Iterator[None]:
    """Turns what S3's libraries raise into what a user can read and repair.

    Args:
        what: What was tried, as in "read".
        bucket: The bucket.
        key: The object; "" where it is about none.

    Raises:
        FileNotFoundError: There is no such object.
        FileExistsError: There is one, and it was to be new.
        WrittenAtOnceError: To be tried again.
        PastEndError: Nothing lies there.
        StorageError: Everything else.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        raise _said(error, what, bucket, key) from None


def _said(error: Exception, what: str, bucket: str, key: str) -> Exception:
    cause = error if hasattr(error, "response") else error.__cause__
    code = str((getattr(cause, "response", None) or {}).get("Error", {}).get("Code", ""))
    url = f"s3://{bucket}/{key}".rstrip("/")
    if code in _ABSENT:
        return FileNotFoundError(url)
    if code in _EXISTING:
        return FileExistsError(url)
    if code in _PAST_END:
        return PastEndError(url)
    if code in _AT_ONCE:
        return WrittenAtOnceError(url)
    if code:
        return _answered(code, what, bucket, url)
    return _unanswered(error, bucket)


def _answered(code: str, what: str, bucket: str, url: str) -> StorageError:
    where = endpoint()
    if code == "NoSuchBucket":
        return StorageError(
            f"there is no bucket '{bucket}' at {where}", hint="correct the address, or AWS_ENDPOINT_URL on every node"
        )
    if code in _WRONG:
        return StorageError(f"{where} does not know the credentials for {url} ({code})", hint=_SET_CREDENTIALS)
    if code in _EXPIRED:
        return StorageError(f"the credentials for {url} have expired ({code})", hint="renew them, and run again")
    if code in _REFUSED:
        return StorageError(
            f"the credentials do not allow to {what} {url}, or are wrong ({code})",
            hint="needed are s3:GetObject and s3:ListBucket, to write s3:PutObject and s3:DeleteObject; without "
            "s3:ListBucket an object that is not there looks like this, too",
        )
    if code in _BUSY:
        return StorageError(f"{where} did not manage to {what} {url}, tried several times ({code})", hint="run again")
    if code in _ELSEWHERE:
        return StorageError(f"the bucket '{bucket}' is in another region ({code})", hint="set AWS_DEFAULT_REGION")
    return StorageError(f"{where} refuses to {what} {url} ({code})")


def _unanswered(error: Exception, bucket: str) -> StorageError:
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return StorageError(f"no credentials for s3://{bucket}", hint=_SET_CREDENTIALS)
    if isinstance(error, exceptions.ProfileNotFound | exceptions.CredentialRetrievalError):
        return StorageError(f"no credentials for s3://{bucket} ({type(error).__name__})", hint=_SET_CREDENTIALS)
    if isinstance(error, exceptions.ParamValidationError):
        return StorageError(f"'{bucket}' cannot be the name of a bucket", hint="correct the address")
    if isinstance(error, exceptions.BotoCoreError | TimeoutError | ConnectionError):
        return StorageError(
            f"cannot reach {endpoint()} for s3://{bucket} ({type(error).__name__})",
            hint="check AWS_ENDPOINT_URL and the network, on every node",
        )
    return StorageError(f"cannot use s3://{bucket} ({type(error).__name__})")


def endpoint() -> str:
    """Returns the server that addresses ``s3://`` lead to, without what may be secret in its address."""
    written = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not written:
        return "AWS"
    parts = urlsplit(written)
    try:
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        port = ""
    return f"{parts.scheme}://{parts.hostname}{port}"
