"""Which specifications the server follows: the core's are declared here, a plugin's in its class.

A declaration is the version that was followed, and, where not all of it is done, what is, in words behind a comma:
`implements={"XEP-0334": "1.0.0, the hints store and no-store"}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

CORE: Mapping[str, str] = {
    "RFC 4616": "2006",
    "RFC 5802": "2010",
    "RFC 5929": "2010, tls-server-end-point on TCP",
    "RFC 6120": "2011, between clients and a server: one domain, no federation",
    "RFC 6121": "2011, within one server",
    "RFC 6455": "2011",
    "RFC 6797": "2012",
    "RFC 7395": "2014",
    "RFC 7590": "2015",
    "RFC 7622": "2015",
    "RFC 7677": "2015",
    "RFC 8265": "2017",
    "XEP-0082": "1.1.1",
    "XEP-0106": "1.1.1, understood at login, where clients insist on a localpart",
    "XEP-0156": "1.4.0, the WebSocket in host-meta; DNS is the administrator's",
    "XEP-0166": "1.1.2, carried between devices of people who may call each other, whatever is in it",
    "XEP-0198": "1.6.2",
    "XEP-0353": "0.8.0, carried to every device; copies by carbons and history by the archive",
    "XEP-0368": "1.1.0",
    "XEP-0386": "1.1.0, messages that waited are handed over, and no metadata of the archive is sent",
    "XEP-0388": "1.0.4",
    "XEP-0440": "1.0.0",
    "XEP-0474": "0.5.0",
}
"""What the server does without any plugin."""

COMPLETE = "complete"
THE_CORE = "the core"


class Implementing(Protocol):
    """A plugin's class."""

    @property
    def name(self) -> str: ...
    @property
    def implements(self) -> Mapping[str, str]: ...


class Followed(NamedTuple):
    """One specification, and who follows it how far."""

    number: str
    title: str
    version: str
    status: str
    owner: str


def followed(plugins: Iterable[Implementing]) -> list[Followed]:
    """Everything that the core and these plugins declare, in the order of the numbers."""
    declared = [(number, told, THE_CORE) for number, told in CORE.items()]
    declared += [
        (number, told, plugin.name) for plugin in plugins for number, told in plugin.implements.items()
    ]
    return [_followed(*each) for each in sorted(declared)]


def _followed(number: str, told: str, owner: str) -> Followed:
    version, _, words = told.partition(",")
    return Followed(number, TITLES.get(number, ""), version.strip(), words.strip() or COMPLETE, owner)


def page(found: Iterable[Followed]) -> str:
    """docs/xeps.md."""
    rows = [
        f"| [{each.number}]({_address(each.number)}) | {each.title} | {each.version} | {each.status} "
        f"| {_link(each.owner)} |"
        for each in found
    ]
    return "\n".join([*_INTRODUCTION, *rows, ""])


_INTRODUCTION = (
    "# Specifications",
    "",
    "What Rainbow XMPP follows, in which version, and how far. Written by `rainbow-xmpp plugin xeps --markdown` from",
    "what the core (`rainbow_xmpp/specifications.py`) and each plugin declare; `make conf` writes it anew.",
    "",
    "| number | title | version | how far | by |",
    "|---|---|---|---|---|",
)


def _link(owner: str) -> str:
    return owner if owner == THE_CORE else f"[{owner}](../plugins/{owner}/README.md)"


def _address(number: str) -> str:
    kind, digits = number[:3], number[4:]
    if kind == "RFC":
        return f"https://www.rfc-editor.org/rfc/rfc{digits}"
    return f"https://xmpp.org/extensions/xep-{digits}.html"


TITLES: Mapping[str, str] = {
    "RFC 4616": "The PLAIN SASL Mechanism",
    "RFC 5802": "SCRAM SASL and GSS-API Mechanisms",
    "RFC 5929": "Channel Bindings for TLS",
    "RFC 6120": "XMPP: Core",
    "RFC 6121": "XMPP: Instant Messaging and Presence",
    "RFC 6238": "TOTP: Time-Based One-Time Password Algorithm",
    "RFC 6455": "The WebSocket Protocol",
    "RFC 6797": "HTTP Strict Transport Security",
    "RFC 7395": "An XMPP Subprotocol for WebSocket",
    "RFC 7590": "Use of TLS in XMPP",
    "RFC 7622": "XMPP: Address Format",
    "RFC 7677": "SCRAM-SHA-256 and SCRAM-SHA-256-PLUS",
    "RFC 8265": "Internationalized Strings Representing Usernames and Passwords",
    "XEP-0004": "Data Forms",
    "XEP-0012": "Last Activity",
    "XEP-0030": "Service Discovery",
    "XEP-0045": "Multi-User Chat",
    "XEP-0048": "Bookmarks",
    "XEP-0049": "Private XML Storage",
    "XEP-0050": "Ad-Hoc Commands",
    "XEP-0054": "vcard-temp",
    "XEP-0055": "Jabber Search",
    "XEP-0059": "Result Set Management",
    "XEP-0060": "Publish-Subscribe",
    "XEP-0065": "SOCKS5 Bytestreams",
    "XEP-0066": "Out of Band Data",
    "XEP-0068": "Field Standardization for Data Forms",
    "XEP-0077": "In-Band Registration",
    "XEP-0082": "XMPP Date and Time Profiles",
    "XEP-0084": "User Avatar",
    "XEP-0085": "Chat State Notifications",
    "XEP-0092": "Software Version",
    "XEP-0106": "JID Escaping",
    "XEP-0114": "Jabber Component Protocol",
    "XEP-0115": "Entity Capabilities",
    "XEP-0122": "Data Forms Validation",
    "XEP-0128": "Service Discovery Extensions",
    "XEP-0133": "Service Administration",
    "XEP-0153": "vCard-Based Avatars",
    "XEP-0156": "Discovering Alternative XMPP Connection Methods",
    "XEP-0157": "Contact Addresses for XMPP Services",
    "XEP-0160": "Best Practices for Handling Offline Messages",
    "XEP-0163": "Personal Eventing Protocol",
    "XEP-0172": "User Nickname",
    "XEP-0175": "Best Practices for Use of SASL ANONYMOUS",
    "XEP-0178": "Best Practices for Use of SASL EXTERNAL with Certificates",
    "XEP-0184": "Message Delivery Receipts",
    "XEP-0191": "Blocking Command",
    "XEP-0166": "Jingle",
    "XEP-0198": "Stream Management",
    "XEP-0199": "XMPP Ping",
    "XEP-0202": "Entity Time",
    "XEP-0203": "Delayed Delivery",
    "XEP-0215": "External Service Discovery",
    "XEP-0220": "Server Dialback",
    "XEP-0222": "Persistent Storage of Public Data via PubSub",
    "XEP-0223": "Persistent Storage of Private Data via PubSub",
    "XEP-0227": "Portable Import/Export Format for XMPP-IM Servers",
    "XEP-0249": "Direct MUC Invitations",
    "XEP-0280": "Message Carbons",
    "XEP-0286": "Mobile Considerations on LTE Networks",
    "XEP-0297": "Stanza Forwarding",
    "XEP-0308": "Last Message Correction",
    "XEP-0313": "Message Archive Management",
    "XEP-0317": "Hats",
    "XEP-0333": "Displayed Markers",
    "XEP-0334": "Message Processing Hints",
    "XEP-0352": "Client State Indication",
    "XEP-0353": "Jingle Message Initiation",
    "XEP-0357": "Push Notifications",
    "XEP-0359": "Unique and Stable Stanza IDs",
    "XEP-0363": "HTTP File Upload",
    "XEP-0368": "SRV records for XMPP over TLS",
    "XEP-0369": "Mediated Information eXchange (MIX)",
    "XEP-0377": "Blocking Command Reports",
    "XEP-0292": "vCard4 Over XMPP",
    "XEP-0384": "OMEMO Encryption",
    "XEP-0386": "Bind 2",
    "XEP-0388": "Extensible SASL Profile",
    "XEP-0389": "Extensible In-Band Registration",
    "XEP-0390": "Entity Capabilities 2.0",
    "XEP-0392": "Consistent Color Generation",
    "XEP-0398": "User Avatar to vCard-Based Avatars Conversion",
    "XEP-0402": "PEP Native Bookmarks",
    "XEP-0405": "Mediated Information eXchange (MIX): Participant Server Requirements",
    "XEP-0410": "MUC Self-Ping (Schrödinger's Chat)",
    "XEP-0411": "Bookmarks Conversion",
    "XEP-0413": "Order-By",
    "XEP-0424": "Message Retraction",
    "XEP-0425": "Moderated Message Retraction",
    "XEP-0428": "Fallback Indication",
    "XEP-0431": "Full Text Search in MAM",
    "XEP-0400": "Multi-Factor Authentication with TOTP",
    "XEP-0440": "SASL Channel-Binding Type Capability",
    "XEP-0441": "Message Archive Management Preferences",
    "XEP-0444": "Message Reactions",
    "XEP-0445": "Pre-Authenticated In-Band Registration",
    "XEP-0452": "MUC Mention Notifications",
    "XEP-0461": "Message Replies",
    "XEP-0474": "SASL SCRAM Downgrade Protection",
    "XEP-0478": "Stream Limits Advertisement",
    "XEP-0480": "SASL Upgrade Tasks",
    "XEP-0484": "Fast Authentication Streamlining Tokens",
    "XEP-0486": "MUC Avatars",
    "XEP-0490": "Message Displayed Synchronization",
}
"""What specifications are called."""
