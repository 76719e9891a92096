"""XML namespaces of the protocols the server speaks, by the documents that define them."""

# RFC 6120, RFC 7395
CLIENT = "jabber:client"
SERVER = "jabber:server"
STREAM = "http://etherx.jabber.org/streams"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"
XML = "http://www.w3.org/XML/1998/namespace"
XMLNS = "http://www.w3.org/2000/xmlns/"

# RFC 6121
ROSTER = "jabber:iq:roster"
ROSTERVER = "urn:xmpp:features:rosterver"
PREAPPROVAL = "urn:xmpp:features:pre-approval"

# XEPs
ADDRESS = "http://jabber.org/protocol/address"  # XEP-0033
ADMIN = "http://jabber.org/protocol/admin"  # XEP-0133
BIND2 = "urn:xmpp:bind:0"  # XEP-0386
FAST = "urn:xmpp:fast:0"  # XEP-0484
BLOCKING = "urn:xmpp:blocking"  # XEP-0191
CAPS = "http://jabber.org/protocol/caps"  # XEP-0115
CARBONS = "urn:xmpp:carbons:2"  # XEP-0280
CHATSTATES = "http://jabber.org/protocol/chatstates"  # XEP-0085
CORRECT = "urn:xmpp:message-correct:0"  # XEP-0308
CSI = "urn:xmpp:csi:0"  # XEP-0352
COMMANDS = "http://jabber.org/protocol/commands"  # XEP-0050
DATA_FORM = "jabber:x:data"  # XEP-0004
DATA_FORM_VALIDATE = "http://jabber.org/protocol/xdata-validate"  # XEP-0122
DELAY = "urn:xmpp:delay"  # XEP-0203
DISCO_INFO = "http://jabber.org/protocol/disco#info"  # XEP-0030
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"  # XEP-0030
FORWARD = "urn:xmpp:forward:0"  # XEP-0297
FULLTEXT = "urn:xmpp:fulltext:0"  # XEP-0431
HINTS = "urn:xmpp:hints"  # XEP-0334
INVITED_REGISTER = "urn:xmpp:ibr-token:0"  # XEP-0445
JINGLE_MESSAGE = "urn:xmpp:jingle-message:0"  # XEP-0353
LAST_ACTIVITY = "jabber:iq:last"  # XEP-0012
MAM = "urn:xmpp:mam:2"  # XEP-0313
MAM_EXTENDED = "urn:xmpp:mam:2#extended"  # XEP-0313
MARKERS = "urn:xmpp:chat-markers:0"  # XEP-0333
MUC = "http://jabber.org/protocol/muc"  # XEP-0045
MUC_USER = "http://jabber.org/protocol/muc#user"  # XEP-0045
NICK = "http://jabber.org/protocol/nick"  # XEP-0172
OOB = "jabber:x:oob"  # XEP-0066
OFFLINE = "msgoffline"  # XEP-0160
PARS = "urn:xmpp:pars:0"  # XEP-0379
PING = "urn:xmpp:ping"  # XEP-0199
PRIVATE = "jabber:iq:private"  # XEP-0049
PUBSUB = "http://jabber.org/protocol/pubsub"  # XEP-0060
PUBSUB_ERRORS = "http://jabber.org/protocol/pubsub#errors"  # XEP-0060
PUBSUB_EVENT = "http://jabber.org/protocol/pubsub#event"  # XEP-0060
PUBSUB_OWNER = "http://jabber.org/protocol/pubsub#owner"  # XEP-0060
RECEIPTS = "urn:xmpp:receipts"  # XEP-0184
REGISTER = "jabber:iq:register"  # XEP-0077
REGISTER2 = "urn:xmpp:register:0"  # XEP-0389
REGISTER_FEATURE = "http://jabber.org/features/iq-register"  # XEP-0077
PUSH = "urn:xmpp:push:0"  # XEP-0357
RETRACT = "urn:xmpp:message-retract:1"  # XEP-0424
RSM = "http://jabber.org/protocol/rsm"  # XEP-0059
SASL_CB = "urn:xmpp:sasl-cb:0"  # XEP-0440
SASL2 = "urn:xmpp:sasl:2"  # XEP-0388
SEARCH = "jabber:iq:search"  # XEP-0055
SM = "urn:xmpp:sm:3"  # XEP-0198
STANZA_ID = "urn:xmpp:sid:0"  # XEP-0359
TIME = "urn:xmpp:time"  # XEP-0202
VCARD = "vcard-temp"  # XEP-0054
VCARD_UPDATE = "vcard-temp:x:update"  # XEP-0153
VERSION = "jabber:iq:version"  # XEP-0092
