"""The quick TLS engine: aiofastnet driving OpenSSL directly on the socket.

aiofastnet reaches OpenSSL's `SSL_CTX` through CPython's `ssl.SSLContext`. Where it cannot, it falls back
to Python's own TLS without a word; and with its memory BIOs instead of the socket it takes two to three
times the memory. So nothing here is assumed: `quick_tls_available` builds a transport as the server will
and asks it what it got.

Some of the settings below have no counterpart in Python's `ssl` and are made in the `SSL_CTX` itself, with
the libssl that `ssl` is linked to and only where that library confirms that the pointer is an `SSL_CTX`.
"""

import _ssl
import asyncio
import ctypes
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any


def _part(name: str) -> Any:
    """A module of aiofastnet; None where there is no build of it: the server starts and says what it lost."""
    try:
        return import_module(f"aiofastnet.{name}")
    except ImportError:
        return None


constants, openssl_compat, ssl_transport = map(_part, ("constants", "openssl_compat", "ssl_transport"))

# aiofastnet 1.2.0 has no public switch for the socket BIO; setup.cfg pins the version, and a test
# sees to it that the attribute is honoured.
SOCKET_BIO_ATTRIBUTE = "_aiofastnet_force_socket_bio"

# Where aiofastnet has to use memory BIOs (TLS over a running transport), this size of each of the two
# keeps one full TLS record (RFC 8446 §5.2: 16,384 bytes and at most 256 more) instead of the default sixteen.
MEMORY_BIO_BYTES = 17_000

# How much of one connection's input is taken in one go before others have their turn. aiofastnet's own value,
# 256 KiB, can leave a message lying: at the limit it goes back to the event loop while OpenSSL may hold the rest
# of what the peer sent, and with a socket BIO nothing wakes it before the peer speaks again. Long before
# this limit the rate limits, unless they are off, pause reading, and resuming looks into OpenSSL first.
READ_AT_ONCE_BYTES = 4 << 20

SHUTDOWN_TIMEOUT_S = 5.0
"""How long a closed connection waits for the peer's own close_notify."""

WHAT_IS_LOST = (
    "the event loop's own TLS is used instead: each idle connection takes about 42 KiB instead of 14 "
    "(250 KiB where uvloop is missing too), and each message about a third more CPU time"
)

# openssl/ssl.h; stable since OpenSSL 1.0.
_SSL_CTRL_SET_READ_AHEAD = 41
_SSL_CTRL_SET_SESS_CACHE_MODE = 44
_SSL_CTRL_SET_GROUPS_LIST = 92
_SSL_SESS_CACHE_OFF = 0

# X448 and P-521, which OpenSSL offers too, cost the server several times the CPU of these for each
# handshake, and the client chooses: they would be a cheap way to load the server.
KEY_EXCHANGE_GROUPS = b"X25519:P-256:P-384"


@dataclass(frozen=True, slots=True)
class QuickTls:
    """Whether the quick engine is in use; `reason` says in words why not, or is empty."""

    available: bool
    reason: str = ""


def make_quick(context: ssl.SSLContext) -> bool:
    """Prepare a server context for the quick engine, where that works; returns whether it does.

    Then a TLS connection reads and writes its socket directly (no memory BIO) and takes several small
    records with one system call.
    """
    if not quick_tls_available()[0]:
        return False  # and uvloop's own TLS must not be prepared: read-ahead makes it miss what was read
    return _prepare(context)


def harden(context: ssl.SSLContext) -> bool:
    """Keep no session cache and agree keys on `KEY_EXCHANGE_GROUPS` only; False where OpenSSL is out of reach."""
    native = _native_context(context)
    if native is None:
        return False
    lib, pointer = native
    # TLS 1.2 would otherwise keep up to 20,480 sessions for resumption by session id.
    lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_SET_SESS_CACHE_MODE, _SSL_SESS_CACHE_OFF, None)
    return agree_keys_on(context, KEY_EXCHANGE_GROUPS)


def agree_keys_on(context: ssl.SSLContext, groups: bytes) -> bool:
    """Offer and accept these groups for the key exchange, by OpenSSL's names; returns whether that worked."""
    native = _native_context(context)
    if native is None:
        return False
    lib, pointer = native
    return bool(lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_SET_GROUPS_LIST, 0, groups) == 1)


def _prepare(context: ssl.SSLContext) -> bool:
    setattr(context, SOCKET_BIO_ATTRIBUTE, True)
    if constants is not None:
        constants.MAX_READ_BYTES_PER_CYCLE_HINT = READ_AT_ONCE_BYTES
    native = _native_context(context)
    if native is None:
        return False
    lib, pointer = native
    # With a socket BIO OpenSSL reads the 5 bytes of a record's header and its body by two system calls;
    # read-ahead makes that one.
    lib.SSL_CTX_ctrl(pointer, _SSL_CTRL_SET_READ_AHEAD, 1, None)
    return True


def quick_tls_available() -> tuple[bool, str]:
    """Prove that a TLS connection gets aiofastnet's direct engine on its socket.

    Returns (True, "") or (False, why, and what is lost, in an administrator's words). Opens a pair of
    local sockets and closes them; may be called with or without a running event loop.
    """
    # In a thread of its own, so that the loop of the proof may run although the caller's does.
    with ThreadPoolExecutor(1) as aside:
        found = aside.submit(_prove).result()
    return found.available, found.reason and f"{found.reason}; {WHAT_IS_LOST}"


def secure_socket(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    handshake_timeout_s: float,
    done: "asyncio.Future[None] | None" = None,
) -> Any:
    """Begin a TLS handshake as the server on a connected, non-blocking socket; returns the transport.

    When it is over `done` is set, with the exception if it failed; then, and only then, the protocol hears
    nothing of the connection. Only where `quick_tls_available`. Unlike aiofastnet's own servers this makes
    no task for each connection.
    """
    return ssl_transport.SSLTransport_Socket(
        loop, protocol, context, True, handshake_timeout_s, SHUTDOWN_TIMEOUT_S,
        MEMORY_BIO_BYTES, MEMORY_BIO_BYTES, sock, waiter=done,
    )  # fmt: skip


def secure_client_socket(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    host: str,
    *,
    handshake_timeout_s: float,
    done: "asyncio.Future[None]",
) -> Any:
    """The same as the client, whose context wants a certificate for `host`."""
    return ssl_transport.SSLTransport_Socket(
        loop, protocol, context, False, handshake_timeout_s, SHUTDOWN_TIMEOUT_S,
        MEMORY_BIO_BYTES, MEMORY_BIO_BYTES, sock, waiter=done, server_hostname=host,
    )  # fmt: skip


def _prove() -> QuickTls:
    if openssl_compat is None:
        return QuickTls(False, "aiofastnet is not installed")
    if openssl_compat.OPENSSL_DYN_LIBS is None:
        return QuickTls(False, "aiofastnet found no OpenSSL library in this Python (it is linked statically)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if not _prepare(context):
        return QuickTls(False, "this Python does not lay out ssl.SSLContext as aiofastnet expects")
    ours, theirs = socket.socketpair()
    loop = asyncio.SelectorEventLoop()
    try:
        ours.setblocking(False)
        transport = secure_socket(loop, ours, asyncio.Protocol(), context, handshake_timeout_s=5.0)
        in_memory = transport.get_extra_info("ssl_incoming_use_membio")
        engine = type(transport.get_extra_info("ssl_object")).__name__
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0))  # closing the transport is done by a callback
    finally:
        loop.close()
        ours.close()
        theirs.close()
    if engine != "SSLEngineDirect":
        return QuickTls(False, f"aiofastnet uses {engine}")
    if in_memory:
        return QuickTls(False, "aiofastnet ignored the request for the socket BIO")
    return QuickTls(True)


def _native_context(context: ssl.SSLContext) -> tuple[ctypes.CDLL, ctypes.c_void_p] | None:
    """OpenSSL's library and the context's `SSL_CTX`, or None where the layout is not the known one."""
    lib = _libssl()
    if lib is None:
        return None
    pointer = _pointer_of(context)
    return (lib, pointer) if _is_ssl_ctx(lib, context, pointer) else None


@cache
def _libssl() -> ctypes.CDLL | None:
    extension = getattr(_ssl, "__file__", None)
    # A debug build of CPython has two more pointers in each object's head (Py_TRACE_REFS).
    if extension is None or sys.implementation.name != "cpython" or hasattr(sys, "getobjects"):
        return None
    try:
        # Not by a name such as libssl.so.3: names looked up here are those that `_ssl` itself is linked to.
        lib = ctypes.CDLL(extension)
        lib.SSL_CTX_ctrl.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
        lib.SSL_CTX_ctrl.restype = ctypes.c_long
        lib.SSL_CTX_get_options.argtypes = (ctypes.c_void_p,)
        lib.SSL_CTX_get_options.restype = ctypes.c_uint64
    except (OSError, AttributeError):
        return None
    return lib


def _pointer_of(context: ssl.SSLContext) -> ctypes.c_void_p:
    """The first field behind the object's head: `PySSLContext` is PyObject_HEAD, then `SSL_CTX *ctx`."""
    return ctypes.c_void_p.from_address(id(context) + object.__basicsize__)


def _is_ssl_ctx(lib: ctypes.CDLL, context: ssl.SSLContext, pointer: ctypes.c_void_p) -> bool:
    """Whether OpenSSL sees at `pointer` what Python says of `context`, before and after a change."""
    if not pointer.value:
        return False
    before = context.options
    same = []
    for options in (before ^ ssl.OP_NO_TICKET, before):
        context.options = options
        same.append(int(lib.SSL_CTX_get_options(pointer)) & 0xFFFFFFFF == int(context.options) & 0xFFFFFFFF)
    return all(same)
