"""What is set up, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from log_setup.client import Answer, Api, patiently
from log_setup.errors import Refused

ELASTICSEARCH_FILE: Final = "elasticsearch.json"
KIBANA_FILE: Final = "kibana.ndjson"
_BOUNDARY: Final = "autoglm-platform-saved-objects"


@dataclass(frozen=True)
class Documents:
    """What the platform's program has rendered."""

    calls: tuple[Mapping[str, Any], ...]
    """Of Elasticsearch: method, path and body."""
    saved_objects: str
    """Of Kibana, one JSON document a line."""


def read_documents(folder: Path) -> Documents:
    """From the two files of the folder.

    :raises Refused: a file is missing or not what it should be.
    """
    try:
        calls = json.loads((folder / ELASTICSEARCH_FILE).read_text(encoding="utf-8"))
        saved = (folder / KIBANA_FILE).read_text(encoding="utf-8")
        for line in saved.splitlines():
            json.loads(line)
    except (OSError, ValueError) as error:
        raise Refused(f"{folder}: {error}") from None
    if not isinstance(calls, list) or not all(
        isinstance(one, dict) and one.get("method") == "PUT" and str(one.get("path", "")).startswith("/")
        for one in calls
    ):
        raise Refused(
            f"{folder / ELASTICSEARCH_FILE}: must be a list of calls with method PUT, path and body"
        )
    return Documents(tuple(calls), saved)


def set_up(documents: Documents, elasticsearch: Api, kibana: Api, deadline: float) -> Iterator[str]:
    """Makes the calls, each of which replaces what was there before; yields what has been done.

    :raises SetupError: a call was refused, or not answered until `deadline` (on the monotonic clock).
    """
    for one in documents.calls:
        path, body = str(one["path"]), json.dumps(one["body"]).encode()
        patiently(lambda path=path, body=body: elasticsearch.call("PUT", path, body), deadline)  # type: ignore[misc]
        yield f"{path}: set"
    answer = patiently(lambda: _import(kibana, documents.saved_objects), deadline)
    yield f"saved views: {answer.document['successCount']} imported"


def _import(kibana: Api, saved_objects: str) -> Answer:
    body = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="views.ndjson"\r\n'
        "Content-Type: application/ndjson\r\n\r\n"
        f"{saved_objects}\r\n--{_BOUNDARY}--\r\n"
    ).encode()
    answer = kibana.call(
        "POST",
        "/api/saved_objects/_import?overwrite=true",
        body,
        content_type=f"multipart/form-data; boundary={_BOUNDARY}",
        # Kibana refuses writes without it: forms of other sites cannot set it.
        headers={"kbn-xsrf": "true"},
    )
    document = answer.document if isinstance(answer.document, dict) else {}
    if document.get("success") is not True:
        # The status is 200 even where single objects were refused.
        errors = [
            f"{one.get('type')} {one.get('id')}: {one.get('error', {}).get('type')}"
            for one in document.get("errors", [])
        ]
        raise Refused(f"Kibana did not import all saved views: {'; '.join(errors) or 'no reason given'}")
    return answer
