"""Debian's Prosody: with the configuration Debian ships, tuned for this load, and the same with history in SQLite."""

import hashlib
import hmac
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import ClassVar

from benchmarks.accounts import Account
from benchmarks.plan import DOMAIN
from benchmarks.servers.base import Server

ITERATIONS = 10_000
SHIPPED_MODULES = """
    disco roster saslauth tls blocklist bookmarks carbons limits pep private smacks vcard4 vcard_legacy
    csi_simple invites invites_adhoc invites_register ping register time uptime version admin_adhoc
    posix websocket
"""
TUNED_MODULES = "disco roster saslauth ping posix websocket"


class Prosody(Server):
    """Debian's modules and its limit of 10 kB/s for a connection; WebSocket and direct TLS switched on."""

    name = "prosody"
    label = "prosody, as shipped"
    system_user = "prosody"
    can_keep_history = True
    resumptions = ("classic",)
    modules: ClassVar[str] = SHIPPED_MODULES
    settings: ClassVar[str] = 'limits = { c2s = { rate = "10kb/s" } }'

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("prosody") else "prosody is not installed (apt-get install prosody)"

    def command(self) -> list[str]:
        self._config.write_text(self._configuration())
        return ["prosody", "-F", "--config", str(self._config)]

    def prepare(self, accounts: Sequence[Account]) -> None:
        folder = self.site.directory / "data" / DOMAIN / "accounts"
        folder.mkdir(parents=True)
        with ThreadPoolExecutor(2) as pool:
            for account, text in zip(accounts, pool.map(_stored_account, accounts), strict=True):
                (folder / f"{account.user}.dat").write_text(text)

    @property
    def _config(self) -> Path:
        return self.site.directory / "prosody.cfg.lua"

    def _configuration(self) -> str:
        wanted = {"mam": self.keeps_history, "smacks": self.keeps_sessions}
        added = [module for module, is_wanted in wanted.items() if is_wanted]
        modules = " ".join(f'"{module}";' for module in dict.fromkeys([*self.modules.split(), *added]))
        return f"""
            modules_enabled = {{ {modules} }}
            modules_disabled = {{ "s2s" }}
            {self.settings}
            data_path = "{self.site.directory}/data"
            pidfile = "{self.site.directory}/prosody.pid"
            log = {{ warn = "*console" }}
            authentication = "internal_hashed"
            interfaces = {{ "127.0.0.1" }}
            c2s_ports = {{ }}
            c2s_direct_tls_ports = {{ {self.tls_port} }}
            http_ports = {{ }}
            https_ports = {{ {self.wss_port} }}
            https_interfaces = {{ "127.0.0.1" }}
            ssl = {{ certificate = "{self.site.certificate}"; key = "{self.site.key}" }}
            VirtualHost "{DOMAIN}"
        """


class TunedProsody(Prosody):
    """Only the modules the load needs, no limits, generational garbage collection."""

    label = "prosody, tuned"
    modules = TUNED_MODULES
    settings = 'gc = { mode = "generational" }'


class SqlProsody(TunedProsody):
    """The same, with history in SQLite. It sets nothing there: a rollback journal, and each transaction is synced."""

    label = "prosody, SQLite"
    is_for_history = True
    settings = f"""{TunedProsody.settings}
            storage = {{ archive = "sql" }}
            sql = {{ driver = "SQLite3", database = "prosody.sqlite" }}"""

    @classmethod
    def missing(cls) -> str:
        driver = any(Path("/usr/lib").glob("*/lua/*/dbd/sqlite3.so"))
        return super().missing() or ("" if driver else "lua-dbi-sqlite3 is not installed")


@cache  # all rows have the same people
def _stored_account(account: Account) -> str:
    """A file of mod_auth_internal_hashed: the SCRAM-SHA-1 keys (RFC 5802 §3) under a salt."""
    salt = hashlib.sha256(account.user.encode()).hexdigest()[:36]
    salted = hashlib.pbkdf2_hmac("sha1", account.password.encode(), salt.encode(), ITERATIONS)
    stored_key = hashlib.sha1(hmac.digest(salted, b"Client Key", "sha1")).hexdigest()
    server_key = hmac.digest(salted, b"Server Key", "sha1").hex()
    return (
        f'return {{ ["salt"] = "{salt}"; ["iteration_count"] = {ITERATIONS}; '
        f'["stored_key"] = "{stored_key}"; ["server_key"] = "{server_key}"; }};\n'
    )
