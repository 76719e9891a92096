"""A memory of passwords that were right a moment ago, so that clients that send them again cost no hash."""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable


class VerifiedPasswords:
    """Keeps keyed digests only, under a key that never leaves this process; forgets after `lifetime_s`.

    The account's epoch is part of what is remembered: a changed password or a disabled account raises it,
    and what was known before is known no more.
    """

    def __init__(
        self, *, lifetime_s: float = 300.0, most: int = 20_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lifetime_s = lifetime_s
        self._most = most
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def remember(self, account_id: str, epoch: int, password: str) -> None:
        """The password was found right just now."""
        self._known[account_id] = self._digest(account_id, epoch, password), self._clock() + self._lifetime_s
        self._known.move_to_end(account_id)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def knows(self, account_id: str, epoch: int, password: str) -> bool:
        """Whether this very password was found right not long ago; False says nothing about it."""
        known = self._known.get(account_id)
        if known is None:
            return False
        digest, expires = known
        if self._clock() >= expires:
            del self._known[account_id]
            return False
        return hmac.compare_digest(digest, self._digest(account_id, epoch, password))

    def forget(self, account_id: str) -> None:
        """Drop what is known of this account."""
        self._known.pop(account_id, None)

    def __len__(self) -> int:
        return len(self._known)

    def _digest(self, account_id: str, epoch: int, password: str) -> bytes:
        text = f"{account_id}\0{epoch}\0{password}"
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256")
