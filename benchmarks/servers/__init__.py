"""The servers under test, in the order of the tables."""

from benchmarks.servers.base import Server, Site
from benchmarks.servers.ejabberd import Ejabberd, SqlEjabberd
from benchmarks.servers.prosody import Prosody, SqlProsody, TunedProsody
from benchmarks.servers.rainbow import Rainbow

SERVERS: tuple[type[Server], ...] = (
    Rainbow,
    TunedProsody,
    SqlProsody,
    Prosody,
    Ejabberd,
    SqlEjabberd,
)

__all__ = ["SERVERS", "Rainbow", "Server", "Site"]
