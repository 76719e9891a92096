"""Rainbow XMPP: a company messaging server that speaks standard XMPP on one TLS port."""

__version__ = "0.1.0"
