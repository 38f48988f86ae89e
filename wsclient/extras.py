"""What isn't installed with the library alone, and how to get it.

wsclient isn't on PyPI: the package of that name there is another project. So the hints name a clone of ours.
"""


def how_to_install(extra: str) -> str:
    """The command that installs wsclient with an extra, as setup.cfg names them."""
    return f"pip install '/path/to/wsclient[{extra}]', where your clone is"
