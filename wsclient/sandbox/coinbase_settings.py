"""How Coinbase's feed behaves in a sandbox, where that is a choice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoinbaseSettings:
    """How the feed behaves; all times in seconds, by the sandbox's clock.

    `require_auth` keeps level2 and full from whoever has not authenticated, as the live feed does; without, only
    the user channel needs it, as the older documents have it. A connection has `subscribe_within` to subscribe
    first. The next four say how often heartbeats, the batches of level2_batch and ticker_batch, and the status
    are sent. `timestamp_tolerance` is how far a signature's timestamp may be off.
    """

    require_auth: bool = True
    subscribe_within: float = 5.0
    heartbeat: float = 1.0
    level2_batch: float = 0.05
    ticker_batch: float = 5.0
    status: float = 5.0
    timestamp_tolerance: float = 30.0
