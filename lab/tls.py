# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA and the certificates of the lab's TLS listeners, made by the lab and trusted by nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lab.layout import Paths, write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_CA_NAME = "sre.runbooks lab CA"
_DAYS = 825
_RENEW_BEFORE = timedelta(days=30)
_HOSTS = ("localhost", "127.0.0.1")
_SERVICE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1")


def key_store(paths: Paths) -> Path:
    """Kafka's key store in PEM form: private key, certificate, CA certificate."""
    return paths.tls / "kafka.pem"


def kubernetes_server(paths: Paths) -> Path:
    """The same for the servers of the Kubernetes control plane."""
    return paths.tls / "kubernetes.pem"


def kubelet_client(paths: Paths) -> Path:
    """The same for the API server as a client of kubelets."""
    return paths.tls / "kubelet-client.pem"


def ensure(paths: Paths) -> bool:
    """Make CA and certificates when one is missing or runs out within a month. True when they are new."""
    if _usable(paths):
        return False
    ca_key = _new_ca(paths)
    write_private(_ca_key_file(paths), _pem(ca_key))
    write_private(key_store(paths), issue(paths, "sre.runbooks lab kafka", _HOSTS))
    write_private(kubernetes_server(paths), issue(paths, "sre.runbooks lab kubernetes", (*_HOSTS, *_SERVICE)))
    write_private(kubelet_client(paths), issue(paths, "kube-apiserver-kubelet-client", ()))
    return True


def issue(paths: Paths, name: str, hosts: Sequence[str], days: float = _DAYS) -> str:
    """A private key, its certificate signed by the lab's CA, and the CA's certificate, in PEM form.

    ``hosts``: DNS names and addresses of a server; none for a client. ``days``: until it runs out, from now on.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca_key = serialization.load_pem_private_key(_ca_key_file(paths).read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(name, key, ca_key, timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    certificate = builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return _pem(key) + certificate.decode() + paths.ca_file.read_text(encoding="utf-8")


def signing_key() -> str:
    """A new private key as the API server reads it, for the tokens of service accounts."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def _ca_key_file(paths: Paths) -> Path:
    return paths.secret_file("ca_key")


def _usable(paths: Paths) -> bool:
    from cryptography import x509

    files = (_ca_key_file(paths), key_store(paths), kubernetes_server(paths), kubelet_client(paths))
    try:
        certificate = x509.load_pem_x509_certificate(paths.ca_file.read_bytes())
        return all(map(Path.exists, files)) and certificate.not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC)
    except (OSError, ValueError):
        return False


def _new_ca(paths: Paths) -> ec.EllipticCurvePrivateKey:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_CA_NAME, key, key, timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey, valid: timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(_CA_NAME))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + valid) - timedelta(hours=1))
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
