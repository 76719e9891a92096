"""Where a request comes from."""

from aiohttp import web


def source_of(request: web.Request) -> str:
    """The network address of the peer, for limits and never for logs; "" when it is not known."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""
