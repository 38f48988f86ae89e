"""`python -m wsclient.sandbox`: an exchange to play with, until Ctrl-C or SIGTERM."""

import argparse
import queue
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsclient.sandbox.market import FEE_SCALE, Fees

if TYPE_CHECKING:
    from wsclient.sandbox import Sandbox

DEFAULT_PORT = 8765


def parser() -> argparse.ArgumentParser:
    """The options, with their help."""
    options = argparse.ArgumentParser(
        prog="python -m wsclient.sandbox",
        description="Serve a whole exchange on this machine: play money, moving markets, real protocols.",
        epilog="Ctrl-C or SIGTERM ends it. Users, prices and everything else but nonces come from the seed.",
    )
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="TCP port, 0 for any (default: %(default)s)"
    )
    options.add_argument(
        "--seed", type=int, default=0, help="what users and markets come from (default: %(default)s)"
    )
    options.add_argument(
        "--traders",
        type=_rate,
        default=30.0,
        metavar="RATE",
        help="market events a second that simulated traders cause in all, 0 for none (default: %(default)g)",
    )
    options.add_argument(
        "--tonces",
        choices=("increasing", "unique"),
        default="increasing",
        help="the rule for tonces: greater than all before, or no other open order's (default: %(default)s)",
    )
    options.add_argument(
        "--fees",
        type=_fees,
        metavar="MAKER,TAKER",
        help="fees as parts of the total, such as 0.0002,0.0005 (default: none)",
    )
    options.add_argument("--rate-limits", action="store_true", help="answer error 6 to more than the limits allow")
    options.add_argument(
        "--idle-timeout",
        type=_rate,
        default=60.0,
        metavar="SECONDS",
        help="drop connections without traffic for so long, 0 for never (default: %(default)g)",
    )
    options.add_argument(
        "--venues", action="store_true", help="print the addresses and keys for other venues' protocols, too"
    )
    options.add_argument("--certfile", help="certificate chain (PEM): serve TLS")
    options.add_argument("--keyfile", help="private key (PEM), if it isn't in the certificate's file")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; the exit status."""
    # a queue that may be filled in the middle of being waited for, as signal handlers must
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    # set before anything starts, so that a signal at any moment ends it cleanly
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.put(None))
    options = parser().parse_args(arguments)
    try:
        from wsclient.sandbox import Sandbox  # takes its time, and may be missing something

        sandbox = Sandbox(
            host=options.host,
            port=options.port,
            seed=options.seed,
            traders=options.traders,
            tonces=options.tonces,
            fees=options.fees,
            rate_limits=options.rate_limits,
            idle_timeout=options.idle_timeout or None,
            certfile=options.certfile,
            keyfile=options.keyfile,
            ledger_limit=10_000,
        )
        sandbox.start()
    except (ImportError, OSError, ValueError) as error:
        print(f"{parser().prog}: {_sentence(error)}", file=sys.stderr)
        return 1
    with sandbox:
        print(_introduction(sandbox, venues=options.venues), flush=True)
        ended.get()
    return 0


def _introduction(sandbox: "Sandbox", *, venues: bool) -> str:
    demo = sandbox.users[0]
    insecure = "-k " if sandbox.url.startswith("wss:") else ""
    login = f"-i {demo.id} -c {shlex.quote(demo.cookie)} -p {shlex.quote(demo.passphrase)}"
    return "\n".join(
        (
            f"The sandbox exchange is at {sandbox.url}",
            f"  id          {demo.id}",
            f"  cookie      {demo.cookie}",
            f"  passphrase  {demo.passphrase}",
            *(_other_venues(sandbox) if venues else ()),
            f"Try: python clientExample.py {insecure}{login} {sandbox.url} GetBalances",
            "Ctrl-C ends it.",
        )
    )


def _other_venues(sandbox: "Sandbox") -> tuple[str, ...]:
    """Where the same exchange is found in other venues' dialects, and what the demo user signs with there."""
    key, binance = sandbox.users[0].coinbase, sandbox.users[0].binance
    return (
        "Coinbase's language: wsclient.coinbase.Feed(url=…, rest_url=…, auth=Token(key, secret, passphrase))",
        f"  url         {sandbox.coinbase_url}",
        f"  rest_url    {sandbox.coinbase_rest_url}",
        f"  key         {key.key}",
        f"  secret      {key.secret}",
        f"  passphrase  {key.passphrase}",
        "Binance's language: wsclient.binance.Client(api_key, api_secret, url=…, stream_url=…)",
        f"  url         {sandbox.binance_api_url}",
        f"  stream_url  {sandbox.binance_url}  (BinanceSocketManager(url=…), too)",
        f"  api_key     {binance.api_key}",
        f"  api_secret  {binance.api_secret}",
    )


def _sentence(error: Exception) -> str:
    """An error as people read it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return str(error)


def _rate(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number from 0 on: {text}")
    return value


def _fees(text: str) -> Fees:
    try:
        maker, taker = (round(float(part) * FEE_SCALE) for part in text.split(","))
        return Fees(maker=maker, taker=taker)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"not two parts of a total, such as 0.0002,0.0005: {text}") from None


if __name__ == "__main__":
    sys.exit(main())
