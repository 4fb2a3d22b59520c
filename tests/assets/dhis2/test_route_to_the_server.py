"""How a server is reached: a certificate authority of the site's own, and a proxy, from the settings or from the environment."""

import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from assets.dhis2.client import Credential, Dhis2Client, RetryPolicy
from assets.dhis2.errors import AuthenticationError, QueryError
from assets.dhis2.mapping import InstanceMapping, MappingError

TOKEN = "d2pat_0123456789abcdefSECRET"


def certificate(folder: Path, name: str) -> Path:
    """A certificate of 127.0.0.1 that is its own authority, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


class Answering(HTTPServer):
    """Answers every request with {} and remembers what was asked of it, as a forward proxy and as a server."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[tuple[str, str | None]] = []


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def answering() -> Iterator[Callable[[], Answering]]:
    running: list[Answering] = []

    def start(context: ssl.SSLContext | None = None) -> Answering:
        server = Answering()
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(url: str, **options: Any) -> Any:
    client = Dhis2Client(url, Credential(token=TOKEN), retry=RetryPolicy(attempts=1), **options)
    try:
        return client.get_json("system/info")
    finally:
        client.close()


def test_a_site_s_own_authority_is_trusted_when_the_settings_name_it(
    answering: Callable[..., Answering], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = certificate(tmp_path, "own"), certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    url = f"https://127.0.0.1:{answering(context).server_address[1]}"
    with pytest.raises(AuthenticationError, match=r"certificate is not trusted\..*ca_bundle"):
        ask(url)
    assert ask(url, ca_bundle=str(own)) == {}
    # What the settings say holds, whatever the machine says; without it the machine's word holds.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    assert ask(url, ca_bundle=str(own)) == {}
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
    assert ask(url) == {}
    with pytest.raises(AuthenticationError, match="not trusted"):
        ask(url, ca_bundle=str(other))


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"gone\.pem cannot be read .*PEM file"):
        ask("https://127.0.0.1:9", ca_bundle=str(tmp_path / "gone.pem"))


def test_a_full_disk_is_not_taken_for_a_missing_authority(answering: Callable[..., Answering]) -> None:
    client = Dhis2Client(f"http://127.0.0.1:{answering().server_address[1]}", Credential(token=TOKEN))

    def consume(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        client.read("system/info", (), consume, accept="application/json")


def test_the_proxy_of_the_settings_comes_before_that_of_the_environment(
    answering: Callable[..., Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs, server = answering(), answering(), answering()
    addresses = [f"http://127.0.0.1:{each.server_address[1]}" for each in (ours, theirs, server)]
    monkeypatch.setenv("HTTP_PROXY", addresses[1])
    ask("http://dhis2.example.org", proxy=addresses[0])
    assert ours.asked == [("http://dhis2.example.org/api/system/info", f"ApiToken {TOKEN}")]
    ask("http://dhis2.example.org")
    assert theirs.asked == [("http://dhis2.example.org/api/system/info", f"ApiToken {TOKEN}")]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ask(addresses[2])
    assert server.asked == [("/api/system/info", f"ApiToken {TOKEN}")]
    assert (len(ours.asked), len(theirs.asked)) == (1, 1)


def test_a_proxy_with_a_password_is_refused_and_not_shown(settings: Callable[..., InstanceMapping]) -> None:
    with pytest.raises(MappingError, match="HTTPS_PROXY in the environment") as refused:
        settings(proxy="http://user:hidden-word@proxy.example.org:3128")
    assert "hidden-word" not in str(refused.value)
    with pytest.raises(MappingError, match="http://host:port"):
        settings(proxy="proxy.example.org")
    assert settings(proxy="http://proxy.example.org:3128").proxy == "http://proxy.example.org:3128"
