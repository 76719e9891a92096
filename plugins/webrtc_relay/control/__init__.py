"""The control plane of the relay (RFC 8656), without I/O: messages in, answers out, orders to a `DataPlane`.

    control = Control(settings, policy, secrets, data_plane, reports)
    answer = control.handle(datagram, five_tuple, now)

| module | decides |
|---|---|
| `control` | which message is for whom; the only entrance |
| `authentication` | nonces, keys, who signed it (RFC 8489 §9.2) |
| `allocate` | Allocate and Refresh, in the order of RFC 8656 §7.2 |
| `peering` | CreatePermission, ChannelBind, Send |
| `allocations` | what is alive: allocations, relays, permissions, channels |
| `ports` | which port, which reserved, which resting |
| `quotas` | how many of whom, how many answers to strangers |
"""

from rainbow_xmpp.plugins.webrtc_relay.control.control import Control
from rainbow_xmpp.plugins.webrtc_relay.control.faces import (
    DataPlane,
    FiveTuple,
    Opening,
    Reports,
    Traffic,
    Transport,
)
from rainbow_xmpp.plugins.webrtc_relay.control.settings import Limits, RelayIp, Settings
from rainbow_xmpp.plugins.webrtc_relay.stun import Address

__all__ = [
    "Address",
    "Control",
    "DataPlane",
    "FiveTuple",
    "Limits",
    "Opening",
    "RelayIp",
    "Reports",
    "Settings",
    "Traffic",
    "Transport",
]
