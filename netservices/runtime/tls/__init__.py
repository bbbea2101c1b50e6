"""TLS for every service: certificates, handshakes, and the layer between a session and its transport."""

from netservices.config.pem import CertificateError, KeyedCertificate, load_keyed_certificate
from netservices.runtime.tls.authority import LocalAuthority
from netservices.runtime.tls.contexts import ClientTrust, ServerCertificates
from netservices.runtime.tls.identity import (
    ClientCertificate,
    describe_certificate,
    find_account,
    make_client_certificate,
    parse_certificate_key,
)
from netservices.runtime.tls.server import (
    CertificateLoader,
    ClientDemand,
    ServerCreator,
    ServerMaterial,
    ServerTls,
    list_trusted,
    make_client_demand,
    make_server_tls,
)
from netservices.runtime.tls.transport import SessionTlsFactory, describe_tls_failure, make_tls_layer
from netservices.runtime.tls.upgrade import ClosedTransport, SessionUpgrade, TlsStarted
from netservices.runtime.tls.watch import CertificateWatch

__all__ = [
    "CertificateError",
    "CertificateLoader",
    "CertificateWatch",
    "ClientCertificate",
    "ClientDemand",
    "ClientTrust",
    "ClosedTransport",
    "KeyedCertificate",
    "LocalAuthority",
    "ServerCertificates",
    "ServerCreator",
    "ServerMaterial",
    "ServerTls",
    "SessionTlsFactory",
    "SessionUpgrade",
    "TlsStarted",
    "describe_certificate",
    "describe_tls_failure",
    "find_account",
    "list_trusted",
    "load_keyed_certificate",
    "make_client_certificate",
    "make_client_demand",
    "make_server_tls",
    "make_tls_layer",
    "parse_certificate_key",
]
