"""Who may import whom: errors <- core <- venues <- the programs; sandbox and sinks stand beside them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "wsclient"
VENUES = {path.parent.name for path in ROOT.glob("*/dialect.py") if path.parent.name not in ("core", "sandbox")}
CONSTANTS = {"assets", "curve"}


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The modules of ours that a file imports, each as its parts below wsclient."""
    package = ("wsclient", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = start + tuple((node.module or "").split(".") if node.module else ())
            names = [module, *((*module, alias.name) for alias in node.names)]
        else:
            continue
        for name in names:
            if name[:1] == ("wsclient",):
                yield name[1:]


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def layers_of(path: Path) -> set[str]:
    return {name[0] for name in imports(path) if name}


def test_there_are_venues_and_a_core_to_look_at() -> None:
    assert "coinflex" in VENUES
    assert files("core")


@pytest.mark.parametrize("path", files("core"), ids=lambda path: path.name)
def test_core_knows_no_venue(path: Path) -> None:
    assert layers_of(path) <= {"core", "errors", "extras"} | {p.stem for p in files("core")}
    assert not layers_of(path) & VENUES


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_a_venue_knows_no_other_venue(venue: str) -> None:
    for path in files(venue):
        assert not layers_of(path) & (VENUES - {venue}), path
        assert "sandbox" not in layers_of(path), path


@pytest.mark.parametrize("path", files("sandbox"), ids=lambda path: path.name)
def test_the_sandbox_takes_constants_from_the_client_and_no_code(path: Path) -> None:
    for name in imports(path):
        if name and name[0] in VENUES:
            assert len(name) == 1 or name[1] in CONSTANTS, name
        assert not name or name[0] not in ("core",), name


@pytest.mark.parametrize("path", files("sinks"), ids=lambda path: path.name)
def test_sinks_know_the_errors_and_the_extras_and_nothing_else_of_ours(path: Path) -> None:
    assert layers_of(path) <= {"errors", "extras", "sinks"}


def test_nothing_stands_on_the_command_line() -> None:
    for path in ROOT.rglob("*.py"):
        if path.parent.name != "cli" and path != ROOT / "__main__.py":
            assert "cli" not in layers_of(path), path


def test_threads_start_in_few_places() -> None:
    starting = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr in ("Thread", "Timer", "ThreadPoolExecutor")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert starting == {
        "core/handler_queue.py",
        "core/lifecycle.py",
        "core/worker.py",
        "sandbox/exchange.py",
        "sinks/queue.py",
    }


def test_nothing_of_ours_names_a_private_part_of_websocket_client() -> None:
    for path in ROOT.rglob("*.py"):
        assert "websocket._" not in path.read_text(encoding="utf-8"), path
