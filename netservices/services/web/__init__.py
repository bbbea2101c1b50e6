"""Web: a directory tree over HTTP/1.1 and HTTPS."""

from netservices.http import accesslog, site
from netservices.kind import ServiceKind
from netservices.services.web import documents, service
from netservices.services.web.options import WebOptions
from netservices.services.web.service import make_web

KIND = ServiceKind(
    name="web",
    summary="serves files over HTTP/1.1 and HTTPS",
    options=WebOptions,
    make=make_web,
    tryout={"listen": ["tcp:80", "tls:443"]},
    events=(*site.EVENTS, *accesslog.EVENTS, *documents.EVENTS, *service.EVENTS),
)
