"""TLS for every service: certificates, handshakes, and the layer between a session and its transport."""

from netservices.config.pem import CertificateError, KeyedCertificate, load_keyed_certificate
from netservices.runtime.tls.authority import LocalAuthority
from netservices.runtime.tls.contexts import ServerCertificates
from netservices.runtime.tls.server import CertificateLoader, ServerCreator, ServerMaterial, ServerTls, make_server_tls
from netservices.runtime.tls.transport import SessionTlsFactory, describe_tls_failure, make_tls_layer

__all__ = [
    "CertificateError",
    "CertificateLoader",
    "KeyedCertificate",
    "LocalAuthority",
    "ServerCertificates",
    "ServerCreator",
    "ServerMaterial",
    "ServerTls",
    "SessionTlsFactory",
    "describe_tls_failure",
    "load_keyed_certificate",
    "make_server_tls",
    "make_tls_layer",
]
