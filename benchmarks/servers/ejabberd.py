"""Debian's ejabberd: its shipped modules, without the traffic shaper and the presence limiter.

Its history is kept in Mnesia as shipped, and in a second row in SQLite, which its configuration recommends.
"""

import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.accounts import Account
from benchmarks.errors import BenchError
from benchmarks.plan import DOMAIN, WEBSOCKET_PATH
from benchmarks.servers.base import Server, accepts, free_port

MODULES = """
    mod_adhoc mod_admin_extra mod_blocking mod_caps mod_carboncopy mod_client_state mod_configure
    mod_disco mod_http_api mod_last mod_offline mod_ping mod_privacy mod_private mod_pubsub mod_push
    mod_push_keepalive mod_roster mod_s2s_dialback mod_stream_mgmt mod_vcard mod_vcard_xupdate mod_version
"""
SQL_SCHEMA = Path("/usr/share/ejabberd/sql/lite.sql")
TLS_OPTIONS = "[no_sslv3, no_tlsv1, no_tlsv1_1, cipher_server_preference, no_compression]"


class Ejabberd(Server):
    """Runs without Erlang distribution, so that no port mapper is started and no name is taken."""

    name = "ejabberd"
    label = "ejabberd, no shaper"
    system_user = "ejabberd"
    history_options: ClassVar[str] = ""
    can_keep_history = True
    resumptions = ("classic",)

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._api_port = free_port()

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("ejabberdctl", path="/usr/sbin:/usr/bin") else "ejabberd is not installed"

    def command(self) -> list[str]:
        spool = self.site.directory / "spool"
        return [
            *("/usr/bin/erl", "-noinput", "+K", "true", "+P", "250000"),
            *("-mnesia", "dir", f'"{spool}"', "-s", "ejabberd"),
        ]

    def environment(self) -> Mapping[str, str]:
        directory = str(self.site.directory)
        return {
            "EJABBERD_CONFIG_PATH": str(self._config),
            "EJABBERD_LOG_PATH": f"{directory}/ejabberd.log",
            "ERL_LIBS": str(next(Path("/usr/lib").glob("*/ejabberd-*")).parent),
            "ERL_CRASH_DUMP_BYTES": "0",
            "ERL_MAX_PORTS": "32000",
        }

    def start(self, *, pinned: bool = True) -> None:
        self._config.write_text(self._configuration())
        super().start(pinned=pinned)

    def prepare(self, accounts: Sequence[Account]) -> None:
        (self.site.directory / "spool").mkdir()
        self.start(pinned=False)
        try:
            for account in accounts:
                self._register(account)
        finally:
            self.stop()

    def is_ready(self) -> bool:
        return super().is_ready() and accepts(self._api_port)

    @property
    def _config(self) -> Path:
        return self.site.directory / "ejabberd.yml"

    def _more(self) -> str:
        """More of the configuration."""
        return ""

    def _register(self, account: Account) -> None:
        body = {"user": account.user, "host": DOMAIN, "password": account.password}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._api_port}/api/register",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=20).close()
        except OSError as error:
            raise BenchError(f"ejabberd registered no {account.user}: {error}") from None

    def _configuration(self) -> str:
        modules = "\n".join(f"  {module}: {{}}" for module in MODULES.split())
        if self.keeps_history:
            modules += f"\n  mod_mam: {{assume_mam_usage: true, default: always{self.history_options}}}"
        return f"""
loglevel: warning
hosts: [{DOMAIN}]
certfiles: ["{self.site.certificate}", "{self.site.key}"]
listen:
  - {{port: {self.tls_port}, ip: "127.0.0.1", module: ejabberd_c2s, tls: true, max_stanza_size: 262144,
     access: all, shaper: none, backlog: 1000, protocol_options: {TLS_OPTIONS}}}
  - {{port: {self.wss_port}, ip: "127.0.0.1", module: ejabberd_http, tls: true, backlog: 1000,
     protocol_options: {TLS_OPTIONS}, request_handlers: {{"{WEBSOCKET_PATH}": ejabberd_http_ws}}}}
  - {{port: {self._api_port}, ip: "127.0.0.1", module: ejabberd_http,
     request_handlers: {{/api: mod_http_api}}}}
disable_sasl_mechanisms: [digest-md5, X-OAUTH2]
auth_password_format: scram
acl:
  local: {{user_regexp: ""}}
  loopback: {{ip: [127.0.0.0/8]}}
access_rules:
  local: {{allow: local}}
api_permissions:
  provisioning: {{who: {{ip: 127.0.0.0/8}}, what: [register]}}
shaper_rules:
  max_user_sessions: 10
  max_user_offline_messages: 100
modules:
{modules}
{self._more()}
"""


class SqlEjabberd(Ejabberd):
    """The same, with history in SQLite. It sets nothing there: a rollback journal, and each transaction is synced."""

    label = "ejabberd, SQLite"
    is_for_history = True
    history_options = ", db_type: sql"

    @classmethod
    def missing(cls) -> str:
        driver = any(Path("/usr/lib/erlang/lib").glob("p1_sqlite3-*"))
        return super().missing() or ("" if driver else "erlang-p1-sqlite3 is not installed")

    def prepare(self, accounts: Sequence[Account]) -> None:
        connection = sqlite3.connect(self._database)
        connection.executescript(SQL_SCHEMA.read_text())
        connection.close()
        super().prepare(accounts)

    @property
    def _database(self) -> Path:
        return self.site.directory / "ejabberd.sqlite"

    def _more(self) -> str:
        return f'sql_type: sqlite\nsql_database: "{self._database}"\n'
