#!/usr/bin/env python3
"""Calls a CoinFLEX-style exchange from the shell: one command, or a market watched live.

Without a url it starts a sandbox exchange of its own. Exit status: 0 done, 1 the exchange refused the command,
2 wrong usage, 3 no connection, 4 authentication failed, 5 unknown method, 6 bad value, 7 outcome unknown.
"""

from __future__ import annotations  # so that Ctrl-C ends it cleanly while the client is loaded, too

import argparse
import contextlib
import getpass
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import wsclient

REFUSED, USAGE, NO_CONNECTION, NO_LOGIN, NO_METHOD, BAD_VALUE, UNKNOWN = range(1, 8)

EXAMPLES = """\
examples:
  %(prog)s                                     watch a sandbox's market until Ctrl-C
  %(prog)s --market ETH/USDT --duration 10     another market, for ten seconds
  %(prog)s PlaceOrder base=XBT counter=USDT quantity=0.5 price=9000
  %(prog)s GetBalances
  %(prog)s -i 1 -c COOKIE wss://host/v1 CancelOrder id=17

Names of assets and decimal amounts are converted; a negative quantity sells.
Exit status: 0 done, 1 the exchange refused the command, 2 wrong usage, 3 no connection,
4 authentication failed, 5 unknown method, 6 bad value, 7 outcome unknown.
"""


def methods() -> Sequence[str]:
    """The names of all commands. Loaded here, where Ctrl-C is met already: the client takes its time."""
    from wsclient.coinflex.commands import METHODS

    return METHODS


def seconds(text: str) -> float:
    """A length of time from the command line."""
    value = float(text)
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"not a positive number of seconds: {text}")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        usage="%(prog)s [-h] [-k] [-i ID] [-c COOKIE] [-p PASSPHRASE] [options] [url] [METHOD [name=value ...]]",
        description="Calls a CoinFLEX-style exchange: one METHOD, or else a market watched live.",
        epilog=f"methods: {', '.join(methods())}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("words", nargs="*", metavar="url, METHOD, name=value",
        help="where to connect (default: a sandbox of its own), what to call, and its fields")  # fmt: skip
    add("-k", "--insecure", action="store_true", help="accept any TLS certificate and host name")
    add("-i", "--id", type=int, help="user id to log in with")
    add("-c", "--cookie", help="the account's cookie, its API key")
    add("-p", "--passphrase",
        help="the account's passphrase; others can see it in the process list, so rather set "
             "COINFLEX_PASSPHRASE, or be asked for it")  # fmt: skip
    add("--market", default="XBT/USDT", metavar="BASE/COUNTER", help="what to watch (default: %(default)s)")
    add("--duration", type=seconds, metavar="SECONDS", help="end watching after so long (default: at Ctrl-C)")
    add("--balances", type=seconds, default=5.0, metavar="SECONDS",
        help="how often to ask for balances while watching (default: %(default)s)")  # fmt: skip
    add("--timeout", type=seconds, default=5.0, metavar="SECONDS",
        help="how long each step of connecting, and a reply, may take (default: %(default)s)")  # fmt: skip
    add("--proxy", metavar="URL", help="http:// or socks5h:// proxy (default: the environment's)")
    add("--version", action="version", version=f"wsclient {wsclient.__version__}")
    arguments = parser.parse_intermixed_args()
    words = arguments.words
    arguments.url = words.pop(0) if words and "://" in words[0] else None
    arguments.method = words.pop(0) if words else None
    if (arguments.id is None) != (arguments.cookie is None):
        parser.error("-i ID and -c COOKIE go together")
    return arguments


def end(status: int, sentence: object) -> NoReturn:
    print(f"clientExample.py: {sentence}", file=sys.stderr)
    sys.exit(status)


def convert(name: str, text: str) -> Any:
    """A field's value, from how people write it to how the wire has it."""
    if name in ("quantity", "quantity_delta", "price", "total"):
        return wsclient.to_wire(text)
    if name in ("base", "counter", "asset"):
        return int(text) if text.isdecimal() else text
    if name in ("watch", "post_only", "persist") and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if name in ("id", "tonce", "tag"):
        return int(text)
    return text


def parse_fields(method: str, words: list[str]) -> dict[str, Any]:
    if method not in methods():
        end(NO_METHOD, f"unknown method {method!r}; there are {', '.join(methods())}")
    known = dict(list(inspect.signature(getattr(wsclient.WSClient, method)).parameters.items())[1:])
    fields: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in known:
            end(BAD_VALUE, f"{word!r} isn't name=value with a name that {method} has: {', '.join(known)}")
        try:
            fields[name] = convert(name, text)
        except ValueError as error:
            end(BAD_VALUE, f"{name}: {error}")
    missing = [name for name, field in known.items() if field.default is field.empty and name not in fields]
    if missing:
        end(BAD_VALUE, f"{method} needs {', '.join(missing)} too")
    return fields


def find_credentials(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> tuple[int, str, str] | None:
    """Who to log in as; without a url it starts the sandbox first, and takes its demo user."""
    passphrase = arguments.passphrase or os.environ.get("COINFLEX_PASSPHRASE")
    if arguments.url is None:
        try:
            from wsclient.sandbox import Sandbox
        except ImportError as error:
            end(USAGE, f"without a url {error}")
        exchange = stack.enter_context(Sandbox())
        arguments.url, demo = exchange.url, exchange.users[0]
        print(f"No url: using a sandbox exchange at {exchange.url}, as its demo user {demo.id}", file=sys.stderr)
        if arguments.id is None:
            return demo.id, demo.cookie, demo.passphrase
    if arguments.id is None:
        return None
    if passphrase is None and sys.stdin.isatty():
        passphrase = getpass.getpass("Passphrase: ")
    if passphrase is None:
        end(NO_LOGIN, "no passphrase: set COINFLEX_PASSPHRASE, or use -p")
    return arguments.id, arguments.cookie, passphrase


def show(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def watch(client: wsclient.WSClient, arguments: argparse.Namespace, private: bool, ended: threading.Event) -> None:
    """Watches a market, and asks for balances now and then, until the time is up or the connection ends.

    Every message, the replies among them, is printed by the handler.
    """
    base, _, counter = arguments.market.partition("/")
    limit = time.monotonic() + arguments.duration if arguments.duration is not None else float("inf")
    client.WatchOrders(base=base, counter=counter, watch=True).result(arguments.timeout)
    client.WatchTicker(base=base, counter=counter, watch=True).result(arguments.timeout)
    # from here on Ctrl-C is a way to end, and comes between two messages, not in the middle of one
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    while not ended.is_set() and (left := limit - time.monotonic()) > 0:
        if private:
            client.GetBalances()
        ended.wait(min(arguments.balances, left))


def run(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    fields = parse_fields(arguments.method, arguments.words) if arguments.method else {}
    credentials = find_credentials(arguments, stack)
    ended = threading.Event()
    lost: list[str] = []

    def on_message(client: wsclient.WSClient, text: str) -> None:
        try:
            show(text)
        except BrokenPipeError:  # whoever read us, head perhaps, has seen enough
            ended.set()

    def on_close(client: wsclient.WSClient, code: int | None, reason: str | None) -> None:
        lost.append(f"the connection ended with code {code} {reason}" if code else "the connection was lost")
        ended.set()

    client = wsclient.WSClient(
        arguments.url,
        msg_handler=None if arguments.method else on_message,
        # of a single call its outcome tells all; without a handler the same would be logged besides
        err_handler=(lambda client, error: None) if arguments.method else None,
        close_handler=on_close,
        insecure_ssl=arguments.insecure,
        socket_timeout=arguments.timeout,
        proxy=arguments.proxy,
    )
    stack.callback(client.stop)
    if credentials is not None:
        client.set_auth_data(*credentials)
    if arguments.method:
        print(json.dumps(client.call(arguments.method, timeout=arguments.timeout, **fields)))
    else:
        watch(client, arguments, credentials is not None, ended)
        if lost:
            end(NO_CONNECTION, lost[0])


def main() -> None:
    try:
        arguments = parse_arguments()
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        with contextlib.ExitStack() as stack:
            run(arguments, stack)
    except KeyboardInterrupt:
        sys.exit(130 if arguments.method else 0)
    except wsclient.CommandError as error:
        end(REFUSED, error)
    except wsclient.AuthenticationError as error:
        end(NO_LOGIN, error if arguments.id is not None else f"{error}: give -i ID, -c COOKIE and -p PASSPHRASE")
    except wsclient.InvalidRequest as error:
        end(BAD_VALUE, error)
    except wsclient.OutcomeUnknown as error:
        end(UNKNOWN, error)
    except BrokenPipeError:
        pass  # whoever read us has seen enough; the call was made
    except TimeoutError:
        end(UNKNOWN, f"no reply within {arguments.timeout:g} s")
    except ConnectionError as error:
        end(NO_CONNECTION, error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
