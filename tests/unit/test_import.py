"""What `import wsclient` does: next to nothing, and nothing that reaches outside."""

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wsclient

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize("missing", ["websockets", "websockets.asyncio.server"])
def test_a_sandbox_without_websockets_says_how_to_install_it(missing: str) -> None:
    hide = f"import sys; sys.modules[{missing!r}] = None; "
    told = run(
        hide
        + "import wsclient.sandbox as s\nprint(s.BinanceSettings())\n"
        + "try: s.Sandbox\nexcept ImportError as e: print(e)"
    )
    assert "pip install '/path/to/wsclient[sandbox]'" in told.splitlines()[-1]
    code = hide + "import wsclient.sandbox.__main__ as m; print('status', m.main(['--port', '0']))"
    assert run(code) == "status 1\n"


def test_every_extra_that_is_named_in_a_hint_is_one() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "wsclient").rglob("*.py"))
    named = set(re.findall(r"""how_to_install\(["'](\w+)["']\)""", text))
    assert named
    assert named <= set(config["options.extras_require"])
    assert "pip install wsclient" not in text  # which would fetch another project's
    assert "pip install 'wsclient" not in text


def test_every_public_name_is_there_and_no_other() -> None:
    for name in wsclient.__all__:
        assert getattr(wsclient, name) is not None
        assert name in dir(wsclient)
    assert not hasattr(wsclient, "WSClinet")
