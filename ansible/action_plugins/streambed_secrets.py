"""Makes what is missing of a bed's secrets, on the controller; nodes are asked nothing.

In a directory for its owner alone: the bed's own certificate authority (`ca.key`, `ca.pem`), a key
with its certificate for each server (`NODE.pem`), and a password for each account. A file that is
there is read through Ansible's loader, so that it may be encrypted with Ansible Vault. Check mode
makes them too: without them nothing of what depends on them could be foretold.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VAULT = "$ANSIBLE_VAULT"
CA_DAYS, SERVER_DAYS, RENEW_DAYS = 3650, 397, 30
PASSWORD_BYTES = 24
SKEW = dt.timedelta(days=1)
"""Clocks of nodes may be behind."""

Key = ec.EllipticCurvePrivateKey


def write(path: Path, content: str) -> None:
    """Replace a file in one step; nobody but its owner ever reads it."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # 0600 from the start
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content)
    Path(draft).replace(path)


def pem(key: Key) -> str:
    """A private key in PKCS 8, as Java wants it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def alternative(address: str) -> x509.GeneralName:
    """An address as clients compare it with the one they connect to."""
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def certificate(
    name: str, key: Key, issuer: x509.Name, days: int, extensions: Iterable[x509.ExtensionType]
) -> x509.CertificateBuilder:
    """A certificate of `name` that its issuer has yet to sign."""
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
    )
    for extension in extensions:
        builder = builder.add_extension(
            extension, critical=isinstance(extension, x509.BasicConstraints)
        )
    return builder


class Secrets:
    """The files of one bed; `made` names those that were not there.

    Args:
        directory: where they are.
        read: the text of a file, decrypted when it has to be.
    """

    def __init__(self, directory: Path, read: Callable[[Path], str]) -> None:
        self.made: list[str] = []
        self._directory = directory
        self._read = read

    def ensure(
        self,
        bed: str,
        servers: Mapping[str, str],
        accounts: Iterable[str],
        *,
        renew: bool,
    ) -> None:
        """Make what is missing or about to run out.

        Args:
            bed: the name of the authority.
            servers: node → the address that its certificate is for.
            accounts: who has a password.
            renew: make every server's key and certificate anew; authority and passwords stay.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory.chmod(0o700)
        for account in accounts:
            if not (self._directory / account).exists():
                self._write(account, secrets.token_hex(PASSWORD_BYTES) + "\n")
        if not (self._directory / "ca.pem").exists():
            self._make_authority(f"Streambed bed {bed}")
        for name, address in servers.items():
            if renew or not self._serves(name, address):
                self._make_server(name, address)

    def _write(self, name: str, content: str) -> None:
        path = self._directory / name
        if path.exists() and path.read_text().startswith(VAULT):
            raise AnsibleError(
                f"{path} has to be made anew, but is encrypted: decrypt it and ca.key "
                "(ansible-vault decrypt), run this again, and encrypt both"
            )
        write(path, content)
        self.made.append(name)

    def _make_authority(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        extensions = [
            x509.BasicConstraints(ca=True, path_length=0),
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            usage,
        ]
        signed = certificate(name, key, issuer, CA_DAYS, extensions).sign(key, hashes.SHA256())
        self._write("ca.key", pem(key))
        # Written last: where it is, its key is too.
        self._write("ca.pem", signed.public_bytes(Encoding.PEM).decode())

    def _authority(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._read(self._directory / "ca.pem").encode())

    def _serves(self, name: str, address: str) -> bool:
        """Is there a certificate of this authority for the address, and for some time yet?"""
        path = self._directory / f"{name}.pem"
        if not path.exists():
            return False
        found = x509.load_pem_x509_certificate(self._read(path).encode())
        try:
            found.verify_directly_issued_by(self._authority())
        except (ValueError, InvalidSignature):
            return False
        left = found.not_valid_after_utc - dt.datetime.now(dt.UTC)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return left > dt.timedelta(days=RENEW_DAYS) and list(names) == [alternative(address)]

    def _make_server(self, name: str, address: str) -> None:
        """A new key and its certificate, for a server that is also a client of its like."""
        authority = self._authority()
        raw = self._read(self._directory / "ca.key").encode()
        signer = load_pem_private_key(raw, password=None)
        if not isinstance(signer, Key):
            raise AnsibleError(f"{self._directory / 'ca.key'} is no key of an elliptic curve")
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [
            x509.BasicConstraints(ca=False, path_length=None),
            x509.SubjectAlternativeName([alternative(address)]),
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
        ]
        builder = certificate(name, key, authority.subject, SERVER_DAYS, extensions)
        signed = builder.sign(signer, hashes.SHA256())
        self._write(f"{name}.pem", pem(key) + signed.public_bytes(Encoding.PEM).decode())


class ActionModule(ActionBase):
    """Asks no node; its result names files and holds no secret."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make what is missing; `changed` and `made` tell what was."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "directory": {"type": "path", "required": True},
                "bed": {"type": "str", "required": True},
                "servers": {"type": "dict", "required": True},
                "accounts": {"type": "list", "elements": "str", "required": True},
                "renew": {"type": "bool", "default": False},
            }
        )
        made = Secrets(
            Path(given["directory"]).absolute(),
            lambda path: str(self._loader.get_text_file_contents(str(path))),
        )
        made.ensure(given["bed"], given["servers"], given["accounts"], renew=given["renew"])
        return result | {"changed": bool(made.made), "made": made.made}
