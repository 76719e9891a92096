"""schemathesis against a running server, from the document it serves: nothing is a fault, nothing undocumented.

`make leaks` does it for minutes, `test_api_fuzz.py` with a few requests for each endpoint.
"""

from __future__ import annotations

import argparse
import json
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.process import Person, RainbowServer

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SETTINGS = {"plugins": {"rest_api": {"requests_per_minute": 0, "anonymous_per_minute": 0}}}
ENDS_THE_LOGIN = ("/auth/logout", "/users/me/password", "/users/me/sessions")
"""Asked only by who has no login, or nothing else could be asked."""


class Api:
    """The API of a running server, as an operator calls it about another company."""

    def __init__(self, server: RainbowServer) -> None:
        self._server = server
        endpoint = server.endpoint
        self.url = f"https://localhost:{endpoint.port}/api/v1"
        self._tls = ssl.create_default_context(cafile=str(endpoint.ca_file))
        self.operator, self.other = server.new_person("Acme"), server.new_person("Globex")
        server.cli("user", "set", self.operator.email, "--role", "operator")

    def log_in(self, person: Person) -> dict[str, str]:
        """A pair of tokens."""
        basic = b64encode(f"{person.localpart}:{person.password}".encode()).decode()
        return dict(self._ask("POST", "/auth/login", f"Basic {basic}"))

    def run(
        self, folder: Path, *, examples: int, seed: int, anonymous: bool = False, only_open: bool = False
    ) -> str:
        """Let schemathesis try; what it says when it found something, "" when it did not.

        `only_open` leaves out what wants a token, which `test_api_matrix.py` asks for without a good one.
        """
        (folder / "schemathesis.toml").write_text(self._parameters())
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml"),
            "run", f"{self.url}/openapi.json",
            "--url", self.url,
            "--checks", ",".join(CHECKS),
            "--max-examples", str(examples),
            "--seed", str(seed),
            "--phases", "examples,coverage,fuzzing",
            "--tls-verify", str(self._server.endpoint.ca_file),
            "--generation-database", "none",
            "--suppress-health-check", "all",
            "--continue-on-failure",
            "--no-color",
        ]  # fmt: skip
        if not anonymous:
            token = self.log_in(self.operator)["access_token"]
            command += ["--header", f"Authorization: Bearer {token}"]
            for path in ENDS_THE_LOGIN:
                command += ["--exclude-path", path]
        if only_open:
            for path in self._open_paths():
                command += ["--include-path", path]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
        return "" if done.returncode == 0 else done.stdout[-20_000:] + done.stderr[-3000:]

    def _parameters(self) -> str:
        """Ids that there are: of a company and of somebody in it."""
        pair = self.log_in(self.other)
        me = self._ask("GET", "/users/me", f"Bearer {pair['access_token']}")
        return f'[parameters]\n"path.company_id" = "{me["company_id"]}"\n"path.user_id" = "{me["id"]}"\n'

    def _open_paths(self) -> list[str]:
        """Where something wants no token."""
        paths = self._ask("GET", "/openapi.json", "")["paths"]
        return [path for path, item in paths.items() if any(_is_open(each) for each in item.values())]

    def _ask(self, method: str, path: str, authorization: str) -> dict[str, Any]:
        headers = {"Authorization": authorization}
        request = urllib.request.Request(f"{self.url}{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, context=self._tls) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def _is_open(operation: Any) -> bool:
    return isinstance(operation, dict) and {"token": []} not in operation.get("security", [{"token": []}])


def main(examples: int, seed: int) -> int:
    """A server of its own, asked for long; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        server = RainbowServer(Path(folder), settings=SETTINGS)
        server.start()
        try:
            api = Api(server)
            for anonymous in (True, False):
                found = api.run(Path(folder), examples=examples, seed=seed, anonymous=anonymous)
                print(found or f"nothing found {'without' if anonymous else 'with'} a login")
                if found:
                    return 1
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(main(given.examples, given.seed))
