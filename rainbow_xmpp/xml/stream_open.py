"""The start tag of a TCP stream."""

from rainbow_xmpp.errors import StreamCondition
from rainbow_xmpp.xml import tags
from rainbow_xmpp.xml.judge import Judge, refuse
from rainbow_xmpp.xml.model import DEFAULT_LIMITS, StreamOpen, XmlLimits


def parse_stream_open(data: bytes, limits: XmlLimits = DEFAULT_LIMITS) -> StreamOpen:
    """What a framer's OPEN token says; raises PeerViolation.

    Whether name, namespaces and version are those of XMPP is for the caller to decide. A stream that ends
    with its start tag (`<stream:stream/>`) is refused.
    """
    if data[-2:] == b"/>":
        refuse(StreamCondition.BAD_FORMAT, "a stream that ends with its start tag")
    found = Judge(data + b"</" + tags.name_of(data) + b">", "", None, limits)
    if found.children:
        refuse(StreamCondition.BAD_FORMAT, "more than the start tag of a stream")
    return StreamOpen(found.name, found.ns, found.attrs, found.top_default_ns or "", found.top_prefixes)
