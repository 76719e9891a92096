"""`[stream_management]`: acknowledgements, and sessions that outlive their connection (XEP-0198)."""

from dataclasses import dataclass

from rainbow_xmpp.config.declare import Complaints, key


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamManagementConfig:
    """[stream_management]: acknowledgements, and sessions that outlive their connection (XEP-0198)."""

    resume_s: int = key(
        300,
        "Seconds for which a session is kept when its connection is lost. Until then it is seen as online, and what "
        "it is sent waits for it. 0 = off.",
        ge=0,
        le=86_400,
        reload="live",
    )
    kept_per_account: int = key(
        5,
        "Sessions without a connection that are kept for one account; of more, the one that was lost first ends. "
        "They do not count for limits.resources_per_account.",
        ge=0,
        le=1000,
        reload="live",
    )
    kept_bytes: int = key(
        268_435_456,
        "Memory that all sessions without a connection may take together, in bytes; beyond, those that were lost first "
        "end.",
        ge=1_048_576,
        le=1_099_511_627_776,
        reload="live",
    )
    queue_stanzas: int = key(
        20_000,
        "Stanzas that may wait for one client's acknowledgement; beyond, its session ends, and messages are kept for "
        "later as for somebody who is offline.",
        ge=100,
        le=10_000_000,
        reload="live",
    )
    queue_bytes: int = key(4_194_304, "The same in bytes.", ge=65_536, le=1_073_741_824, reload="live")
    ask_after_stanzas: int = key(
        50,
        "Stanzas after which a client is asked what it has got; a second after the last one it is asked anyway.",
        ge=1,
        le=10_000,
        reload="live",
    )
    ask_after_bytes: int = key(65_536, "The same in bytes.", ge=1024, le=16_777_216, reload="live")
    location: str = key(
        "",
        "Where clients reconnect to resume, `host:port`, when this node has a name of its own; it is told to clients. "
        "Empty: where they connected first.",
        reload="live",
    )

    def problems(self) -> Complaints:
        if self.location and any(character.isspace() for character in self.location):
            yield "location", "is a host and, if need be, a port, without spaces"
