"""Messages that plugins write: from values to a stanza on its way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rainbow_xmpp import ids
from rainbow_xmpp.router.passage import Passage
from rainbow_xmpp.stanza.payload import Payload
from rainbow_xmpp.xml import Element, names, scan_again, serialise

if TYPE_CHECKING:
    from rainbow_xmpp.store.values import Account

BODY = f"{{{names.CLIENT}}}body"


class Speech(NamedTuple):
    """One message that no client wrote."""

    from_: str
    to: str
    type: str
    body: str
    content: Sequence[Payload | Element]

    def stanza(self) -> Element:
        """The message as a tree; its id is new."""
        attrs = {"from": self.from_, "to": self.to, "id": ids.new_stream_id()}
        if self.type != "normal":
            attrs["type"] = self.type
        message = Element(f"{{{names.CLIENT}}}message", attrs)
        if self.body:
            body = Element(BODY)
            body.text = self.body
            message.append(body)
        message.extend(part.to_xml() if isinstance(part, Payload) else part for part in self.content)
        return message

    def passage(self, sender: Account) -> Passage:
        """The message at the beginning of its way; `sender` is the account it is sent for."""
        data = serialise(self.stanza())
        return Passage(
            "message", self.type, scan_again(data), data, self.from_, sender, None, self.to, None, None, None
        )
