"""Debian's Prosody, set up like a Rainbow server as far as it can be: it proves the tests themselves."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.certificates import make_certificates
from tests.conformance.wire import Endpoint
from tests.process import ChatServer, Person, free_port

_CONFIG = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "{host}" }}
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "ping", "private", "vcard", "offline", "blocklist", "time", "version",
    "lastactivity", "websocket", "net_multiplex",
}}
modules_disabled = {{ "s2s" }}
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = true
consider_websocket_secure = true
c2s_ports = {{ {starttls_port} }}
c2s_direct_tls_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
ports = {{ }}
ssl_ports = {{ {port} }}
ssl = {{ certificate = "{certificate}", key = "{key}" }}
VirtualHost "{domain}"
    http_host = "{domain}"
    http_paths = {{ websocket = "{path}" }}
"""


class ProsodyServer(ChatServer):
    """Prosody 0.12 with WebSocket and direct TLS on one port; it knows no log in by e-mail."""

    offers_email_login = False
    offers_channel_binding = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        files = make_certificates(folder)
        self.endpoint = Endpoint(free_port(), files.ca, starttls_port=free_port())
        e = self.endpoint
        config = _CONFIG.format(
            folder=folder,
            host=e.host,
            port=e.port,
            starttls_port=e.starttls_port,
            domain=e.domain,
            path=e.path,
            certificate=files.certificate,
            key=files.key,
        )
        (folder / "prosody.cfg.lua").write_text(config)
        self._accounts = folder / "data" / e.domain / "accounts"
        self._accounts.mkdir(parents=True)

    def start(self) -> None:
        command = ["prosody", "-F", "--config", str(self.folder / "prosody.cfg.lua")]
        self._launch(command, os.environ, r"Activated service 'multiplex_ssl' on \[127")

    def add_people(self, people: Sequence[Person]) -> None:
        for person in people:
            name = person.localpart.replace("-", "%2d")
            (self._accounts / f"{name}.dat").write_text(
                f'return {{ ["password"] = "{person.password}"; }};\n'
            )

    def assert_no_fault(self, since: int = 0) -> None:
        """Its faults are its own: Debian's version logs a traceback about presence errors, for one."""
