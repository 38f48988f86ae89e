"""Faults that only a request API with statuses can have.

    exchange.faults.add(Answer(method="order.place", status=503, executed=True))    # it was done, and nobody knows
    exchange.faults.add(Answer(method="order.place", status=429, code=-1003, retry_after=2.0))

All kinds of `faults`, `wirefaults` and `noticefaults` meet this venue, too: by method ("order.place",
"SUBSCRIBE"), by event ("trade", "executionReport") and by symbol.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

from wsclient.sandbox.binance_errors import FAILED, TIMEOUT
from wsclient.sandbox.faults import CommandFault
from wsclient.sandbox.turn import Turn

UNKNOWN_STATUS: Final = (
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(CommandFault):
    """A request is answered with an error of one's choice, whether it is `executed` or not.

    `retry_after` (seconds from now) adds the times that a client who asks too much is told.
    """

    status: int = FAILED
    code: int = TIMEOUT
    message: str = UNKNOWN_STATUS
    executed: bool = False
    retry_after: float | None = None

    def on_command(self, turn: Turn) -> None:
        """Run it or not, and answer."""
        if self.executed:
            turn.execute()
        error: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.retry_after is not None:
            now = time.time()
            error["data"] = {
                "serverTime": round(now * 1000),
                "retryAfter": round((now + self.retry_after) * 1000),
            }
        turn.answer_otherwise({"id": turn.request.tag, "status": self.status, "error": error})
