"""Where weights come from. Client libraries are imported only for the kind that is used."""

from weights.sources.base import Inventory, RemoteFile, Sink, Source
from weights.sources.settings import (
    FileSettings,
    GcsSettings,
    HttpsSettings,
    HuggingFaceSettings,
    S3Settings,
    SourceSettings,
    parse_source,
)

__all__ = ["Inventory", "RemoteFile", "Sink", "Source", "SourceSettings", "open_source", "parse_source"]


def open_source(settings: SourceSettings) -> Source:
    """The source that `settings` describe. Nothing is contacted yet, except for credentials.

    Raises:
        Refused: the environment contradicts the settings (an endpoint without TLS, no region).
    """
    match settings:
        case FileSettings():
            from weights.sources.file import FileSource

            return FileSource(settings)
        case HttpsSettings():
            from weights.sources.https import HttpsSource

            return HttpsSource(settings)
        case S3Settings():
            from weights.sources.s3 import S3Source

            return S3Source(settings)
        case GcsSettings():
            from weights.sources.gcs import GcsSource

            return GcsSource(settings)
        case HuggingFaceSettings():
            from weights.sources.huggingface import HuggingFaceSource

            return HuggingFaceSource(settings)
