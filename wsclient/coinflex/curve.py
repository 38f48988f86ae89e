"""secp224k1, the curve of CoinFLEX's signatures, as constants (SEC 2 version 2, section 2.6.1).

y² = x³ + 5 over the prime field of `P`. The order `N` has 225 bits, one more than a signature's numbers can
carry. Neither the `ecdsa` package nor `cryptography` knows this curve, so its numbers stand here.
"""

from typing import Final

P: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFE56D
A: Final = 0
B: Final = 5
GX: Final = 0xA1455B334DF099DF30FC28A169A467E9E47075A90F7E650EB6B7A45C
GY: Final = 0x7E089FED7FBA344282CAFBD6F7E319F7C0B0BD59E2CA4BDB556D61A5
N: Final = 0x010000000000000000000000000001DCE8D2EC6184CAF0A971769FB1F7
OID: Final = (1, 3, 132, 0, 32)

NUMBER_BYTES: Final = 28
"""How many bytes r and s have on the wire each; a number that needs more cannot be sent."""
NONCE_BYTES: Final = 16
"""How many random bytes each side contributes to the signed message."""
