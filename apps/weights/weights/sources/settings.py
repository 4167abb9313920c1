"""The source of a model's files, as given by `--source-json`: a union discriminated by `kind`."""

import ipaddress
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from weights.errors import Refused


def is_loopback(host: str | None) -> bool:
    """Whether `host` never leaves the machine."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def trusted_address(url: str) -> str:
    """`url` when it may be contacted: https, or http to loopback; without user info, query and fragment.

    Raises:
        ValueError: it may not. The message holds no part of the address that could be a secret.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError(f"scheme {parts.scheme!r} is refused; use https (http is for loopback only)")
    if not parts.hostname:
        raise ValueError("has no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds user info; pass credentials by the environment, from a Secret")
    if parts.query or parts.fragment:
        raise ValueError("holds a query or fragment; pass credentials by the environment, from a Secret")
    return url.rstrip("/")


def _bucket_address(scheme: str, uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != scheme or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"expected {scheme}://<bucket>/<prefix>")
    if any(part in ("", ".", "..") for part in parts.path.strip("/").split("/")) and parts.path.strip("/"):
        raise ValueError("the prefix has an empty, `.` or `..` part")
    return uri.rstrip("/")


def _s3_uri(uri: str) -> str:
    return _bucket_address("s3", uri)


def _gcs_uri(uri: str) -> str:
    return _bucket_address("gs", uri)


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise ValueError("expected an absolute path without `..`")
    return path


Address = Annotated[str, AfterValidator(trusted_address)]


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class HuggingFaceSettings(_Source):
    """A model repository of a Hugging Face hub, at one commit.

    Attributes:
        repo: `<organisation>/<name>`.
        revision: the commit, 40 lowercase hexadecimal digits; branches and tags move and are refused.
        endpoint: another hub; `HF_ENDPOINT` or https://huggingface.co by default. The token comes from
            `HF_TOKEN`.
    """

    kind: Literal["huggingface"]
    repo: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    endpoint: Address | None = None


class S3Settings(_Source):
    """A prefix of an S3 bucket.

    Attributes:
        uri: `s3://<bucket>/<prefix>`.
        region: AWS region; from the environment by default.
        endpoint: another S3-compatible service. Credentials come from the SDK's chain (environment, web
            identity, instance); without any, requests are anonymous.
    """

    kind: Literal["s3"]
    uri: Annotated[str, AfterValidator(_s3_uri)]
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] | None = None
    endpoint: Address | None = None


class GcsSettings(_Source):
    """A prefix of a Google Cloud Storage bucket.

    Attributes:
        uri: `gs://<bucket>/<prefix>`. Credentials are `GOOGLE_CREDENTIALS` (a key as JSON) or the application
            default ones; without any, requests are anonymous.
    """

    kind: Literal["gcs"]
    uri: Annotated[str, AfterValidator(_gcs_uri)]


class HttpsSettings(_Source):
    """A directory of a web server. It cannot be listed, so exactly the pinned files are downloaded.

    Attributes:
        url: address of the directory. `WEIGHTS_HTTPS_AUTHORIZATION`, when set, is sent as the Authorization
            header.
    """

    kind: Literal["https"]
    url: Address


class FileSettings(_Source):
    """A directory of a mounted volume.

    Attributes:
        path: absolute path.
    """

    kind: Literal["file"]
    path: Annotated[str, AfterValidator(_absolute)]


SourceSettings = Annotated[
    HuggingFaceSettings | S3Settings | GcsSettings | HttpsSettings | FileSettings, Field(discriminator="kind")
]

_ADAPTER: TypeAdapter[HuggingFaceSettings | S3Settings | GcsSettings | HttpsSettings | FileSettings] = (
    TypeAdapter(SourceSettings)
)


def parse_source(text: str) -> HuggingFaceSettings | S3Settings | GcsSettings | HttpsSettings | FileSettings:
    """Reads `--source-json`.

    Raises:
        Refused: naming each wrong key, never its value, which may hold a secret by mistake.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        problems = [
            ".".join(str(part) for part in problem["loc"]) + ": " + problem["msg"]
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise Refused("source", "; ".join(problems).removeprefix(": ")) from None
