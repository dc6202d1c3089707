"""What answers at METABASE_URL and is not the Metabase that it should be."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from provision_helpers import Command, Site

#: Starts a server that answers every request alike: status, body, headers; returns its address.
Answering = Callable[..., str]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    servers = []

    def start(status: int, body: str, *, tls: bool = False, **headers: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

            do_POST = do_GET

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(tmp_path / "server.pem"))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def certificate(path: Path) -> Path:
    """Write a key and its certificate, which no authority has signed."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "metabase")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (200, "<html>Welcome</html>", 78, "with something that is not JSON. Is that Metabase?"),
        (302, "", 78, "It redirects to https://elsewhere/: name that in METABASE_URL"),
        (500, "<h1>Broken</h1>", 69, "(500): <h1>Broken</h1>. Try again"),
        (200, "[]", 78, "does not say how it is. Is that Metabase?"),
        (200, '{"health": "green"}', 78, "does not say how it is"),
        (200, '{"status": "UP"}', 78, "does not say how it is"),
    ],
)
def test_another_server_is_named_for_what_it_is(
    answering: Answering, run: Command, site: Site, status: int, body: str, code: int, message: str
) -> None:
    url = answering(status, body, location="https://elsewhere/")
    assert run("plan", METABASE_URL=url) == code
    assert message in site.err


def test_another_server_is_not_waited_for_longer_than_metabase(
    answering: Answering, run: Command, site: Site
) -> None:
    url = answering(200, '{"status": "UP"}')
    assert run("apply", METABASE_URL=url, METABASE_TIMEOUT_SECONDS="0.05") == 78
    assert f"waiting for {url} to start" in site.out
    assert "does not say how it is" in site.err


def test_a_certificate_of_no_authority_is_not_accepted(
    answering: Answering, run: Command, site: Site
) -> None:
    assert run("plan", METABASE_URL=answering(200, '{"status": "ok"}', tls=True)) == 78
    assert "is not accepted" in site.err and "REQUESTS_CA_BUNDLE" in site.err
