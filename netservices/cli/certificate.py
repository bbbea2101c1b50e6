"""The verb certificate: what the local authority signs for others."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netservices.cli.control import find_state_directory

if TYPE_CHECKING:
    from netservices.cli.context import Asked
    from netservices.config.pem import KeyedCertificate


@click.group()
def certificate() -> None:
    """Have the local authority sign certificates."""


@certificate.command()
@click.argument("name")
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(),
    help="The folder they are written to. Left out: the present one.",
)  # fmt: skip
@click.pass_obj
def client(asked: Asked, name: str, out: Path) -> None:
    """Write NAME.pem and NAME.key: a certificate for a client, signed by the local authority, and its key."""
    # Imported here: the help needs none of it.
    from netservices.config.pem import CertificateError  # noqa: PLC0415
    from netservices.runtime.tls.authority import LocalAuthority  # noqa: PLC0415
    from netservices.runtime.tls.identity import make_client_certificate  # noqa: PLC0415

    if "/" in name or name.startswith("."):
        raise click.UsageError(f'"{name}" can\'t be the name of a file, wanted one without "/" and "." at its start')
    try:
        made = LocalAuthority(find_state_directory(asked) / "tls").make_client(name)
    except CertificateError as error:
        raise click.ClickException(str(error)) from error
    _write(made, out / f"{name}.pem", out / f"{name}.key")
    told = make_client_certificate(made.leaf)
    click.echo(f"{out / name}.pem and {out / name}.key are written; they are good until {told.not_after:%Y-%m-%d}")
    click.echo(f"fingerprint sha256:{told.fingerprint}")


def _write(made: KeyedCertificate, certificate_path: Path, key_path: Path) -> None:
    """Both files or none; the key is its owner's only from the first moment on."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    files = {
        key_path: (made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600),
        certificate_path: (made.leaf.public_bytes(Encoding.PEM), 0o644),
    }
    written: list[Path] = []
    try:
        for path, (octets, mode) in files.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            written.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise click.UsageError(f"{error.filename} is there already; remove it, or give --out") from None
        raise
