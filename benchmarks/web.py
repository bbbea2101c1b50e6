"""Static files over HTTP and HTTPS: wrk against netservices, nginx, lighttpd, twistd web and http.server.

One thread of wrk on one core, one worker of each server on another; every server writes its access log. Keep-alive
everywhere, and the same files and certificate.
"""

from __future__ import annotations

import http.client
import os
import random
import ssl
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measure import OURS, Outcome, Settings, VoidError, measure, run_client
from benchmarks.peers import (
    LIMITS,
    AbsentError,
    Field,
    Server,
    find_package,
    find_port,
    find_program,
    find_twistd,
    find_version,
    make_certificate,
    start_netservices,
    start_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TITLE = "Static files"
NOTE = (
    "`wrk -t1`, keep-alive; one worker of each server; every server writes an access log (nginx and lighttpd in their "
    "default way, nginx with `sendfile on; tcp_nopush on`); the same files and the same P-256 certificate."
)


@dataclass(frozen=True)
class Case:
    """One file, fetched over and over."""

    title: str
    scheme: str
    file: str
    size: int
    connections: int
    whole: bool = True
    """Whether answers are counted, or, where few of them are finished in the time, bytes."""


CASES = (
    Case("GET 1 KiB", "tcp", "1k.bin", 1024, 64),
    Case("GET 100 KiB", "tcp", "100k.bin", 100 * 1024, 64),
    Case("GET 100 MiB", "tcp", "100m.bin", 100 * 1024 * 1024, 4, whole=False),
    Case("GET 1 KiB over HTTPS", "tls", "1k.bin", 1024, 64),
)

DONE = """
done = function(summary)
  local e = summary.errors
  io.write(string.format("sum %d %d %d %d %d\\n", summary.duration, summary.requests, summary.bytes,
    e.connect + e.read + e.write + e.timeout, e.status))
end
"""
"""wrk's numbers in full: microseconds, answers, bytes, socket errors, answers of status 400 and above."""

NGINX = """
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log {directory}/access.log combined;
  sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 300s; default_type text/plain;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
  server {{ listen 127.0.0.1:{tcp} backlog=1024; listen 127.0.0.1:{tls} ssl backlog=1024; root {root}; }}
}}
"""

LIGHTTPD = """
server.modules = ("mod_accesslog", "mod_openssl")
server.document-root = "{root}"
server.bind = "127.0.0.1"
server.port = {tcp}
server.max-fds = 8192
server.max-connections = 4096
server.max-keep-alive-requests = 65535
server.errorlog = "{directory}/error.log"
accesslog.filename = "{directory}/access.log"
mimetype.assign = ("" => "text/plain")
$SERVER["socket"] == "127.0.0.1:{tls}" {{
  ssl.engine = "enable"
  ssl.pemfile = "{certificate}"
  ssl.privkey = "{key}"
}}
"""

OURS_CONFIG = """
[tls]
certificate = "{certificate}"
key = "{key}"
[admission]
{limits}
[services.web]
listen = ["tcp:0:interface=127.0.0.1", "tls:0:interface=127.0.0.1"]
root = "{root}"
access_log = "{directory}/access.log"
"""


@dataclass(frozen=True)
class Site:
    """What every contestant serves."""

    directory: Path
    root: Path
    certificate: Path
    key: Path

    def fill(self, template: str, name: str, **more: object) -> tuple[Path, str]:
        """A contestant's own folder, and its configuration."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        text = template.format(directory=directory, root=self.root, certificate=self.certificate, key=self.key, **more)
        return directory, text


def make_site(directory: Path) -> Site:
    """Write the files: noise, so that nobody gains by packing it, and the same in every run."""
    certificate, key = make_certificate(directory)
    root = directory / "root"
    root.mkdir()
    for case in CASES:
        (root / case.file).write_bytes(random.Random(case.size).randbytes(case.size))  # noqa: S311 - noise, no secret
    return Site(directory, root, certificate, key)


def start_ours(site: Site) -> Server:
    """Netservices with one web section."""
    directory, text = site.fill(OURS_CONFIG, OURS, limits=LIMITS)
    return start_netservices(directory, text, "web")


def start_nginx(site: Site) -> Server:
    """One nginx with one worker."""
    program = find_program("nginx")
    ports = {"tcp": find_port(), "tls": find_port()}
    directory, text = site.fill(NGINX, "nginx", user="user root;" if os.getuid() == 0 else "", **ports)
    config = directory / "nginx.conf"
    config.write_text(text)
    argv = [program, "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(config)]
    return start_server(argv, directory, ports, find_version("nginx", program, "-v"))


def start_lighttpd(site: Site) -> Server:
    """One lighttpd, which has one process."""
    program = find_program("lighttpd")
    ports = {"tcp": find_port(), "tls": find_port()}
    directory, text = site.fill(LIGHTTPD, "lighttpd", **ports)
    config = directory / "lighttpd.conf"
    config.write_text(text)
    version = find_version("lighttpd", program, "-v")
    try:
        return start_server([program, "-D", "-f", str(config)], directory, ports, version)
    except AbsentError:
        # Debian packs the TLS module apart; without it lighttpd still takes part over plain HTTP.
        config.write_text(text.partition("$SERVER")[0].replace(', "mod_openssl"', ""))
        return start_server([program, "-D", "-f", str(config)], directory, {"tcp": ports["tcp"]}, version)


def start_twistd_web(site: Site) -> Server:
    """Twisted's own web server."""
    port = find_port()
    directory = site.directory / "twistd-web"
    argv = [*find_twistd(), "--logfile=twistd.log", "web", "--listen", f"tcp:{port}:interface=127.0.0.1"]
    argv += ["--path", str(site.root), "--logfile", "access.log"]
    return start_server(argv, directory, {"tcp": port}, f"Twisted {find_package('Twisted')}")


def start_http_server(site: Site) -> Server:
    """The standard library's, a thread for each connection; its access log is stderr."""
    port = find_port()
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"]
    argv += ["--directory", str(site.root), str(port)]
    return start_server(argv, site.directory / "http-server", {"tcp": port}, f"Python {sys.version.split()[0]}")


def check_answer(server: Server, site: Site, case: Case) -> None:
    """Fetch the file once. Raises ``VoidError`` unless status and bytes are right."""
    context = ssl.create_default_context(cafile=str(site.certificate))
    port = server.ports[case.scheme]
    if case.scheme == "tls":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=30, context=context
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", f"/{case.file}")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise VoidError(f"no answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise VoidError(f"status {answer.status}")
    if body != (site.root / case.file).read_bytes():
        raise VoidError("the answer is not the file")


def parse_wrk(output: str, *, whole: bool) -> float:
    """The closing numbers of wrk to answers a second, or MiB a second. Raises ``VoidError`` unless all went well."""
    line = next((line for line in output.splitlines() if line.startswith("sum ")), None)
    if line is None:
        raise VoidError("wrk said nothing")
    duration, answers, size, broken, refused = (int(word) for word in line.split()[1:])
    if broken or refused:
        raise VoidError(f"{broken} socket errors, {refused} answers that are not 2xx")
    if not answers:
        raise VoidError("no answer was finished in the time")
    return (answers if whole else size / 2**20) / (duration / 1e6)


def sample(server: Server, site: Site, case: Case, script: Path, seconds: float) -> float:
    """One run of wrk. Raises ``VoidError``."""
    check_answer(server, site, case)
    url = f"{'https' if case.scheme == 'tls' else 'http'}://127.0.0.1:{server.ports[case.scheme]}/{case.file}"
    argv = [
        "wrk",
        "-t1",
        f"-c{case.connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "30s",
        "-s",
        str(script),
        url,
    ]
    return parse_wrk(run_client(argv, seconds + 60), whole=case.whole)


def run_benchmark(settings: Settings) -> Iterator[tuple[Outcome, dict[str, str]]]:
    """Measure every case; with the contestants' versions. Raises ``AbsentError`` without wrk or openssl."""
    find_program("wrk")
    site = make_site(settings.directory)
    script = settings.directory / "done.lua"
    script.write_text(DONE)
    starters = {
        OURS: start_ours,
        "nginx": start_nginx,
        "lighttpd": start_lighttpd,
        "twistd web": start_twistd_web,
        "http.server": start_http_server,
    }
    with Field() as contestants:
        for name, starter in starters.items():
            contestants.start(name, partial(starter, site))
        versions = {name: server.version for name, server in contestants.servers.items()}
        for case in CASES:
            servers = contestants.having(case.scheme)
            samplers = {
                name: partial(sample, server, site, case, script, settings.seconds) for name, server in servers.items()
            }
            unit = "answers/s" if case.whole else "MiB/s"
            title = f"{case.title}, {case.connections} connections"
            plain = dict.fromkeys(contestants.servers.keys() - servers.keys(), "speaks no TLS here")
            yield measure(title, unit, samplers, settings.rounds, contestants.absent | plain), versions
