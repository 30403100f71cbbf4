"""The arrays, numbers and types that a pickle may hold, made from plain values alone: what `io.unpickle` knows of NumPy."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dfd.io.keys import shortened
from dfd.io.pages import Place

NAMES = {(f"numpy.{core}.{module}", name) for core in ("core", "_core")
          for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))}
NAMES |= {("numpy", "ndarray"), ("numpy", "dtype")}
"""The only (module, name) pairs that a pickle may name."""

_TYPES = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_MOST_AXES = 8


@dataclass(frozen=True)
class Name:
    """A name that may stand in a pickle."""

    text: str


@dataclass(eq=False)
class NumberType:
    """A NumPy type of numbers; its byte order comes after it."""

    dtype: np.dtype


@dataclass(frozen=True)
class Octets:
    """Bytes in the file."""

    offset: int
    size: int


@dataclass(eq=False)
class Stored:
    """A NumPy array that lies in a pickle; shape, dtype (byte order included) and place, None before they are known."""

    path: Path
    shape: tuple[int, ...] | None = None
    dtype: np.dtype | None = None
    place: Place | None = None
    raw: bytes | None = None

    def fill(self, shape, kind, columns_first, content) -> None:
        """Say what the array is; content is what `_Machine.octets` gives.  Raises Refused when it does not fit."""
        if not (isinstance(shape, tuple) and len(shape) <= _MOST_AXES and isinstance(kind, NumberType)
                and all(isinstance(length, int) and not isinstance(length, bool) and length >= 0 for length in shape)):
            raise Refused("an array without a shape and a type of numbers")
        size = content.size if isinstance(content, Octets) else len(content)
        if math.prod(shape) * kind.dtype.itemsize != size:
            raise Refused(f"an array of shape {shortened(str(shape))} and type {kind.dtype} in {size} bytes")
        self.shape, self.dtype = shape, kind.dtype
        if isinstance(content, Octets):
            self.place = Place(self.path, ((content.offset, content.size),), bool(columns_first) and len(shape) > 1)
        else:
            self.raw = bytes(content)

    def number(self) -> float | None:
        """The number of an array that holds a single one, else None."""
        if self.raw is None or math.prod(self.shape) != 1:
            return None
        return float(np.frombuffer(self.raw, self.dtype)[0])


class Refused(Exception):
    """Something that is no plain value; the text says what."""


def unmade(*_):
    """What no name of NumPy makes."""
    raise Refused("a call")


def _type(_, code="", *rest):
    if not isinstance(code, str) or not _TYPES.fullmatch(code) or not all(isinstance(item, (bool, int)) for item in rest):
        raise Refused(f"the type {shortened(code) if isinstance(code, str) else type(code).__name__}, which is no number")
    return NumberType(np.dtype(code))


def ordered(kind, state):
    """Give a type the byte order of its state: (version, order, no fields, no names, ...)."""
    if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or \
            any(item is not None for item in state[2:5]):
        raise Refused("a type with fields")
    kind.dtype = kind.dtype.newbyteorder("=" if state[1] == "|" else state[1])


def _array(path, *arguments):
    """numpy's _reconstruct(ndarray, (0,), b"b"): an empty array whose state follows."""
    if not arguments or arguments[0] != Name("ndarray") or arguments[1:] not in (((0,), b"b"), ((0,), "b")):
        raise Refused("an array that is none of NumPy")
    return Stored(path)


def _from_buffer(path, content=b"", kind=None, shape=None, order="C"):
    array = Stored(path)
    array.fill(shape, kind, order == "F", content_of(content))
    return array


def _scalar(path, kind=None, content=b""):
    array = Stored(path)
    array.fill((), kind, False, content_of(content))
    return array.number()


def content_of(content):
    """The bytes of an array as bytes or Octets.  Raises Refused for anything else: the list of an array of objects."""
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(content, (bytes, Octets)):
        raise Refused("an array of objects")
    return content


MAKERS = {"dtype": _type, "_reconstruct": _array, "_frombuffer": _from_buffer, "scalar": _scalar}

