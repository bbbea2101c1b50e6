"""A certificate and its key as two files that are replaced as one, whatever moment the machine dies at.

Both are first written into one file, ``NAME.next``; what is installed from it comes after. Whoever finds that file
finishes the installation, so that no two files of different pairs are ever taken for one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from netservices.config.pem import CertificateError, KeyedCertificate, load_keyed_certificate

if TYPE_CHECKING:
    from pathlib import Path


class PairStore:
    """The pairs ``NAME.pem`` and ``NAME.key`` of one directory; only one process may write there at a time.

    Keys are readable by their owner only. What root writes belongs to the directory's owner, so that the daemon reads
    it after it has left root behind. Everything here blocks on the disk; a file that can't be written raises
    ``CertificateError``.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def certificate_path(self, name: str) -> Path:
        """Where the certificate is."""
        return self._directory / f"{name}.pem"

    def key_path(self, name: str) -> Path:
        """Where its key is."""
        return self._directory / f"{name}.key"

    def load(self, name: str) -> KeyedCertificate | None:
        """The pair, after an interrupted ``save`` was finished; None if there is none. Raises ``CertificateError``."""
        self._finish(name)
        certificate, key = self.certificate_path(name), self.key_path(name)
        missing = [path for path in (certificate, key) if not path.exists()]
        if len(missing) == 2:
            return None
        if missing:
            there = key if missing == [certificate] else certificate
            raise CertificateError(f"{missing[0]} is missing, but {there} is there; put it back, or remove both")
        return load_keyed_certificate(certificate, key)

    def save(self, name: str, pair: KeyedCertificate) -> KeyedCertificate:
        """Make ``pair`` the one that ``load`` finds; it has, or the one before still is. Returns it with its path."""
        try:
            self._make_directory()
            self._write(f"{name}.next", _key_octets(pair) + _chain_octets(pair), 0o600)
            self._install(name, pair)
        except OSError as error:
            raise CertificateError(f"{self._directory} can't be written: {error.strerror}") from None
        return KeyedCertificate(pair.chain, pair.key, self.certificate_path(name))

    def _finish(self, name: str) -> None:
        pending = self._directory / f"{name}.next"
        if not pending.exists():
            return
        try:
            self._install(name, load_keyed_certificate(pending))
        except OSError as error:
            raise CertificateError(f"{self._directory} can't be written: {error.strerror}") from None

    def _install(self, name: str, pair: KeyedCertificate) -> None:
        self._write(self.key_path(name).name, _key_octets(pair), 0o600)
        self._write(self.certificate_path(name).name, _chain_octets(pair), 0o644)
        (self._directory / f"{name}.next").unlink()
        self._sync_directory()

    def _make_directory(self) -> None:
        with suppress(FileExistsError):
            self._directory.mkdir(mode=0o700)
            if os.geteuid() == 0:
                owner = self._directory.parent.stat()
                os.chown(self._directory, owner.st_uid, owner.st_gid)

    def _write(self, name: str, octets: bytes, mode: int) -> None:
        temporary = self._directory / f".{name}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, mode=0o600), "wb") as file:
            if os.geteuid() == 0:
                owner = self._directory.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fchmod(file.fileno(), mode)
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._directory / name)
        self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _chain_octets(pair: KeyedCertificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in pair.chain)


def _key_octets(pair: KeyedCertificate) -> bytes:
    return pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
