"""What plugin authors import: `Plugin`, the decorators, typed payloads, the values handed to handlers.

A plugin declares what it needs and is given it; it never sees the server. Stopping undoes all it registered.
"""

from rainbow_xmpp.company import Action, Relation
from rainbow_xmpp.config import key as option
from rainbow_xmpp.errors import Condition, ErrorType, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.plugin.api import (
    PREFIX,
    Access,
    Call,
    EndpointMark,
    Page,
    Problem,
    Reason,
    ReasonQuery,
    Reply,
    Time,
    absent,
    endpoint,
    time_of,
)
from rainbow_xmpp.plugin.base import Plugin, PluginOptions, marks_of
from rainbow_xmpp.plugin.context import Context
from rainbow_xmpp.plugin.dialog import CommandAnswer, Dialog, Note, Part, Severity
from rainbow_xmpp.plugin.facts import Facts
from rainbow_xmpp.plugin.login_marks import (
    before_login,
    before_login_element,
    with_binding,
    with_login,
    with_mechanism,
)
from rainbow_xmpp.plugin.marks import (
    CommandMark,
    DiscoMark,
    Mark,
    RouteMark,
    access,
    command,
    disco_info,
    disco_items,
    every,
    hook,
    on,
    on_iq,
    on_message,
    on_presence,
    route,
    routes,
)
from rainbow_xmpp.plugin.offers import ClientFeatures, FeaturesLearned, Offer, ServerInfo
from rainbow_xmpp.plugin.offers_accounts import (
    Asked,
    Asker,
    Invited,
    PinDesk,
    Purpose,
    RegistrationClosed,
    RegistrationMode,
    TooMany,
    WrongOrExpired,
)
from rainbow_xmpp.plugin.offers_pages import PageLink, PageLinks
from rainbow_xmpp.plugin.offers_second_factor import (
    AppPassword,
    Enrolment,
    FactorStatus,
    IsRequired,
    NotBegun,
    NotOffered,
    NotOn,
    SecondFactor,
    WrongCode,
)
from rainbow_xmpp.plugin.registries import Route
from rainbow_xmpp.plugin.services import Services
from rainbow_xmpp.router.events import (
    AccountRemoved,
    BecameAvailable,
    BecameUnavailable,
    Changed,
    Event,
    SessionEnded,
    SessionStarted,
)
from rainbow_xmpp.router.iq import Answered, Target
from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.stages import Stage, Unheard
from rainbow_xmpp.session import Home, Session
from rainbow_xmpp.session.early import EarlyReply, Stranger
from rainbow_xmpp.session.inline import Attempt, Granted, Newcomer, Vouched
from rainbow_xmpp.stanza.disco import DiscoInfo, DiscoItem, DiscoItems, Identity
from rainbow_xmpp.stanza.form_fields import FormError
from rainbow_xmpp.stanza.forms import Blank, Form, form_field
from rainbow_xmpp.stanza.payload import Payload, attr, child, child_text, children, flag, text
from rainbow_xmpp.store.values import Account, Change, ChangeKind, Company, Role, Visibility
from rainbow_xmpp.xml import Element, View

__all__ = [
    "JID",
    "PREFIX",
    "Access",
    "Account",
    "AccountRemoved",
    "Action",
    "Answered",
    "AppPassword",
    "Asked",
    "Asker",
    "Attempt",
    "BecameAvailable",
    "BecameUnavailable",
    "Blank",
    "Call",
    "Change",
    "ChangeKind",
    "Changed",
    "ClientFeatures",
    "CommandAnswer",
    "CommandMark",
    "Company",
    "Condition",
    "Context",
    "Dialog",
    "DiscoInfo",
    "DiscoItem",
    "DiscoItems",
    "DiscoMark",
    "EarlyReply",
    "Element",
    "EndpointMark",
    "Enrolment",
    "ErrorType",
    "Event",
    "FactorStatus",
    "Facts",
    "FeaturesLearned",
    "Form",
    "FormError",
    "Granted",
    "Home",
    "Identity",
    "Invited",
    "IsRequired",
    "Mark",
    "Newcomer",
    "NotBegun",
    "NotOffered",
    "NotOn",
    "Note",
    "Offer",
    "Outcome",
    "Page",
    "PageLink",
    "PageLinks",
    "Part",
    "Passage",
    "Payload",
    "PinDesk",
    "Plugin",
    "PluginOptions",
    "Problem",
    "Purpose",
    "Reason",
    "ReasonQuery",
    "RegistrationClosed",
    "RegistrationMode",
    "Relation",
    "Reply",
    "Role",
    "Route",
    "RouteMark",
    "SecondFactor",
    "ServerInfo",
    "Services",
    "Session",
    "SessionEnded",
    "SessionStarted",
    "Severity",
    "Stage",
    "StanzaError",
    "Stranger",
    "Target",
    "Time",
    "TooMany",
    "Unheard",
    "View",
    "Visibility",
    "Vouched",
    "WrongCode",
    "WrongOrExpired",
    "absent",
    "access",
    "attr",
    "before_login",
    "before_login_element",
    "child",
    "child_text",
    "children",
    "command",
    "disco_info",
    "disco_items",
    "endpoint",
    "every",
    "flag",
    "form_field",
    "hook",
    "marks_of",
    "on",
    "on_iq",
    "on_message",
    "on_presence",
    "option",
    "route",
    "routes",
    "text",
    "time_of",
    "with_binding",
    "with_login",
    "with_mechanism",
]
