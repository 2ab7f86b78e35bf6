"""The secret of a store: patients get pseudonyms by it that nobody without it can find again by trying ids."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets

from datasets_spec.atomic import sync
from datasets_spec.errors import StoreError
from datasets_spec.storage.place import Place, S3Place

SECRET_NAME = "secret.key"
NUM_SECRET_BYTES = 32
OWNER_ONLY = 0o600


def make_secret(store_dir: Place) -> Place:
    """Makes the secret of a store where there is none; the caller holds the store's lock.

    It lies beside the generations, so that rebuilding keeps the pseudonyms, and is part of no export.

    Args:
        store_dir: The store.

    Returns:
        Where it lies; on a disk only its owner can read it, in a bucket who may read the bucket.

    Raises:
        StoreError: It cannot be written.
        StorageError: The store's bucket cannot be used.
    """
    if isinstance(store_dir, S3Place):
        place = store_dir / SECRET_NAME
        with contextlib.suppress(FileExistsError):
            place.storage.create(place.key, secrets.token_bytes(NUM_SECRET_BYTES))
        return place
    path = store_dir / SECRET_NAME
    temporary = path.with_name(f".{SECRET_NAME}.{os.getpid()}")
    try:
        if path.exists():
            with contextlib.suppress(PermissionError):  # another user's, who may have let a group read it
                path.chmod(OWNER_ONLY)
            return path
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(NUM_SECRET_BYTES))
        sync(temporary)
        temporary.replace(path)
        sync(store_dir)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or type(error).__name__}") from None
    return path


def read_secret(path: Place) -> bytes:
    """Reads the secret of a store.

    Args:
        path: Where it lies.

    Raises:
        StoreError: It is not there, cannot be read or is damaged.
    """
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or type(error).__name__}") from None
    if len(secret) != NUM_SECRET_BYTES:
        raise StoreError(
            f"{path} is damaged: {len(secret)} bytes, not {NUM_SECRET_BYTES}",
            hint="delete it and run: recombine data prepare; pseudonyms of patients are then new, all else stays",
        )
    return secret


def pseudonym(secret: bytes, group: str) -> str:
    """Returns what is stored for a patient.

    Args:
        secret: The store's secret.
        group: The patient's hash inside the job, which trying ids would find.
    """
    return hmac.new(secret, group.encode(), hashlib.sha256).hexdigest()[:16]
