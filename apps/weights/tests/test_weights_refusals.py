"""F40: what is not exactly what was pinned is never published, and the version before stays as it is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import BIG, Cli, read, sums_of, write

from weights.cli import main

Refusal = Callable[[], str]


def flip(path: Path, offset: int = 1000) -> None:
    """Flips one bit."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def bit_flip(origin: Path) -> None:
    flip(origin / BIG)


def truncated(origin: Path) -> None:
    os.truncate(origin / BIG, 12345)


def missing(origin: Path) -> None:
    (origin / "config.json").unlink()


def extra(origin: Path) -> None:
    (origin / "sub/evil.py").write_text("import os")


def symlink(origin: Path) -> None:
    (origin / "config.json").rename(origin.parent / "elsewhere")
    (origin / "config.json").symlink_to(origin.parent / "elsewhere")


def symlinked_directory(origin: Path) -> None:
    (origin / "sub").rename(origin.parent / "sub")
    (origin / "sub").symlink_to(origin.parent / "sub")


def extra_symlink(origin: Path) -> None:
    (origin / "zzz").symlink_to("config.json")


def fifo(origin: Path) -> None:
    os.mkfifo(origin / "pipe")


FAULTS = [
    (bit_flip, BIG, "SHA-256 is "),
    (truncated, BIG, "SHA-256 is "),
    (missing, "config.json", "is missing"),
    (extra, "sub/evil.py", "is not in the pinned list"),
    (symlink, "config.json", "is a symbolic link"),
    (symlinked_directory, "sub", "is a symbolic link"),
    (extra_symlink, "zzz", "is a symbolic link"),
    (fifo, "pipe", "is neither a regular file nor a directory"),
]


@pytest.mark.parametrize(
    ("fault", "subject", "reason"), FAULTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_f40_fetch_refuses_and_keeps_the_last_good_version(
    cli: Cli,
    files: dict[str, bytes],
    refusal: Refusal,
    fault: Callable[[Path], None],
    subject: str,
    reason: str,
) -> None:
    assert cli.fetch() == 0
    good, inode = cli.published, cli.published.stat().st_ino
    newer = {**files, "config.json": b"{}"}
    write(cli.origin, newer)
    cli.pin(newer)
    fault(cli.origin)

    assert cli.fetch() == 1
    assert refusal().startswith(f"{subject}: {reason}")
    assert not cli.published.exists()
    assert [entry.name for entry in good.parent.iterdir()] == [good.name]
    assert read(good) == files
    assert good.stat().st_ino == inode


@pytest.mark.parametrize(
    ("fault", "subject", "reason"), FAULTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_f40_verify_refuses(
    cli: Cli, refusal: Refusal, fault: Callable[[Path], None], subject: str, reason: str
) -> None:
    assert cli.verify(cli.origin) == 0
    fault(cli.origin)
    assert cli.verify(cli.origin) == 1
    assert refusal().startswith(f"{subject}: {reason}")


def test_f40_a_mismatch_names_both_checksums(cli: Cli, refusal: Refusal) -> None:
    write(cli.origin, {"config.json": b"other"})
    assert cli.fetch() == 1
    actual = sums_of({"x": b"other"}).files["x"]
    pinned = cli.manifest.files["config.json"]
    assert refusal() == f"config.json: SHA-256 is {actual}, pinned is {pinned}"


def test_f40_a_damaged_download_is_not_kept(cli: Cli, files: dict[str, bytes]) -> None:
    flip(cli.origin / BIG)
    assert cli.fetch() == 1
    assert all(files[BIG] not in path.read_bytes() for path in cli.staging.rglob("*.part"))
    write(cli.origin, files)
    assert cli.fetch() == 0
    assert read(cli.published) == files


@pytest.mark.parametrize("name", ["SHA256SUMS", "SHA256SUMS.sig", ".gitattributes"])
def test_only_the_sums_and_git_attributes_may_lie_beside_the_pinned_files(
    cli: Cli, files: dict[str, bytes], name: str
) -> None:
    (cli.origin / name).write_text("not pinned")
    assert cli.fetch() == 0
    assert read(cli.published) == files


def test_a_file_of_that_name_in_a_subdirectory_is_refused(cli: Cli, refusal: Refusal) -> None:
    (cli.origin / "sub/SHA256SUMS").touch()
    assert cli.fetch() == 1
    assert refusal() == "sub/SHA256SUMS: is not in the pinned list"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            '{"kind": "ftp"}',
            "source: Input tag 'ftp' found using 'kind' does not match any of the expected tags",
        ),
        ('{"kind": "file", "path": "relative"}', "source: file.path: Value error, expected an absolute path"),
        ('{"kind": "file", "path": "/x", "mode": "r"}', "source: file.mode: Extra inputs are not permitted"),
        ("{", "source: Invalid JSON"),
        (
            '{"kind": "huggingface", "repo": "a/b", "revision": "main"}',
            "source: huggingface.revision: String should match",
        ),
        (
            '{"kind": "huggingface", "repo": "../b", "revision": "' + "a" * 40 + '"}',
            "source: huggingface.repo: String",
        ),
        (
            '{"kind": "https", "url": "http://models.example.org/x"}',
            "source: https.url: Value error, scheme 'http' is refused",
        ),
        (
            '{"kind": "https", "url": "https://u:p@example.org/x"}',
            "source: https.url: Value error, holds user info",
        ),
        (
            '{"kind": "https", "url": "https://example.org/x?sig=1"}',
            "source: https.url: Value error, holds a query",
        ),
        (
            '{"kind": "s3", "uri": "https://bucket/x"}',
            "source: s3.uri: Value error, expected s3://<bucket>/<prefix>",
        ),
        ('{"kind": "s3", "uri": "s3://b/../x"}', "source: s3.uri: Value error, the prefix has an empty"),
        (
            '{"kind": "s3", "uri": "s3://b/x", "endpoint": "http://minio:9000"}',
            "source: s3.endpoint: Value error, scheme",
        ),
        (
            '{"kind": "gcs", "uri": "s3://b/x"}',
            "source: gcs.uri: Value error, expected gs://<bucket>/<prefix>",
        ),
        (
            '{"kind": "file", "path": "/nowhere"}',
            "source: no directory /nowhere; is the volume mounted there?",
        ),
    ],
)
def test_a_bad_source_is_refused(cli: Cli, refusal: Refusal, source: str, reason: str) -> None:
    arguments = cli.fetch_arguments()
    arguments[arguments.index("--source-json") + 1] = source
    assert main(arguments, cli.termination_log) == 1
    assert refusal().startswith(reason)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "arguments: the following arguments are required: command"),
        (["serve"], "arguments: argument command: invalid choice: 'serve'"),
        (["verify", "--path", "/x"], "arguments: the following arguments are required: --sums"),
        (
            ["verify", "--path", "/x", "--sums", "/nowhere"],
            "SHA256SUMS: cannot read /nowhere: No such file or directory",
        ),
    ],
)
def test_a_bad_command_line_is_refused_in_one_line(
    cli: Cli, refusal: Refusal, arguments: list[str], reason: str
) -> None:
    assert main(arguments, cli.termination_log) == 1
    assert refusal().startswith(reason)


@pytest.mark.parametrize(
    "more", [("--keep", "1"), ("--workers", "0"), ("--retain", "x"), ("--superseded-hours", "nan")]
)
def test_options_out_of_range_are_refused(cli: Cli, refusal: Refusal, more: tuple[str, str]) -> None:
    assert cli.fetch(*more) == 1
    assert refusal().startswith(f"arguments: {'argument ' if more[0] != '--retain' else ''}{more[0]}: ")


def test_a_name_that_leaves_the_store_is_refused(cli: Cli, refusal: Refusal) -> None:
    assert cli.fetch("--name", "../x") == 1
    assert refusal().startswith("arguments: --name: ")


def test_a_missing_store_is_refused(cli: Cli, refusal: Refusal) -> None:
    cli.store.rmdir()
    assert cli.fetch() == 1
    assert refusal() == f"store: no directory {cli.store}; is the volume mounted there?"


def test_an_unexpected_error_is_a_refusal_without_secrets(
    cli: Cli, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError(f"GET https://u:p@host/x?sig=1 with {os.environ['HF_TOKEN']}\nfailed")

    monkeypatch.setattr("weights.cli.fetch", fail)
    assert cli.fetch() == 1
    assert refusal() == "fetch: RuntimeError: GET https://host/x?[redacted] with [redacted] failed"


def test_no_termination_log_is_created(cli: Cli) -> None:
    cli.termination_log.unlink()
    assert cli.verify(cli.origin / "nowhere") == 1
    assert not cli.termination_log.exists()
