"""Read a TOML file whose keys are all known: every error is one line with file, place, value with unit, limit, next step."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dfd.io.keys import Flag, Levels, Number, shortened, to_si


@dataclass(frozen=True)
class Tables:
    """The tables of one kind of file.

    file    its usual name;   keys   place ("" = top, "frames[]" = one of several) -> key -> Number, Word, Flag or Levels
    homes   place -> where it is, in words;   number   what a number in SI becomes
    """

    file: str
    keys: dict[str, dict]
    homes: dict[str, str]
    number: Callable = float

    def parse(self, path: Path) -> dict:
        """The TOML document.  Windows editors put a byte-order mark in front; it is skipped.  Raises OSError, ValueError."""
        try:
            return tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
        except FileNotFoundError as error:
            raise OSError(f"{path}: no such file; check the path") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from error
        except RecursionError as error:
            raise ValueError(f"{path}: brackets are nested too deeply; see the example in the documentation") from error
        except ValueError as error:  # TOMLDecodeError among them; its text ends with line and column
            raise ValueError(f"{path}: not valid TOML: {one_line(error)}; correct the text there") from error

    def checked(self, path: Path, place: str, table) -> dict:
        """One table with every key known and every value of the right type and range; numbers by field, others by key.

        Raises ValueError, naming the key, and for one that is unknown the nearest.
        """
        if not isinstance(table, dict):
            raise ValueError(f"{path}: {place} must be one table, written [{place}]")
        rows, found = self.keys[_kind_of(place)], {}
        for key, value in table.items():
            name = f"{path}: {place}.{key}" if place else f"{path}: {key}"
            row = rows.get(key)
            if row is None:
                raise ValueError(self._unknown(path, place, key, rows))
            if isinstance(row, Number):
                found[row.field] = self.number(to_si(name, value, row))
            elif isinstance(row, Levels):
                found[key] = _levels(name, value)
            elif isinstance(row, Flag):
                found[key] = _flag(name, value)
            else:
                found[key] = _word(name, value, row)
        return found

    def _unknown(self, path, place, key, rows):
        """An unknown key, with the nearest one that is known, or the table that it belongs to."""
        where = f"{place}.{shortened(key)}" if place else shortened(key)
        near = difflib.get_close_matches(key, rows, n=1, cutoff=0.6)
        homes = [table for table, keys in self.keys.items() if key in keys]
        if homes:
            return f"{path}: {where} stands in the wrong place; move it to {self.homes[homes[0]]}"
        if near:
            return f"{path}: {where} is not a key of {self.file}; did you mean {near[0]}?"
        return f"{path}: {where} is not a key of {self.file}; known here: {', '.join(rows)}"


def inside(path, key, name, folder) -> Path:
    """An image file that a key names, in or below a folder, links followed.  Raises OSError, ValueError."""
    try:
        resolved, root = (folder / name).resolve(), folder.resolve()
        exists = resolved.is_file()
    except (RuntimeError, OSError) as error:  # a loop of links, a name that is too long
        raise OSError(f"{path}: {key} ({shortened(name)}) cannot be opened ({one_line(error)}); check the name") \
            from error
    if not resolved.is_relative_to(root):
        raise ValueError(f"{path}: {key} ({shortened(name)}) lies outside the folder {folder}; move the image into "
                         f"it, or {path.name} beside the image")
    if not exists:
        where = "" if folder == path.parent else f" in {folder.name}"
        raise OSError(f"{path}: {key} ({shortened(name)}): no such file{where}; check the name")
    return folder / name


def one_line(error) -> str:
    """The text of an error without line breaks."""
    return " ".join(str(error).split())


def _kind_of(place):
    """frames[3] -> frames[]."""
    return f"{place.split('[')[0]}[]" if "[" in place else place


def _levels(name, value) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= 4:
        raise ValueError(f"{name} has {len(values)} numbers; give one number, or one per channel")
    return tuple(to_si(name, number, Number("", "in file units", positive=False)) for number in values)


def _flag(name, value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} ({shortened(value)}) must be true or false, without quotes")
    return value


def _word(name, value, row) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} ({shortened(value)}) must be text in quotes")
    if row.choices and value not in row.choices:
        near = difflib.get_close_matches(value, row.choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} ({shortened(value)}) must be one of {', '.join(row.choices)}{hint}")
    if not value or not value.isprintable():
        raise ValueError(f"{name} ({shortened(value)}) must be a name of printable characters")
    return value
