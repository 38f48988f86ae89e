"""Refusing a command: the engine's one error, its codes and texts, and the checks of single fields.

A dialect passes decoded fields straight in, so anything may arrive here: each check takes `object` and gives back
what the engine can trust. Source: protocol page, section "Commands", the column of errors.
"""

from typing import Final, Literal, TypeAlias

NOT_FOUND: Final = 1
TONCE: Final = 3
FUNDS: Final = 4
TOO_MANY: Final = 5
BAD_REQUEST: Final = 8
WOULD_MATCH: Final = 9

INT64_MAX: Final = 2**63 - 1

Persist: TypeAlias = bool | Literal["fill_or_kill"]


class EngineError(Exception):
    """A command was refused, and nothing has changed. `code` and `message` are the protocol page's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} (error {self.code})"


def integer(name: str, value: object) -> int:
    """A whole number that fits 64 bits with its sign; anything else, booleans included, is error 8."""
    if type(value) is not int:
        raise EngineError(BAD_REQUEST, f"The field {name} has to be an integer.")
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise EngineError(BAD_REQUEST, f"The field {name} does not fit into 64 bits.")
    return value


def optional_integer(name: str, value: object) -> int | None:
    """The same, where None says that the field was not given."""
    return None if value is None else integer(name, value)


def amount(name: str, value: object) -> int:
    """An integer that is not zero."""
    number = integer(name, value)
    if number == 0:
        raise EngineError(BAD_REQUEST, f"The field {name} may not be zero.")
    return number


def optional_amount(name: str, value: object) -> int | None:
    """The same, where None says that the field was not given."""
    return None if value is None else amount(name, value)


def optional_price(value: object) -> int | None:
    """A price, which is above zero, or None where none was given."""
    price = optional_amount("price", value)
    if price is not None and price < 0:
        raise EngineError(BAD_REQUEST, "The field price may not be negative.")
    return price


def market_amount(quantity: int | None, total: int | None) -> int:
    """The one of the two that was given; neither or both is error 8."""
    given = [number for number in (quantity, total) if number is not None]
    if len(given) != 1:
        raise EngineError(BAD_REQUEST, "A market order takes either a quantity or a total.")
    return given[0]


def flag(name: str, value: object) -> bool:
    """True or False and nothing that merely resembles them."""
    if value is True or value is False:
        return value
    raise EngineError(BAD_REQUEST, f"The field {name} has to be true or false.")


def persistence(value: object) -> Persist:
    """How long an order stays: True, False or "fill_or_kill"."""
    if value is True or value is False:
        return value
    if value == "fill_or_kill":
        return "fill_or_kill"
    raise EngineError(BAD_REQUEST, 'The field persist has to be true, false or "fill_or_kill".')


def fits(total: int) -> int:
    """A computed amount that must fit 64 bits."""
    if total > INT64_MAX:
        raise EngineError(BAD_REQUEST, "This order is too large: its amounts do not fit into 64 bits.")
    return total
