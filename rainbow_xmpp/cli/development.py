"""The certificate authority that `setup` makes: whom to trust on a machine where things are tried out."""

from pathlib import Path

AUTHORITY = Path("dev/ca.pem")
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def authority_for(host: str | None) -> Path | None:
    """The development authority, for a host that is this machine, when there is one; None: whom the system trusts."""
    return AUTHORITY if host in LOCAL_HOSTS and AUTHORITY.exists() else None
