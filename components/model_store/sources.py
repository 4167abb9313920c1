"""Where weights come from. Whatever the source, the pinned SHA256SUMS decides what is accepted."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from components.common.names import DnsLabel
from components.common.quantities import Bytes
from components.common.schema import FrozenModel


class _RemoteSource(FrozenModel):
    egress_cidrs: tuple[str, ...] = ()
    """Networks that the fetch Job may connect to: the source's, or those of a proxy or private endpoint.
    Without it, for the object store of the cluster's own cloud: the private endpoints that the platform
    makes."""
    credentials_secret: DnsLabel | None = None
    """Name of a Secret in the namespace whose keys become the Job's environment (`HF_TOKEN`, `AWS_…`)."""

    def _endpoint(self) -> str | None:
        return None

    def ports(self) -> tuple[int, ...]:
        """TCP ports that the fetch needs."""
        endpoint = self._endpoint()
        return ((urlsplit(endpoint).port or 443) if endpoint else 443,)


class HuggingFaceSource(_RemoteSource):
    """A repository on a Hugging Face hub, at the model's `revision` (a commit)."""

    kind: Literal["huggingface"]
    repo: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    """Repository, `owner/name`."""
    endpoint: Annotated[str, Field(pattern=r"^https://")] | None = None
    """Base URL of a mirror of the hub."""

    def _endpoint(self) -> str | None:
        return self.endpoint

    def document(self, revision: str) -> dict[str, str]:
        """What the fetcher reads as its source."""
        return {"kind": self.kind, "repo": self.repo, "revision": revision} | _optional(
            endpoint=self.endpoint
        )


class S3Source(_RemoteSource):
    """A prefix in an S3-compatible object store."""

    kind: Literal["s3"]
    uri: Annotated[str, Field(pattern=r"^s3://[a-z0-9.-]+/.+")]
    """`s3://bucket/prefix`."""
    region: str | None = None
    """Region of the bucket."""
    endpoint: Annotated[str, Field(pattern=r"^https://")] | None = None
    """Base URL of another S3-compatible store."""

    def _endpoint(self) -> str | None:
        return self.endpoint

    def document(self, revision: str) -> dict[str, str]:
        """What the fetcher reads as its source."""
        return {"kind": self.kind, "uri": self.uri} | _optional(region=self.region, endpoint=self.endpoint)


class GcsSource(_RemoteSource):
    """A prefix in Google Cloud Storage."""

    kind: Literal["gcs"]
    uri: Annotated[str, Field(pattern=r"^gs://[a-z0-9._-]+/.+")]
    """`gs://bucket/prefix`."""

    def document(self, revision: str) -> dict[str, str]:
        """What the fetcher reads as its source."""
        return {"kind": self.kind, "uri": self.uri}


class HttpsSource(_RemoteSource):
    """A folder on a web server."""

    kind: Literal["https"]
    url: Annotated[str, Field(pattern=r"^https://[^@]+$")]
    """Base URL under which the manifest's paths lie."""

    def _endpoint(self) -> str | None:
        return self.url

    def document(self, revision: str) -> dict[str, str]:
        """What the fetcher reads as its source."""
        return {"kind": self.kind, "url": self.url}


class FileSource(FrozenModel):
    """A folder on a persistent volume that somebody filled; mounted read-only."""

    kind: Literal["file"]
    storage_class: DnsLabel
    """Storage class whose volumes hold the published models."""
    volume: DnsLabel | None = None
    """Name of one PersistentVolume, where the class does not provision them."""
    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
    """Folder on that volume."""
    size: Bytes = 2**30
    """Storage to claim; at most the volume's capacity."""

    def ports(self) -> tuple[int, ...]:
        """No network is needed."""
        return ()

    def document(self, revision: str) -> dict[str, str]:
        """What the fetcher reads as its source."""
        return {"kind": self.kind, "path": f"{SOURCE_MOUNT}/{self.path}"}


SOURCE_MOUNT = "/source"

RemoteSource = HuggingFaceSource | S3Source | GcsSource | HttpsSource
Source = Annotated[RemoteSource | FileSource, Field(discriminator="kind")]


def _optional(**values: str | None) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
