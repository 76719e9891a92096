"""Where a request comes from."""

from aiohttp import web


def source_of(request: web.Request) -> str:
    """The network address of the client, for limits and never for logs; "" when it is not known."""
    return str(getattr(request.protocol, "client_address", ""))
