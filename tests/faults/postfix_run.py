"""Letters through Debian's Postfix, by STARTTLS, into a mailbox: `make postfix`, as root.

Postfix runs with a configuration, a queue and a certificate of its own in a folder that is thrown away; nothing of the
machine's mail is touched. It takes letters for acme.example and for a domain that is not ASCII, and keeps them.
"""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from tests.certificates import make_certificates
from tests.process import RainbowServer, free_port

DOMAINS = "acme.example, xn--bcher-kva.example"
PATIENCE_S = 30.0


@contextmanager
def postfix(folder: Path) -> Iterator[tuple[int, Path]]:
    """A running Postfix: its port, and the authority of its certificate; `folder/boxes` has the mailboxes."""
    files = make_certificates(folder)
    port, etc = free_port(), folder / "etc"
    for name in ("etc", "queue", "data", "boxes"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "boxes", "nobody", "nogroup")
    nobody = (folder / "boxes").stat()
    (etc / "main.cf").write_text(
        f"""
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
multi_instance_enable = yes
multi_instance_name = postfix-rainbow
myhostname = localhost
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
virtual_mailbox_domains = {DOMAINS}
virtual_mailbox_maps = static:box/
virtual_mailbox_base = {folder}/boxes
virtual_uid_maps = static:{nobody.st_uid}
virtual_gid_maps = static:{nobody.st_gid}
virtual_transport = virtual
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {files.certificate}
smtpd_tls_key_file = {files.key}
smtpd_relay_restrictions = reject_unauth_destination
"""
    )
    master = Path("/usr/share/postfix/master.cf.dist").read_text().splitlines()
    services = [line for line in master if line[:1] not in "# \t" and not line.startswith("smtp      inet")]
    services = [line.replace(" y ", " n ", 1) if " unix " in line else line for line in services]
    services += [f"127.0.0.1:{port} inet n - n - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
    (etc / "master.cf").write_text("\n".join(dict.fromkeys(services)) + "\n")
    subprocess.run(["postfix", "-c", etc, "start"], check=True, capture_output=True)
    try:
        yield port, files.ca
    finally:
        subprocess.run(["postfix", "-c", etc, "stop"], check=True, capture_output=True)


def arrived(boxes: Path, number: int) -> list[EmailMessage]:
    """That many letters, once they are there."""
    end = time.monotonic() + PATIENCE_S
    while len(found := sorted(boxes.glob("box/new/*"))) < number:
        assert time.monotonic() < end, f"{len(found)} of {number} letters arrived in {PATIENCE_S} s"
        time.sleep(0.1)
    return [
        email.message_from_bytes(file.read_bytes(), EmailMessage, policy=email.policy.default)  # type: ignore[arg-type]
        for file in found
    ]


def main() -> int:
    """Send and look; the exit code."""
    if os.geteuid() != 0 or shutil.which("postfix") is None:
        print("This needs root and Debian's postfix: apt-get install postfix", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="rainbow-postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "chat").mkdir()
        with postfix(folder) as (port, authority):
            mail = {"transport": "smtp", "host": "localhost", "port": port, "authority": str(authority)}
            server = RainbowServer(
                folder / "chat", settings={"mail": mail | {"sender": "no-reply@acme.example"}}
            )
            server.start()
            try:
                print(server.cli("check", "mail", "--to", "ann@acme.example").strip())
                for address in ("bob@acme.example", "zoe@bücher.example"):
                    server.cli("user", "invite", address, "--company", "Acme", "--reason", "new")
                letters = arrived(folder / "boxes", 3)
            finally:
                server.stop()
        for letter in letters:
            print()
            for header, value in letter.items():
                print(f"{header}: {' '.join(str(value).split())}")
            assert "with ESMTPS" in str(letter["Received"]), "it did not come by TLS"
            assert letter["Auto-Submitted"] == "auto-generated" and letter["Message-ID"] and letter["Date"]
            assert letter["Content-Language"] == "en" and letter["DKIM-Signature"] is None
            assert letter.get_body(("plain",)) is not None and letter.get_body(("html",)) is not None
        assert {str(letter["To"]) for letter in letters} == {
            "ann@acme.example",
            "bob@acme.example",
            "zoe@xn--bcher-kva.example",
        }
        print(f"\n{len(letters)} letters arrived by TLS, with their headers and both parts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
