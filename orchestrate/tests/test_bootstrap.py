"""What bootstrap.py says when packages cannot be installed, with the real uv and real servers."""

from __future__ import annotations

import datetime
import http.server
import importlib.util
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".pipeboard" / "env" / "uv" / "bin" / "uv"
CERTIFICATES = (
    *("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    "PIP_INDEX_URL",
)
#: The message of bootstrap.py, without the output of uv.
UNTRUSTED, NO_WHEEL, UNREACHABLE = (
    "TLS certificate is not trusted here",
    "no wheel of that package for this Python or this machine",
    "is it reachable?",
)


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "bootstrap", ROOT / "orchestrate/bootstrap.py"
    )
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "bootstrap", module)
    specification.loader.exec_module(module)
    for name in list(os.environ):
        if name in CERTIFICATES or name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return module


def install(bootstrap: ModuleType, requirement: str, *arguments: str) -> None:
    bootstrap.run(
        [str(UV), "pip", "install", "--dry-run", "--no-build", "--python", sys.executable]
        + [*arguments, requirement],
        "the test",
    )


@dataclass(frozen=True)
class Registry:
    url: str
    authority: Path


class _Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html><body></body></html>"
        # Pipedrive's answer to a wrong token ends the tap at once.
        self.send_response(401 if self.path.startswith("/api") else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> bytes:
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A package registry behind a certificate authority that this machine does not know."""
    folder = tmp_path_factory.mktemp("registry")
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    known = folder / "ca.pem"
    known.write_bytes(certificate("authority", authority, "authority", authority))
    pair = folder / "server.pem"
    pair.write_bytes(
        certificate("server", key, "authority", authority)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Index)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Registry(f"https://127.0.0.1:{server.server_port}/simple", known)
    server.shutdown()
    server.server_close()


def test_a_certificate_that_is_not_trusted_is_reported_as_such(
    bootstrap: ModuleType,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", registry.url)
    with pytest.raises(SystemExit) as exit_info:
        install(bootstrap, "nothing==1")
    assert exit_info.value.code == 78
    text = capsys.readouterr().err.splitlines()[-1]
    assert UNTRUSTED in text
    assert "SSL_CERT_FILE=/path/to/ca.pem" in text
    assert UNREACHABLE not in text


@pytest.mark.parametrize("variable", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_uv_trusts_the_certificate_authority_of_pip(
    bootstrap: ModuleType,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", registry.url)
    monkeypatch.setenv(variable, str(registry.authority))
    with pytest.raises(SystemExit):
        install(bootstrap, "nothing==1")
    text = capsys.readouterr().err
    assert "does not have that package" in text
    assert UNTRUSTED not in text


def test_uv_trusts_the_certificates_of_the_system_by_default(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = any(map(os.path.exists, bootstrap.SYSTEM_CERTIFICATES)) or sys.platform == "darwin"
    assert bootstrap.clean_environ().get("UV_SYSTEM_CERTS") == ("1" if store else None)
    monkeypatch.setenv("UV_SYSTEM_CERTS", "false")
    assert bootstrap.clean_environ()["UV_SYSTEM_CERTS"] == "false"


@pytest.mark.parametrize("variable", ["", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_tap_trusts_the_certificate_authority_of_the_company(
    registry: Registry, tmp_path: Path, variable: str
) -> None:
    url = registry.url.removesuffix("/simple")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"api_token": "token", "api_url": url}))
    environ = {k: v for k, v in os.environ.items() if k not in CERTIFICATES}
    done = subprocess.run(
        [str(ROOT / ".pipeboard" / "bin" / "tap-pipedrive"), "--config", str(config)],
        cwd=tmp_path,
        env={**environ, **({variable: str(registry.authority)} if variable else {})},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == (77 if variable else 78), done.stderr
    assert ("could not be verified" in done.stderr) == (not variable)


def test_a_registry_that_does_not_answer_is_reported_as_such(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(SystemExit):
        install(bootstrap, "nothing==1")
    text = capsys.readouterr().err.splitlines()[-1]
    assert UNREACHABLE in text
    assert UNTRUSTED not in text


def test_a_package_without_a_wheel_for_this_machine_is_reported_as_such(
    bootstrap: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing-1-cp39-cp39-win32.whl").touch()
    with pytest.raises(SystemExit):
        install(bootstrap, "nothing==1", "--offline", "--no-index", "--find-links", str(tmp_path))
    text = capsys.readouterr().err.splitlines()[-1]
    assert NO_WHEEL in text
    assert "make PYTHON=" in text


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ((3, 9, 18), "Python 3.9.18 is too old: the pinned packages are for 3.10 to 3.14"),
        ((3, 15, 0), "Python 3.15.0 is too new: the pinned packages are for 3.10 to 3.14"),
        ((3, 10, 0), ""),
        ((3, 14, 2), ""),
    ],
)
def test_a_python_that_the_pins_are_not_for_is_refused(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: tuple[int, int, int],
    message: str,
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", version)
    if not message:
        bootstrap.check_python()
        return
    with pytest.raises(SystemExit) as exit_info:
        bootstrap.check_python()
    assert exit_info.value.code == 78
    assert message in capsys.readouterr().err


def chosen_python(
    tmp_path: Path, versions: dict[str, tuple[int, int]]
) -> subprocess.CompletedProcess[str]:
    """Let make choose where these are the Pythons."""
    for name in ("python3", *(f"python3.{minor}" for minor in range(10, 15))):
        version = versions.get(name, (3, 9))
        program = tmp_path / name
        check = f"import sys; sys.version_info = {version}\n"
        program.write_text(
            f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c \'{check}\'"$2"\n'
            f"echo Python {'.'.join(map(str, version))}\n"
        )
        program.chmod(0o755)
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT}/Makefile\nwhich-python: ; @echo $(PYTHON)\n")
    return subprocess.run(
        ["make", "--no-print-directory", "-f", str(makefile), "which-python"],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        check=False,
    )


def test_make_chooses_a_python_that_fits(tmp_path: Path) -> None:
    """Where `python3` is too new, the next name that fits is taken."""
    outcome = chosen_python(tmp_path, {"python3": (3, 15), "python3.13": (3, 13)})
    assert outcome.stdout.strip() == "python3.13"


def test_make_says_so_where_no_python_fits(tmp_path: Path) -> None:
    """Python 3.6, which some distributions call `python3`, cannot even read bootstrap.py."""
    outcome = chosen_python(tmp_path, {"python3": (3, 6)})
    assert outcome.returncode == 2
    assert "no Python 3.10 to 3.14 was found (Python 3.6)" in outcome.stderr
    assert "make PYTHON=/path/to/python3.13" in outcome.stderr


def test_every_package_requires_the_pythons_that_bootstrap_takes(bootstrap: ModuleType) -> None:
    oldest, newest = bootstrap.OLDEST, bootstrap.NEWEST
    wanted = f'requires-python = ">=3.{oldest[1]},<3.{newest[1] + 1}"'
    for member in bootstrap.DEV.members:
        assert wanted in (ROOT / member / "pyproject.toml").read_text(), member


def test_an_installation_gets_none_of_the_secrets(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEDRIVE_API_TOKEN", "token")
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", "postgresql://a:b@c/d")
    monkeypatch.setenv("PIP_INDEX_URL", "https://ana:secret@mirror/simple")
    environ = bootstrap.clean_environ()
    assert not {"PIPEDRIVE_API_TOKEN", "PIPEBOARD_DATABASE_URL"} & environ.keys()
    assert environ["UV_DEFAULT_INDEX"] == "https://ana:secret@mirror/simple"


def test_every_command_is_started_with_the_secrets_it_needs(bootstrap: ModuleType) -> None:
    every = [*bootstrap.RUN, bootstrap.METRICS, bootstrap.PREFECT]
    commands = {c: bootstrap.shim(e, c) for e in every for c in e.commands}
    assert {"tap-pipedrive", "target-postgres", "dbt", "meltano"} <= set(commands)
    for command, text in commands.items():
        assert (f'/orchestrate/pipeboard/launch.py" {command} ' in text) == (command != "pipeboard")
