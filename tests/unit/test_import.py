"""What `import wsclient` does: next to nothing, and nothing that reaches outside."""

import json
import subprocess
import sys

import wsclient


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_importing_loads_neither_the_client_nor_what_it_stands_on() -> None:
    code = "import sys, json, wsclient; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run(code)))
    assert {"wsclient"} <= loaded
    assert not loaded & {"websocket", "ecdsa", "ssl", "asyncio", "websockets", "wsclient.coinflex"}


def test_the_client_needs_ecdsa_only_to_sign_and_asyncio_only_to_be_awaited() -> None:
    code = (
        "import sys; from wsclient import WSClient; c = WSClient('ws://localhost'); c.set_auth_data(1, 'c', 'p');"
        "print([m for m in ('ecdsa', 'asyncio', 'websockets') if m in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_importing_and_building_a_client_opens_nothing_and_starts_no_thread() -> None:
    code = (
        "import sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append(event))\n"
        "import wsclient\n"
        "client = wsclient.WSClient('wss://host.invalid/v1')\n"
        "client.set_auth_data(1, 'cookie', 'passphrase')\n"
        "print([e for e in seen if e.startswith(('socket.', '_thread.start', 'subprocess'))])\n"
    )
    assert run(code).strip() == "[]"


def test_every_public_name_is_there_and_no_other() -> None:
    for name in wsclient.__all__:
        assert getattr(wsclient, name) is not None
        assert name in dir(wsclient)
    assert not hasattr(wsclient, "WSClinet")
