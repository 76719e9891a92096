"""Our own server, run from this checkout as an administrator would run it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.accounts import COMPANY, STORM_COMPANY, Account, write_csv
from benchmarks.errors import BenchError
from benchmarks.plan import DOMAIN
from benchmarks.servers.base import Server
from rainbow_xmpp.auth.tokens import new_signing_key

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "examples" / "bench.toml"


class Rainbow(Server):
    """The shipped `conf/examples/bench.toml`, moved into a folder of its own by the environment."""

    name = "rainbow"
    label = "rainbow"
    can_keep_history = True
    resumptions = ("classic", "inline", "fast")

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.tls_port = self.wss_port
        self.has_company_roster = False
        """At the next start; without it a person's roster is what others' servers have, too."""
        self._sealing_key = secrets.token_hex(32)
        self._token_key = new_signing_key()

    @classmethod
    def missing(cls) -> str:
        if not CONFIG.exists():
            return f"{CONFIG.relative_to(ROOT)} is not there"
        return "" if (ROOT / "rainbow_xmpp" / "__main__.py").exists() else "rainbow_xmpp has no __main__ yet"

    @classmethod
    def version(cls) -> str:
        """The commit, marked when files were changed since."""
        command = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() or "unknown"

    def command(self) -> list[str]:
        return [*self._program, "run"]

    def environment(self) -> Mapping[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "RAINBOW_DOMAIN": DOMAIN,
            "RAINBOW_LISTEN__ADDRESS": "127.0.0.1",
            "RAINBOW_LISTEN__PORT": str(self.wss_port),
            "RAINBOW_LISTEN__REDIRECT_PORT": "0",
            "RAINBOW_TLS__CERTIFICATE": str(self.site.certificate),
            "RAINBOW_TLS__KEY": str(self.site.key),
            "RAINBOW_AUTH__SEALING_KEY": self._sealing_key,
            "RAINBOW_AUTH__TOKEN_KEY": self._token_key,
            "RAINBOW_PLUGINS__COMPANY_ROSTER__ENABLED": str(self.has_company_roster).lower(),
            "RAINBOW_PLUGINS__ARCHIVE__ENABLED": str(self.keeps_history).lower(),
            "RAINBOW_STORAGE__URL": f"sqlite+aiosqlite:///{self.site.directory}/rainbow.db",
        }

    def prepare(self, accounts: Sequence[Account]) -> None:
        people = self.site.directory / "people.csv"
        write_csv(accounts, people)
        companies = (["company", "add", name] for name in (COMPANY, STORM_COMPANY))
        for arguments in (["db", "upgrade"], *companies, ["user", "import", str(people)]):
            self._run(arguments)

    def is_ready(self) -> bool:
        return "ready" in self.log_end() and super().is_ready()

    @property
    def _program(self) -> list[str]:
        return [sys.executable, "-m", "rainbow_xmpp", "--config", str(CONFIG)]

    def _run(self, arguments: list[str]) -> None:
        done = subprocess.run(
            [*self._program, *arguments],
            cwd=self.site.directory,
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )
        if done.returncode:
            raise BenchError(
                f"rainbow-xmpp {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"[-2000:]
            )
