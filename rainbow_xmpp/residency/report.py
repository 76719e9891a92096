"""What an audit of residency says: what was planted, where it was looked for, and what was found."""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rainbow_xmpp import __version__
from rainbow_xmpp.residency.places import Finding, Search
from rainbow_xmpp.residency.policy import Fact

PURPOSE = "residency report"
"""What the secret is called that reports are signed with."""
LIMITS = (
    "It shows that these builds, with this configuration, left none of these texts in the places that were searched. "
    "It does not show: memory of a server, copies that a provider or people made, places that were not searched, "
    "deletion inside of disks."
)


@dataclass(slots=True)
class Report:
    """One search in one region."""

    region: str
    """Where was searched."""
    made_at: str
    planted: Mapping[str, int]
    """How many texts were planted, by the region whose they are."""
    unplanted: Mapping[str, Sequence[str]]
    """Columns that no text was planted in, by region: numbers, words from a list, and texts that are too short."""
    proven: int
    """Wrong copies that the finder was given to prove itself, and found."""
    files: int
    rows: int
    looked_through: int
    """Bytes, those of compressed streams included."""
    streams: int
    searched: Sequence[str]
    unsearched: Sequence[str]
    cut_short: Sequence[str]
    findings: Sequence[Finding]
    policy: Sequence[Fact]
    versions: Mapping[str, str] = field(
        default_factory=lambda: {"rainbow-xmpp": __version__, "python": platform.python_version()}
    )

    @classmethod
    def of(cls, region: str, search: Search, proven: int, policy: Sequence[Fact]) -> Report:
        return cls(
            region=region,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            planted={each.region: len(each.planted) for each in search.known},
            unplanted={each.region: each.unplanted for each in search.known},
            proven=proven,
            files=search.files,
            rows=search.rows,
            looked_through=search.finder.looked_through,
            streams=search.finder.streams,
            searched=search.searched,
            unsearched=search.unsearched,
            cut_short=search.finder.cut_short,
            findings=search.findings,
            policy=policy,
        )

    @property
    def is_clean(self) -> bool:
        """Nothing is where it must not be, and everything that was to be searched was."""
        wrong = [finding for finding in self.findings if not finding.excuse]
        return not wrong and not self.unsearched and not any(fact.is_right is False for fact in self.policy)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"clean": self.is_clean, **asdict(self), "limits": LIMITS}

    @property
    def digest(self) -> str:
        """SHA-256 of the report, which the audit log keeps."""
        return hashlib.sha256(_canonical(self.as_json())).hexdigest()

    def signed(self, key: bytes) -> str:
        """The report as JSON with a signature under this region's key; `is_signed` looks at it."""
        body = self.as_json()
        return json.dumps({"report": body, "signature": _signature(body, key)}, indent=1)

    def lines(self) -> Iterator[str]:
        """For people."""
        wrong = [finding for finding in self.findings if not finding.excuse]
        verdict = "clean" if self.is_clean else "NOT clean"
        yield f"Data of other regions, looked for in {self.region}: {verdict}"
        yield f"  {self.made_at}, " + ", ".join(
            f"{name} {version}" for name, version in self.versions.items()
        )
        for region, count in self.planted.items():
            yield f"  {count} texts of {region} were looked for ({len(self.unplanted[region])} columns have none)"
        yield (
            f"  in {self.files} files and {self.rows} rows, {self.looked_through} bytes and {self.streams} "
            f"compressed streams; the finder found {self.proven} of {self.proven} wrong copies of its own"
        )
        yield from (f"  searched: {place}" for place in self.searched)
        yield from (f"  NOT searched: {place}" for place in self.unsearched)
        yield from (f"  only its beginning was searched: the stream at {place}" for place in self.cut_short)
        for finding in wrong:
            where = f"{finding.place}, at {finding.offset}, {finding.written}"
            yield f"  FOUND: {finding.planted_as} of {finding.of_region} in {where}"
        excused = Counter(
            (finding.of_region, finding.planted_as, finding.excuse) for finding in self.findings
        )
        for (region, planted_as, excuse), count in sorted(excused.items()):
            if excuse:
                yield f"  may be there: {planted_as} of {region}, {count} times: {excuse}"
        marks = {True: "as declared", False: "WRONG", None: "not declared"}
        yield from (f"  {marks[fact.is_right]}: {fact.text}" for fact in self.policy)
        yield f"  {LIMITS}"


def is_signed(text: str, key: bytes) -> bool:
    """A report is as this region wrote it."""
    try:
        found = json.loads(text)
        return hmac.compare_digest(_signature(found["report"], key), found["signature"])
    except (ValueError, KeyError, TypeError):
        return False


def _signature(body: Mapping[str, Any], key: bytes) -> str:
    return hmac.digest(key, _canonical(body), "sha256").hex()


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
