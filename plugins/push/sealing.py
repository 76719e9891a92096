"""What is sealed in the database, and how it moves to another sealing key."""

from __future__ import annotations

import hmac
import json
import logging

from rainbow_xmpp.plugin import Services
from rainbow_xmpp.plugins.push.envelope import Signer, decode, encode, new_private_key
from rainbow_xmpp.plugins.push.store import Subscriptions
from rainbow_xmpp.plugins.push.values import Key, LastMessage, Target

log = logging.getLogger(__name__)
_VAPID = "vapid"


class Seals:
    """Opens and seals; each thing opens in its own place only."""

    def __init__(self, services: Services) -> None:
        self._box = services.box_for("push")
        self._hash_key = services.secret_for("push endpoints")

    def seal_target(self, node: str, target: Target) -> bytes:
        plain = json.dumps([target.endpoint, encode(target.p256dh), encode(target.auth)])
        return self._box.seal(plain.encode(), node)

    def open_target(self, node: str, sealed: bytes) -> Target | None:
        """None: the key that it is sealed under is not here any more."""
        plain = self._box.open(sealed, node)
        if plain is None:
            return None
        endpoint, p256dh, auth = json.loads(plain)
        return Target(endpoint, decode(p256dh), decode(auth))

    def hash_of(self, endpoint: str) -> bytes:
        """What shows that two targets are the same, and nothing else."""
        return hmac.digest(self._hash_key, endpoint.encode(), "sha256")

    def seal_last(self, key: Key, last: LastMessage | None) -> bytes | None:
        return (
            None if last is None else self._box.seal(json.dumps([last.sender, last.body]).encode(), key.node)
        )

    def open_last(self, key: Key, sealed: bytes | None) -> LastMessage | None:
        """None as well when its key is not here any more."""
        plain = None if sealed is None else self._box.open(sealed, key.node)
        if plain is None:
            return None
        sender, body = json.loads(plain)
        return LastMessage(sender, body)

    # -- at each start ---------------------------------------------------------------------------------

    async def signer(self, kept: Subscriptions, contact: str) -> Signer:
        """By whom push services know this server: made once, since browsers take notifications from nobody else."""
        new = new_private_key()
        sealed = await kept.key(_VAPID, self._box.seal(new, _VAPID))
        private = self._box.open(sealed, _VAPID)
        if private is None:
            log.error(
                "the key for push notifications is sealed under a key which is neither auth.sealing_key nor among "
                "auth.old_sealing_keys: people's devices have to register anew"
            )
            await kept.forget_all()
            private = new
        if private is new or not self._box.is_current(sealed):
            await kept.put_key(_VAPID, self._box.seal(private, _VAPID))
        return Signer(private, contact)

    async def use_current_key(self, kept: Subscriptions) -> None:
        """Seal anew what an older sealing key sealed, so that it can go."""
        after = ""
        while found := await kept.targets(after=after):
            for key, sealed in found:
                after = key.node
                target = None if self._box.is_current(sealed) else self.open_target(key.node, sealed)
                if target is not None:
                    await kept.reseal(key, self.seal_target(key.node, target), self.hash_of(target.endpoint))
