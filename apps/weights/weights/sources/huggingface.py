"""A repository of a Hugging Face hub.

`huggingface_hub` lists the commit and builds addresses and credentials. The bytes are read by our own ranged
reader: the library's downloads start over when their process dies (each attempt has a new temporary name),
and a Job that is evicted 15 GB into a model should not.
"""

import os
import tempfile
from collections.abc import Collection

from weights.errors import Refused, Transient
from weights.redact import describe
from weights.sources.base import Inventory, RemoteFile, Sink
from weights.sources.settings import HuggingFaceSettings, trusted_address

# Read once, when the library is imported. HOME may be missing or read-only in the container.
os.environ.setdefault("HF_HOME", os.path.join(tempfile.gettempdir(), "huggingface"))
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import httpx2
from huggingface_hub import HfApi, RepoFile, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from weights.sources.web import WebClient

DEFAULT_ENDPOINT = "https://huggingface.co"
_RETRIED = frozenset({408, 425, 429})


class HuggingFaceSource:
    """One commit of one model repository."""

    def __init__(self, settings: HuggingFaceSettings) -> None:
        self._repo, self._revision = settings.repo, settings.revision
        try:
            self._endpoint = settings.endpoint or trusted_address(
                os.environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT)
            )
        except ValueError as error:
            raise Refused("source", f"HF_ENDPOINT: {error}") from None
        token = os.environ.get("HF_TOKEN")
        # False, not None: None would search files for one.
        self._api = HfApi(endpoint=self._endpoint, token=token or False)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._web = WebClient(headers, "HF_TOKEN and the repository's terms")

    def inventory(self, paths: Collection[str]) -> Inventory:
        """Lists the commit; large files come with the checksum that the hub claims."""
        try:
            entries = self._api.list_repo_tree(self._repo, recursive=True, revision=self._revision)
            files = {
                entry.path: RemoteFile(
                    path=entry.path,
                    size_bytes=entry.size,
                    validator=entry.lfs.sha256 if entry.lfs else entry.blob_id,
                    sha256=entry.lfs.sha256 if entry.lfs else None,
                )
                for entry in entries
                if isinstance(entry, RepoFile)
            }
        except GatedRepoError:
            raise Refused("source", f"{self._repo} is gated; accept its terms and set HF_TOKEN") from None
        except RepositoryNotFoundError:
            raise Refused("source", f"no repository {self._repo}, or HF_TOKEN may not read it") from None
        except RevisionNotFoundError:
            raise Refused("source", f"{self._repo} has no commit {self._revision}") from None
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status >= 500 or status in _RETRIED:
                raise Transient(f"the hub answers {status}") from None
            raise Refused("source", f"the hub answers {status} when {self._repo} is listed") from None
        except httpx2.HTTPError as error:
            raise Transient(describe(error)) from None
        return Inventory(files, complete=True)

    def read(self, remote: RemoteFile, offset: int, sink: Sink) -> None:
        """One GET by commit. What a commit holds never changes, so a range needs no validator."""
        url = hf_hub_url(self._repo, remote.path, revision=self._revision, endpoint=self._endpoint)
        self._web.read(url, remote.path, offset, None, sink)
