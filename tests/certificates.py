"""A certificate for 127.0.0.1 that nobody else trusts, made anew for each run of the tests."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """Files of a self-signed certificate and its key."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """One that trusts this certificate."""
        return ssl.create_default_context(cafile=str(self.cert))


def self_signed(folder: Path, name: str = "IP:127.0.0.1,DNS:exchange.test") -> Certificate:
    """Makes a certificate with the openssl command. name: what it is for, as a subjectAltName."""
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=exchange.test", "-addext", f"subjectAltName={name}",
         "-keyout", str(made.key), "-out", str(made.cert)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return made
