"""security.txt: where vulnerabilities are reported (RFC 9116)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

VALID_DAYS = 30


def security_txt(
    contacts: Sequence[str], *, now: float, policy: str = "", languages: Sequence[str] = ()
) -> str:
    """The file, valid for some weeks from this Unix time (seconds); the preferred contact comes first (§2.5.3)."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    expires = today + timedelta(days=VALID_DAYS)
    lines = [f"Contact: {contact}" for contact in contacts]
    lines.append(f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}")
    if languages:
        lines.append(f"Preferred-Languages: {', '.join(languages)}")
    if policy:
        lines.append(f"Policy: {policy}")
    return "\r\n".join(lines) + "\r\n"
