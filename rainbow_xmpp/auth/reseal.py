"""Moving stored credentials to the current sealing key, so that an old one can be thrown away."""

from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.store.credentials import Credentials, SealedRow


async def reseal_all(credentials: Credentials, sealer: Sealer, *, batch: int = 500) -> int:
    """Seal everything under the sealer's current key; returns how many were moved.

    Can be stopped and started again. Raises SealError at the first one that no known key opens; what came
    before it is moved.
    """
    moved = 0
    while rows := await credentials.sealed_otherwise(sealer.key_id, most=batch):
        await credentials.reseal([(row, _resealed(row, sealer)) for row in rows], sealer.key_id)
        moved += len(rows)
    return moved


def _resealed(row: SealedRow, sealer: Sealer) -> bytes:
    verifier = sealer.open(row.key_id, row.sealed, row.account_id)
    return sealer.seal(verifier, row.account_id)[1]
