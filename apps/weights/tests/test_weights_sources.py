"""What every source that is reached over a network has in common, and what is particular to each."""

import datetime
import ipaddress
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from loopback import Loopback, serving
from support import BIG, NAME, NETWORK_KINDS, SECRET, Cli, read

from weights.download import Backoff
from weights.errors import Refused
from weights.fetch import fetch
from weights.sources import SourceSettings, parse_source
from weights.store import Store

LISTED = ("s3", "gcs", "huggingface")
QUICK = Backoff(attempts=3, first_seconds=0.01, longest_seconds=0.02)

Fetch = Callable[[], Path]


def source_of(settings: dict[str, str]) -> SourceSettings:
    """Settings as they come from the command line."""
    return parse_source(json.dumps(settings))


@pytest.fixture(params=NETWORK_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fetched(cli: Cli, server: Loopback, kind: str) -> Fetch:
    """Fetches the model from the server, with short waits."""

    def call() -> Path:
        settings = source_of(server.source(kind))
        return fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)

    return call


def test_every_source_publishes_exactly_the_pinned_files(fetched: Fetch, files: dict[str, bytes]) -> None:
    assert read(fetched()) == files


def test_f40_a_flipped_bit_is_refused_and_the_repaired_file_accepted(
    fetched: Fetch, server: Loopback, cli: Cli, files: dict[str, bytes], kind: str
) -> None:
    server.files[BIG] = bytes([files[BIG][0] ^ 1]) + files[BIG][1:]
    with pytest.raises(
        Refused, match=rf"^{BIG}: SHA-256 is [0-9a-f]{{64}}, pinned is {cli.manifest.files[BIG]}"
    ):
        fetched()
    assert not cli.published.exists()
    server.files[BIG] = files[BIG]
    assert read(fetched()) == files


def test_f40_a_missing_file_is_refused_before_anything_is_downloaded(
    fetched: Fetch, server: Loopback, kind: str
) -> None:
    del server.files["config.json"]
    with pytest.raises(Refused, match=r"^config\.json: is missing$"):
        fetched()
    assert not server.downloads(BIG)


@pytest.mark.parametrize("kind", LISTED, indirect=True)
def test_f40_an_extra_file_is_refused_before_anything_is_downloaded(fetched: Fetch, server: Loopback) -> None:
    server.files["sub/extra.py"] = b"import os"
    with pytest.raises(Refused, match=r"^sub/extra\.py: is not in the pinned list$"):
        fetched()
    assert not server.downloads(BIG)


@pytest.mark.parametrize("kind", LISTED, indirect=True)
def test_sums_beside_the_files_are_not_downloaded(
    fetched: Fetch, server: Loopback, files: dict[str, bytes]
) -> None:
    server.files |= {"SHA256SUMS": b"x", "SHA256SUMS.sig": b"x", ".gitattributes": b"x"}
    assert read(fetched()) == files
    assert not server.downloads(".gitattributes")


def test_f41_a_transfer_that_breaks_off_goes_on_where_it_ended(
    fetched: Fetch, server: Loopback, files: dict[str, bytes], kind: str
) -> None:
    server.cut_after[BIG] = [3 * 2**20, 2**20 + 5]
    assert read(fetched()) == files
    first, second, third = (request.range for request in server.downloads(BIG))
    assert first in (None, "bytes=0-")
    starts = [int(str(asked).removeprefix("bytes=").removesuffix("-")) for asked in (second, third)]
    assert 2 * 2**20 <= starts[0] <= 3 * 2**20
    assert starts[0] < starts[1] <= 4 * 2**20 + 5


def test_f40_a_transfer_that_never_completes_is_refused(fetched: Fetch, server: Loopback, cli: Cli) -> None:
    server.cut_after["config.json"] = [0] * 10
    with pytest.raises(Refused, match=r"^config\.json: .*\(given up after 3 attempts without a new byte\)$"):
        fetched()
    assert not cli.published.exists()


def test_an_overloaded_server_is_asked_again(
    fetched: Fetch, server: Loopback, files: dict[str, bytes]
) -> None:
    server.answers[BIG] = [503, 429]
    server.answers["config.json"] = [500]
    assert read(fetched()) == files


def test_a_server_that_stays_overloaded_is_given_up(fetched: Fetch, server: Loopback) -> None:
    server.answers[BIG] = [503] * 10
    with pytest.raises(Refused, match=rf"^{BIG}: .*503.*\(given up after 3 attempts without a new byte\)$"):
        fetched()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_says_which_credentials_count(fetched: Fetch, server: Loopback, status: int) -> None:
    server.answers[BIG] = [status] * 10
    with pytest.raises(Refused, match=rf"^{BIG}: .*; check "):
        fetched()
    assert len(server.downloads(BIG)) == 1


def test_a_server_that_ignores_ranges_sends_the_file_again(
    fetched: Fetch, server: Loopback, files: dict[str, bytes], kind: str
) -> None:
    if kind == "gcs":
        pytest.skip("Cloud Storage always serves ranges")
    server.ranges = False
    server.cut_after[BIG] = [3 * 2**20]
    assert read(fetched()) == files


@pytest.mark.parametrize("kind", ["https", "s3"], indirect=True)
def test_a_file_that_changes_during_the_download_is_never_mixed(
    fetched: Fetch, server: Loopback, cli: Cli, files: dict[str, bytes]
) -> None:
    server.cut_after[BIG] = [3 * 2**20]
    other = bytes(len(files[BIG]))
    request_file = server.downloads

    class Changing(dict[str, bytes]):
        def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
            return other if path == BIG and len(request_file(BIG)) > 1 else super().get(path, default)

    server.files = Changing(server.files)
    with pytest.raises(Refused, match=rf"^{BIG}: (SHA-256 is |changed at the source)"):
        fetched()
    assert not cli.published.exists()


@pytest.mark.parametrize("kind", ["huggingface"], indirect=True)
class TestHuggingFace:
    def test_a_checksum_claimed_by_the_hub_is_checked_before_the_download(
        self, fetched: Fetch, server: Loopback
    ) -> None:
        server.claimed[BIG] = "1" * 64
        with pytest.raises(Refused, match=r"\(claimed by the source, not downloaded\)$"):
            fetched()
        assert not server.downloads(BIG)

    def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(
        self, fetched: Fetch, server: Loopback, files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with serving(files) as network:
            server.redirect_to = network.address
            network.cut_after[BIG] = [2**20]
            assert read(fetched()) == files
            assert all(request.headers["authorization"] == f"Bearer {SECRET}" for request in server.requests)
            assert all("authorization" not in request.headers for request in network.requests)
        printed = capsys.readouterr()
        assert "presigned-canary" not in printed.out + printed.err

    def test_a_redirect_to_plain_http_is_refused(self, fetched: Fetch, server: Loopback) -> None:
        server.redirect_to = "http://models.invalid"
        with pytest.raises(
            Refused, match=r"^source: redirects to http://models\.invalid; only https is followed$"
        ):
            fetched()

    def test_an_unknown_commit_is_refused(self, kind: str, cli: Cli, server: Loopback) -> None:
        settings = source_of({**server.source(kind), "revision": "f" * 40})
        with pytest.raises(Refused, match=rf"^source: org/tiny has no commit {'f' * 40}$"):
            fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = directory / "certificate.pem", directory / "key.pem"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, private


class TestHttps:
    @pytest.fixture
    def tls(self, files: dict[str, bytes], tmp_path: Path) -> Iterator[Loopback]:
        with serving(dict(files), certificate(tmp_path)) as loopback:
            yield loopback

    def test_a_certificate_that_nobody_vouches_for_is_refused(self, cli: Cli, tls: Loopback) -> None:
        settings = source_of(tls.source("https"))
        with pytest.raises(
            Refused, match=r"^source: its certificate is not trusted: self-signed certificate$"
        ):
            fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)
        assert tls.requests == []

    def test_a_private_authority_is_trusted_by_ssl_cert_file(
        self,
        cli: Cli,
        tls: Loopback,
        tmp_path: Path,
        files: dict[str, bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        monkeypatch.setenv("WEIGHTS_HTTPS_AUTHORIZATION", "Bearer canary")
        settings = source_of(tls.source("https"))
        assert read(fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)) == files
        assert {request.headers["authorization"] for request in tls.requests} == {"Bearer canary"}


def test_an_unreachable_source_is_refused(cli: Cli, files: dict[str, bytes]) -> None:
    with serving(files) as gone:
        settings = source_of(gone.source("https"))
    with pytest.raises(Refused, match=r"^source: ConnectError: .*\(given up after 3 attempts\)$"):
        fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)


def test_gcs_takes_a_key_from_the_environment(
    cli: Cli, server: Loopback, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "fetcher@example.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "private_key_id": "1",
        "token_uri": f"{server.address}/token",
    }
    monkeypatch.setenv("GOOGLE_CREDENTIALS", json.dumps(account))
    settings = source_of(server.source("gcs"))
    assert read(fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)) == files
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer granted"}


def test_gcs_refuses_a_malformed_key_without_showing_it(
    cli: Cli, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CREDENTIALS", '{"type": "service_account", "private_key": "canary"}')
    with pytest.raises(Refused) as refused:
        fetch(source_of(server.source("gcs")), cli.manifest, Store(cli.store, NAME), backoff=QUICK)
    assert str(refused.value) == "source: GOOGLE_CREDENTIALS is not the JSON of a service account's key"


def test_s3_without_credentials_asks_anonymously(
    cli: Cli, server: Loopback, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    settings = source_of(server.source("s3"))
    assert read(fetch(settings, cli.manifest, Store(cli.store, NAME), backoff=QUICK)) == files
    assert all("authorization" not in request.headers for request in server.requests)
