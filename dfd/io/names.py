"""The order in which people count files and folders by their names."""

from __future__ import annotations

import re
from pathlib import Path


def natural_key(path) -> tuple:
    """Sort key by name in which 2.jpg comes before 10.jpg; the folder decides between equal names."""
    name = Path(path).name
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part), name, str(path)
