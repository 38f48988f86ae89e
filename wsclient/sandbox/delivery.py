"""One notice on its way to one session: sent, or handed to the fault that was scripted for it.

Faults may hold messages back until others have gone ahead, so every message that is sent counts for those held.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from wsclient.sandbox.line import Line

_HELD: Final = "held notices"


@dataclass(slots=True, eq=False)
class _Held:
    text: str
    product: str | None
    ahead: int


@dataclass
class Delivery:
    """A notice (`text`) for the session of a `line`."""

    line: Line
    text: str

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What the message says; of a message wrapped with the name of its stream, what is wrapped."""
        message = json.loads(self.text)
        if not isinstance(message, dict):
            return {}
        inner = message.get("data", message.get("event"))
        return inner if isinstance(inner, dict) else message

    @property
    def kind(self) -> str | None:
        """What each venue calls the kind of a message."""
        kind = self.fields.get("type", self.fields.get("notice", self.fields.get("e")))
        return kind if isinstance(kind, str) else None

    @property
    def product(self) -> str | None:
        """The product or symbol that it is about."""
        product = self.fields.get("product_id", self.fields.get("s"))
        return product if isinstance(product, str) else None

    def send(self) -> None:
        """Send it, and then those held messages that waited for just this one."""
        self.line.send(self.text)
        for held in list(self.line.memory.get(_HELD, ())):
            if held.product in (None, self.product):
                held.ahead -= 1
                if held.ahead <= 0:
                    self._release(held)

    def hold(self, ahead: int, linger: float) -> None:
        """Send it after `ahead` more of the same product, or when `linger` seconds have passed."""
        held = _Held(self.text, self.product, ahead)
        self.line.memory.setdefault(_HELD, []).append(held)
        self.line.later(linger, lambda: self._release(held))

    def _release(self, held: _Held) -> None:
        waiting: list[_Held] = self.line.memory.get(_HELD, [])
        if held not in waiting:
            return
        waiting.remove(held)
        if not waiting:
            del self.line.memory[_HELD]
        self.line.send(held.text)
