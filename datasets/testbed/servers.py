"""The web servers of a session, inside the server's namespace: nginx (HTTP/2) or caddy (HTTP/3) for the films.

The cross traffic's bytes come from an nginx of their own, over HTTP/1.1. Each lane has its own servers, in the
foreground as the current user, with configuration, certificate and key in a temporary folder. No server times out a
client sooner than ``PATIENCE`` s: an outage only delays. TCP's congestion control is the namespace's.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from session import CROSS_PORT, HOST, SERVER_ADDRESS

if TYPE_CHECKING:
    from lane import Lane, Process

PORT = 443
CROSS_FILE = "bytes.bin"
CROSS_BYTES = 8_000_000
PATIENCE = 3600
READY = 20.0


class ServerError(Exception):
    """A server doesn't start."""


@dataclass(frozen=True)
class Certificate:
    """A throw-away certificate: PEM files, and the base64 SHA-256 of its public key."""

    path: Path
    key: Path
    spki: str


@dataclass(frozen=True)
class Serving:
    """Servers that run: where they are, and the certificate to pin."""

    certificate: Certificate
    address: str
    port: int
    cross_port: int
    url: str

    def config(self) -> dict[str, Any]:
        """Return the entries of a player's configuration that say where its server is."""
        return {
            "url": self.url,
            "address": self.address,
            "port": self.port,
            "cross_port": self.cross_port,
            "certificate": str(self.certificate.path),
            "spki": self.certificate.spki,
        }


@contextmanager
def serve(lane: Lane, media: Path, clip: str, protocol: str, folder: Path, cross: bool = False) -> Iterator[Serving]:
    """Serve the films over ``protocol`` ("h2" or "h3"), and the cross traffic's bytes if asked, until the block's end.

    ``folder`` takes certificate, configuration, logs and bytes. Raises ServerError with the server's own words.
    """
    if not (media / clip / "manifest.mpd").is_file():
        raise ServerError(f"{media / clip}: there is no film (manifest.mpd) in this folder")
    folder.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate(folder)
    running: list[Process] = []
    try:
        if protocol == "h2":
            running.append(_start_nginx(lane, folder, "films", nginx_config(folder, "films", media, certificate, PORT)))
        elif protocol == "h3":
            running.append(_start_caddy(lane, folder, caddy_config(media, certificate)))
        else:
            raise ServerError(f"no server speaks '{protocol}' here (h2 and h3 are there)")
        if cross:
            objects = folder / "objects"
            objects.mkdir(exist_ok=True)
            (objects / CROSS_FILE).write_bytes(random.Random(CROSS_BYTES).randbytes(CROSS_BYTES))
            config = nginx_config(folder, "cross", objects, certificate, CROSS_PORT)
            running.append(_start_nginx(lane, folder, "cross", config))
        yield Serving(certificate, SERVER_ADDRESS, PORT, CROSS_PORT, f"https://{HOST}/{clip}/manifest.mpd")
    finally:
        for process in running:
            process.stop()


def make_certificate(folder: Path) -> Certificate:
    """Write a self-signed certificate for the host and the server's address, valid for a month, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address(SERVER_ADDRESS))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path, secret = folder / "certificate.pem", folder / "key.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Certificate(path, secret, base64.b64encode(hashlib.sha256(public).digest()).decode())


def nginx_config(folder: Path, name: str, root: Path, certificate: Certificate, port: int) -> str:
    """Return nginx's configuration: one process, all of its files in ``folder``."""
    temporary = "".join(
        f"  {kind}_temp_path {_quoted(folder / f'{name}-{kind}')};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    http2 = " http2" if port == PORT else ""
    return f"""daemon off;
master_process off;
pid {_quoted(folder / f"{name}.pid")};
error_log {_quoted(folder / f"{name}.log")} warn;
events {{ worker_connections 512; }}
http {{
{temporary}  access_log off;
  types {{ application/dash+xml mpd; video/mp4 m4s; text/html html; }}
  default_type application/octet-stream;
  tcp_nodelay on;
  keepalive_requests 1000000;
  keepalive_timeout {PATIENCE}s;
  client_header_timeout {PATIENCE}s;
  send_timeout {PATIENCE}s;
  http2_max_concurrent_streams 128;
  http2_chunk_size 16k;
  server {{
    listen {SERVER_ADDRESS}:{port} ssl{http2};
    server_name _;
    ssl_certificate {_quoted(certificate.path)};
    ssl_certificate_key {_quoted(certificate.key)};
    ssl_protocols TLSv1.3;
    root {_quoted(root)};
    add_header Access-Control-Allow-Origin * always;
    add_header Timing-Allow-Origin * always;
  }}
}}
"""


def caddy_config(media: Path, certificate: Certificate) -> dict[str, Any]:
    """Return caddy's configuration: HTTP/3 and HTTP/2 on one port, no administration, nothing saved."""
    headers = {"Access-Control-Allow-Origin": ["*"], "Timing-Allow-Origin": ["*"]}
    handlers = [
        {"handler": "headers", "response": {"set": headers}},
        {"handler": "file_server", "root": str(media)},
    ]
    server = {
        "listen": [f"{SERVER_ADDRESS}:{PORT}"],
        "protocols": ["h1", "h2", "h3"],
        "idle_timeout": f"{PATIENCE}s",
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{"certificate_selection": {"any_tag": ["session"]}}],
        "routes": [{"handle": handlers}],
    }
    files = [{"certificate": str(certificate.path), "key": str(certificate.key), "tags": ["session"]}]
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"servers": {"films": server}}, "tls": {"certificates": {"load_files": files}}},
    }


def _start_nginx(lane: Lane, folder: Path, name: str, config: str) -> Process:
    port = CROSS_PORT if name == "cross" else PORT
    _require_free(lane, port, "tcp")
    path = folder / f"{name}.conf"
    path.write_text(config, encoding="utf-8")
    log = folder / f"{name}.out"
    process = lane.popen(lane.server, ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(path)], log=log)
    _wait_until_ready(lane, process, port, "tcp", [log, folder / f"{name}.log"])
    return process


def _start_caddy(lane: Lane, folder: Path, config: Mapping[str, Any]) -> Process:
    _require_free(lane, PORT, "udp")
    path = folder / "caddy.json"
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    log = folder / "films.out"
    home = str(folder)
    # One lane's server has no use for more than one core, and its threads would crowd out the other lanes.
    environment = {"HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home, "GOMAXPROCS": "1"}
    process = lane.popen(lane.server, ["caddy", "run", "--config", str(path)], log=log, env=environment)
    _wait_until_ready(lane, process, PORT, "udp", [log])
    return process


def _wait_until_ready(lane: Lane, process: Process, port: int, transport: str, logs: list[Path]) -> None:
    """Wait until the port is bound in the server's namespace; nothing crosses the link for it."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"the server ended with status {process.returncode}: {_last_words(logs)}")
        if _taken(lane, port, transport):
            return
        time.sleep(0.03)
    process.stop()
    raise ServerError(f"the server isn't ready after {READY:.0f} s: {_last_words(logs)}")


def _require_free(lane: Lane, port: int, transport: str) -> None:
    if _taken(lane, port, transport):
        raise ServerError(f"another server has {SERVER_ADDRESS}:{port} in {lane.server}")


def _taken(lane: Lane, port: int, transport: str) -> bool:
    return is_bound(lane.run(lane.server, ["cat", f"/proc/net/{transport}"]).stdout, SERVER_ADDRESS, port)


def is_bound(table: str, address: str, port: int) -> bool:
    """Return whether /proc/net/tcp's or udp's ``table`` has a socket that waits on the address and port."""
    number = int.from_bytes(ipaddress.ip_address(address).packed, "little")
    wanted = f"{number:08X}:{port:04X}"
    rows = [row.split() for row in table.splitlines()[1:]]
    return any(len(row) > 3 and row[1] == wanted and row[3] in ("0A", "07") for row in rows)


def _last_words(logs: list[Path]) -> str:
    words = " ".join(path.read_text(encoding="utf-8", errors="replace") for path in logs if path.is_file())
    return words.strip()[-500:] or "it said nothing"


def _quoted(path: Path) -> str:
    text = str(path)
    if any(character in text for character in '"\\$\n'):
        raise ServerError(f"{text}: nginx can't be told of a path like this")
    return f'"{text}"'
