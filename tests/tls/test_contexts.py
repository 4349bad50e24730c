"""N4 and N9: one context for all who give none, trust and key log from the environment, and no
`ssl` for whoever does not use it."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from httpcore_core import ConnectError, default_ssl_context
from httpcore_core._tls import _contexts
from tests.certificates import Certificates
from tests.tls.engines import connected, exchange


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


def test_n4_the_default_context_is_built_once() -> None:
    found: list[ssl.SSLContext] = []
    threads = [
        threading.Thread(target=lambda: found.append(default_ssl_context())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {default_ssl_context()}


def test_n4_one_context_per_alpn_offer() -> None:
    both = default_ssl_context(("h2", "http/1.1"))
    assert both is default_ssl_context(("h2", "http/1.1"))
    assert both is not default_ssl_context()


def test_the_default_context_is_strict() -> None:
    context = default_ssl_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50  # certifi's


@pytest.mark.parametrize(
    "alter",
    [
        lambda context: setattr(context, "verify_mode", ssl.CERT_OPTIONAL),
        lambda context: setattr(context, "check_hostname", False),
        lambda context: setattr(context, "options", 0),
        lambda context: context.set_alpn_protocols(["h2"]),
        lambda context: context.set_ciphers("ALL"),
        lambda context: context.load_default_certs(),
        lambda context: context.load_cert_chain("client.pem"),
    ],
)
def test_n4_nobody_alters_what_everybody_shares(alter: Any) -> None:
    with pytest.raises(TypeError, match="shared=False"):
        alter(default_ssl_context())


def test_a_context_of_ones_own_may_be_altered(certificates: Certificates) -> None:
    context = default_ssl_context(shared=False)
    assert context is not default_ssl_context(shared=False)
    context.load_verify_locations(certificates.ca_file)
    context.load_cert_chain(certificates.client_file)
    context.check_hostname = False


def test_n4_alpn_of_our_own_contexts(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file)
    server = certificates.server_context(alpn=("h2", "http/1.1"))
    for offer, chosen in {("http/1.1",): "http/1.1", ("h2", "http/1.1"): "h2", (): None}.items():
        client, _ = connected(default_ssl_context(offer), server)
        assert client.ssl_object.selected_alpn_protocol() == chosen


def test_n4_the_callers_context_is_not_altered(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watched(ssl.SSLContext):
        armed = False

        def __setattr__(self, name: str, value: object) -> None:
            assert not self.armed, name
            super().__setattr__(name, value)

        def set_alpn_protocols(self, alpn_protocols: Any) -> None:
            raise AssertionError

    context = Watched(ssl.PROTOCOL_TLS_CLIENT)
    certificates.authority.configure_trust(context)
    object.__setattr__(context, "armed", True)
    before = dict(vars(context))
    client, server = connected(context, certificates.server_context())
    exchange(client, server)
    client.close_notify()
    assert client.ssl_object.selected_alpn_protocol() is None
    assert vars(context) == before


def test_n9_ssl_cert_file_replaces_certifi(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = default_ssl_context()
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file)
    context = default_ssl_context()
    assert context is not plain
    assert context.cert_store_stats()["x509_ca"] == 1
    exchange(*connected(context, certificates.server_context()))
    with pytest.raises(ConnectError, match="unable to get local issuer certificate"):
        connected(plain, certificates.server_context())
    monkeypatch.delenv("SSL_CERT_FILE")
    assert default_ssl_context() is plain


def test_n9_ssl_cert_dir(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # OpenSSL finds authorities by a hash of their name; ours is looked up with a throw-away store.
    name = ssl_name_hash(certificates)
    (tmp_path / f"{name}.0").write_bytes(Path(certificates.ca_file).read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(["/nonexistent", str(tmp_path)]))
    exchange(*connected(default_ssl_context(), certificates.server_context()))


def ssl_name_hash(certificates: Certificates) -> str:
    """`X509_NAME_hash`: SHA-1 over the canonical encoding of the subject (lower case, UTF-8)."""
    import hashlib

    from cryptography import x509

    subject = x509.load_pem_x509_certificate(certificates.authority.cert_pem.bytes()).subject
    canonical = b""
    for attribute in subject:
        value = " ".join(str(attribute.value).lower().split()).encode()
        oid = {"2.5.4.10": b"\x06\x03\x55\x04\x0a", "2.5.4.11": b"\x06\x03\x55\x04\x0b"}
        pair = oid[attribute.oid.dotted_string] + b"\x0c" + bytes([len(value)]) + value
        sequence = b"\x30" + bytes([len(pair)]) + pair
        canonical += b"\x31" + bytes([len(sequence)]) + sequence
    return hashlib.sha1(canonical).digest()[3::-1].hex()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_n9_authorities_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "missing"))
    with pytest.raises(ConnectError, match=variable):
        default_ssl_context()
    assert default_ssl_context(trust_env=False)


def test_n9_a_file_without_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(ConnectError, match="SSL_CERT_FILE cannot be loaded"):
        default_ssl_context()


def test_n9_key_log(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file)
    try:
        exchange(*connected(default_ssl_context(), certificates.server_context()))
        assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()
    finally:
        _contexts.clear()  # and with the context the open file


def test_n9_a_key_log_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    with caplog.at_level(logging.WARNING, "httpcore_core"):
        assert default_ssl_context()
    assert "SSLKEYLOGFILE is ignored" in caplog.text


def test_the_number_of_contexts_is_bounded() -> None:
    for number in range(12):
        default_ssl_context((f"protocol-{number}",))
    assert len(_contexts) == 8


def test_n4_plain_http_does_not_import_ssl() -> None:
    code = (
        "import sys, httpcore_core, httpcore_core._tls\n"
        "import httpcore_core._backends.sync_tls, httpcore_core._backends.async_tls\n"
        "httpcore_core.ConnectionPool().close()\n"
        "print('ssl' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("False\n", "")
