"""What plugin authors import: `Plugin`, the decorators, the stages, the values handed to handlers.

A plugin declares what it needs and is given it; it never sees the server. Stopping undoes all it registered.
"""

from rainbow_xmpp.config import key as option
from rainbow_xmpp.errors import Condition, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.plugin.base import Plugin, PluginOptions, hook, on, on_iq
from rainbow_xmpp.plugin.events import AccountRemoved, BecameAvailable, Event, SessionEnded
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.router.iq import IqRequest, Target
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.stages import Stage
from rainbow_xmpp.session import Session
from rainbow_xmpp.store.values import Account, Company, Visibility
from rainbow_xmpp.xml import Element, View

__all__ = [
    "JID",
    "Account",
    "AccountRemoved",
    "BecameAvailable",
    "Company",
    "Condition",
    "Element",
    "Event",
    "IqRequest",
    "Outcome",
    "Passage",
    "Plugin",
    "PluginOptions",
    "Services",
    "Session",
    "SessionEnded",
    "Stage",
    "StanzaError",
    "Target",
    "View",
    "Visibility",
    "hook",
    "on",
    "on_iq",
    "option",
]
