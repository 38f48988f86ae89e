"""The accounts that a sandbox starts with: who they are, how they log in and what they own.

Everything here comes from the seed, so that two sandboxes of one seed have the same users. Those secrets protect
play money on a machine of one's own, and nothing else.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Final

from wsclient.coinflex.assets import SCALE, Assets
from wsclient.sandbox.assets import ELSEWHERE
from wsclient.sandbox.binance_keys import Ed25519Key, HmacKey, Keys, RsaKey, keys_of
from wsclient.sandbox.coinbase_auth import CoinbaseKey, derive_key
from wsclient.sandbox.market import WIRE_DECIMALS

FIRST_USER: Final = 1001
FIRST_TRADER: Final = 9001
"""Simulated traders are numbered from here, apart from the users that tests and people log in as."""

PLENTY: Final = 1_000_000 * SCALE
"""What a ready-made user owns of each asset: a million, scaled by 10000."""

DEMO_ASSETS: Final = ("XBT", "BCH", "ETH", "USDC", "USDT", "FLEX")

_WORDS: Final = (
    "amber", "anchor", "barley", "candle", "cedar", "copper", "delta", "ember", "falcon", "garnet", "harbour",
    "indigo", "juniper", "kettle", "lantern", "maple", "nickel", "orchard", "pepper", "quartz", "river", "saffron",
    "timber", "umber", "violet", "walnut", "yarrow", "zephyr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class User:
    """Someone with an account. `balances`, by asset code and scaled by 10000, are those of the start.

    `elsewhere` are likewise those of assets that CoinFLEX doesn't know, see `assets.py`.
    """

    id: int
    cookie: str = field(repr=False)
    passphrase: str = field(repr=False)
    balances: Mapping[int, int] = field(default_factory=dict, repr=False)
    elsewhere: Mapping[int, int] = field(default_factory=dict, repr=False)
    binance_keys: Keys = field(init=False, repr=False, compare=False)
    """The API keys of the Binance dialect. They follow from the account, but for the RSA key's halves."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "binance_keys", keys_of(self.id, self.passphrase))

    @property
    def binance(self) -> HmacKey:
        """The key with a shared secret: `api_key`, `api_secret`."""
        return self.binance_keys.hmac

    @property
    def binance_ed25519(self) -> Ed25519Key:
        """The Ed25519 key: `api_key`, `private_key` (PEM). Needs the extra `binance`, as the next one."""
        return self.binance_keys.ed25519

    @property
    def binance_rsa(self) -> RsaKey:
        """The RSA key: `api_key`, `private_key` (PEM), made when it is first looked at."""
        return self.binance_keys.rsa

    @property
    def coinbase(self) -> CoinbaseKey:
        """The key with which this user authenticates on the Coinbase dialect; it follows from the account."""
        return derive_key(self.id, self.passphrase)

    def holdings(self, decimals: Mapping[int, int]) -> dict[int, int]:
        """What it owns at the start, in the units in which an engine with these `decimals` holds it.

        An asset that is traded nowhere is held as it is given here. `ValueError` says that an asset is held with
        fewer decimals than this needs.
        """
        held = {}
        for asset, amount in {**self.elsewhere, **self.balances}.items():
            held[asset], rest = divmod(amount * 10 ** decimals.get(asset, WIRE_DECIMALS), SCALE)
            if rest:
                raise ValueError(
                    f"user {self.id} can't own {amount} / {SCALE} of asset {asset}: it is held coarser"
                )
        return held


def ready_made(
    count: int, *, seed: int, first: int = FIRST_USER, balances: Mapping[int, int] | None = None
) -> tuple[User, ...]:
    """`count` users numbered from `first`, each with `balances` (a million of every main asset unless given)."""
    elsewhere = {} if balances is not None else dict.fromkeys(ELSEWHERE.values(), PLENTY)
    random = Random(f"wsclient sandbox users {seed} {first}")
    owned = dict(balances) if balances is not None else {Assets[name]: PLENTY for name in DEMO_ASSETS}
    return tuple(
        User(
            id=first + index,
            cookie=base64.b64encode(random.randbytes(18)).decode(),
            passphrase=" ".join(random.choice(_WORDS) for _ in range(4)),
            balances=MappingProxyType(owned),
            elsewhere=MappingProxyType(elsewhere),
        )
        for index in range(count)
    )
