"""A prefix of a Google Cloud Storage bucket."""

import json
import os
import warnings
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # Announces, on import, when support for this Python will end.
    warnings.simplefilter("ignore", FutureWarning)
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from google.cloud import storage  # type: ignore[import-untyped, unused-ignore]
    from google.oauth2 import service_account
from requests.exceptions import RequestException  # type: ignore[import-untyped, unused-ignore]
from urllib3.exceptions import HTTPError

from weights.errors import Refused, Transient
from weights.redact import describe
from weights.sources.base import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, Inventory, RemoteFile, Sink
from weights.sources.settings import GcsSettings, trusted_address

EMULATOR = "STORAGE_EMULATOR_HOST"
CREDENTIALS = "GOOGLE_CREDENTIALS"
"""A service account's key as JSON, for clusters without workload identity; named as Terraform names it."""
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_RETRIED = frozenset({408, 425, 429})
_TIMEOUT = (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)


class GcsSource:
    """The objects below one prefix."""

    def __init__(self, settings: GcsSettings) -> None:
        parts = urlsplit(settings.uri)
        self._prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        if emulator := os.environ.get(EMULATOR):
            try:
                trusted_address(emulator)
            except ValueError as error:
                raise Refused("source", f"{EMULATOR}: {error}") from None
        try:
            self._client: Any = storage.Client(credentials=_key())
        except (DefaultCredentialsError, OSError):  # OSError: credentials, but no project; reading needs none
            self._client = storage.Client.create_anonymous_client()
        self._bucket: Any = self._client.bucket(parts.netloc)

    def inventory(self, paths: Collection[str]) -> Inventory:
        """Lists every object below the prefix."""
        files: dict[str, RemoteFile] = {}
        try:
            for blob in self._client.list_blobs(
                self._bucket, prefix=self._prefix, retry=None, timeout=_TIMEOUT
            ):
                path = str(blob.name).removeprefix(self._prefix)
                if (path == "" or path.endswith("/")) and blob.size == 0:
                    continue  # the mark that consoles leave for a folder
                files[path] = RemoteFile(path, int(blob.size), str(blob.generation))
        except (GoogleAPICallError, GoogleAuthError, RequestException, HTTPError) as error:
            raise self._failure("source", error) from None
        return Inventory(files, complete=True)

    def read(self, remote: RemoteFile, offset: int, sink: Sink) -> None:
        """One download, bound to the generation that was listed."""
        if remote.size_bytes == 0:
            return  # a range of nothing is an error there
        generation = int(remote.validator) if remote.validator else None
        blob = self._bucket.blob(self._prefix + remote.path, generation=generation)
        try:
            # The fetcher retries, and resumes when it does; SHA-256 is checked afterwards.
            blob.download_to_file(
                sink, start=offset or None, raw_download=True, checksum=None, retry=None, timeout=_TIMEOUT
            )
        except (GoogleAPICallError, GoogleAuthError, RequestException, HTTPError, ConnectionError) as error:
            raise self._failure(remote.path, error) from None

    def _failure(self, subject: str, error: Exception) -> Refused | Transient:
        if (
            isinstance(error, GoogleAuthError)
            and not isinstance(error, TransportError)
            and not error.retryable
        ):
            return Refused(
                subject, f"{describe(error)}; check the credentials and roles/storage.objectViewer"
            )
        if not isinstance(error, GoogleAPICallError):
            return Transient(describe(error))
        status = int(error.code or 0)
        if status >= 500 or status in _RETRIED:
            return Transient(f"Cloud Storage answers {status}")
        if status == 404:
            if subject == "source":
                return Refused(subject, f"no bucket {self._bucket.name}")
            return Refused(subject, "is missing at the source, or changed during the download")
        if status in (401, 403):
            return Refused(subject, f"Cloud Storage answers {status}; check roles/storage.objectViewer")
        return Refused(subject, f"Cloud Storage answers {status}")


def _key() -> Any:
    """Credentials of the key in the environment, or None for the SDK's own chain."""
    text = os.environ.get(CREDENTIALS)
    if not text:
        return None
    try:
        read: Any = service_account.Credentials.from_service_account_info  # untyped
        return read(json.loads(text), scopes=[_SCOPE])
    except (ValueError, GoogleAuthError):  # the messages may quote the key
        raise Refused("source", f"{CREDENTIALS} is not the JSON of a service account's key") from None
