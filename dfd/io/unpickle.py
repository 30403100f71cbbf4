"""Read a pickle without running it: NumPy arrays, numbers, text, lists, tuples and dicts; everything else is refused.

A pickle is a program that may call anything that Python can import.  This machine knows the 40 instructions that plain
values need (protocols 3 to 5 of the standard library's pickle format, and 2 as Python 2 writes it).  It imports and calls
nothing: eight names of NumPy stand for arrays, numbers and their types, every other name ends the reading.  No length is
believed before the file is known to be that long, pixels stay in the file until they are asked for, and no more text is made
into arrays than the file is long, however often it is recalled.
"""

from __future__ import annotations

import os
import pickletools
import struct
from pathlib import Path

from dfd.io.keys import shortened
from dfd.io.stored import MAKERS, NAMES, Name, NumberType, Octets, Refused, Stored, content_of, ordered, unmade

_SHORT = 256
"""Bytes up to which a string of bytes is read; longer ones are left in the file."""

_MOST_STEPS, _BYTES_PER_STEP, _PROTOCOL = 200_000, 1000, 5
"""Instructions that any pickle may have, and bytes of a larger one that allow it another."""

_MARK = object()


def unpickle(path):
    """The value in a pickle: None, bool, int, float, str, bytes, list, tuple, dict, and Stored for an array.

    Raises OSError, in one line, for a file that is missing or damaged, and for whatever is no plain value.
    """
    path = Path(path)
    if not path.is_file():
        raise OSError(f"{path}: no such file; check the path")
    with open(path, "rb") as file:
        machine = _Machine(path, file, os.fstat(file.fileno()).st_size)
        try:
            return machine.run()
        except Refused as error:
            raise OSError(f"{path}: byte {machine.at}: {error}; only NumPy arrays, numbers, text, lists, tuples and dicts "
                          "are read, and nothing was run; save such values with pickle protocol 4") from None
        except (EOFError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
            cause = error if isinstance(error, EOFError) else type(error).__name__
            raise OSError(f"{path}: byte {machine.at}: not a whole pickle ({cause}); the file is cut or damaged, copy it "
                          "again") from error


class _Machine:
    """The stack and the memory of one reading; `at` is the place of the instruction in work."""

    def __init__(self, path, file, size):
        self._path, self._file, self._size = path, file, size
        self._stack, self._memory, self._copied, self.at = [], {}, 0, 0

    def run(self):
        most = _MOST_STEPS + self._size // _BYTES_PER_STEP
        for _ in range(most):
            self.at = self._file.tell()
            code = self.take(1)
            if code == b".":
                value = self.pop()
                if self._stack:
                    raise ValueError("stack")
                return value
            step = _STEPS.get(code)
            if step is None:
                known = pickletools.code2op.get(code.decode("latin-1"))
                raise Refused(f"instruction {known.name if known else code!r}")
            step(self)
        raise Refused(f"more than {most} instructions")

    def push(self, value):
        self._stack.append(value)

    def pop(self):
        value = self._stack.pop()
        if value is _MARK:
            raise IndexError("mark")
        return value

    def top(self, kind):
        """The value on top, which must be of a type."""
        if type(self._stack[-1]) is not kind:
            raise TypeError("stack")
        return self._stack[-1]

    def since_mark(self):
        """Everything above the last mark."""
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError("mark")
        values = self._stack[place + 1:]
        del self._stack[place:]
        return values

    def integer(self, form):
        return struct.unpack(f"<{form}", self.take(struct.calcsize(form)))[0]

    def take(self, size):
        self._check(size)
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError("the file was cut meanwhile")
        return data

    def _check(self, size):
        left = self._size - self._file.tell()
        if not 0 <= size <= left:
            raise EOFError(f"{size} bytes are announced, {left} are left")

    def text(self, form):
        self.push(str(self.take(self.integer(form)), "utf-8", "surrogatepass"))

    def string(self, form):
        """A string of Python 2: text where it is short, for the keys of dicts, else bytes."""
        self.octets(form)
        if isinstance(self._stack[-1], bytes):
            self.push(self.pop().decode("latin-1"))

    def octets(self, form):
        size = self.integer(form)
        self._check(size)
        if size <= _SHORT:
            self.push(self.take(size))
        else:
            self.push(Octets(self._file.tell(), size))
            self._file.seek(size, os.SEEK_CUR)

    def number(self):
        """A long integer of at most 255 bytes."""
        self.push(int.from_bytes(self.take(self.integer("B")), "little", signed=True))

    def protocol(self):
        version = self.integer("B")
        if version > _PROTOCOL:
            raise Refused(f"pickle protocol {version}")

    def frame(self):
        """What a frame holds follows on it anyway."""
        self._check(self.integer("Q"))

    def append(self, values):
        self.top(list).extend(values)

    def set_items(self, values):
        found = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, int, float, bytes)):
                raise Refused("a key that is no text or number")
            found[key] = value

    def remember(self, place):
        self._memory[place] = self._stack[-1]

    def memoize(self):
        self.remember(len(self._memory))

    def recall(self, place):
        self.push(self._memory[place])

    def line(self):
        text = self._file.readline(_SHORT)
        if not text.endswith(b"\n"):
            raise EOFError("a name without an end")
        return text[:-1].decode("utf-8")

    def name(self, module, name):
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("a name that is no text")
        if (module, name) not in NAMES:
            raise Refused(f"it names {shortened(f'{module}.{name}')}, which could be run")
        self.push(Name(name))

    def stack_name(self):
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def make(self):
        """What NumPy would make of its name and these arguments."""
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise Refused("a call")
        self._count(arguments)
        self.push(MAKERS.get(name.text, unmade)(self._path, *arguments))

    def build(self):
        """The rest of what a type or an array is."""
        state, target = self.pop(), self._stack[-1]
        if isinstance(target, NumberType):
            ordered(target, state)
        elif isinstance(target, Stored) and target.shape is None and isinstance(state, tuple) and len(state) == 5:
            _, shape, kind, columns_first, content = state
            self._count((content,))
            target.fill(shape, kind, columns_first, content_of(content))
        else:
            raise Refused("an object with a state of its own")

    def _count(self, arguments):
        """Text becomes bytes anew in every array that names it: all of it together may be as long as the file."""
        self._copied += sum(len(item) for item in arguments if isinstance(item, str))
        if self._copied > self._size:
            raise Refused(f"arrays of {self._copied} bytes out of text that they share, in a file of {self._size} bytes")


_STEPS = {
    b"\x80": _Machine.protocol, b"\x95": _Machine.frame, b"R": _Machine.make, b"b": _Machine.build,
    b"(": lambda m: m.push(_MARK), b"0": lambda m: m.pop(), b"1": lambda m: m.since_mark(), b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True), b"\x89": lambda m: m.push(False),
    b"J": lambda m: m.push(m.integer("i")), b"K": lambda m: m.push(m.integer("B")), b"M": lambda m: m.push(m.integer("H")),
    b"\x8a": _Machine.number, b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"\x8c": lambda m: m.text("B"), b"X": lambda m: m.text("I"), b"\x8d": lambda m: m.text("Q"),
    b"C": lambda m: m.octets("B"), b"B": lambda m: m.octets("I"), b"\x8e": lambda m: m.octets("Q"),
    b"\x96": lambda m: m.octets("Q"), b"U": lambda m: m.string("B"), b"T": lambda m: m.string("i"),
    b"]": lambda m: m.push([]), b"a": lambda m: m.append([m.pop()]), b"e": lambda m: m.append(m.since_mark()),
    b"l": lambda m: m.push(m.since_mark()), b")": lambda m: m.push(()), b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.push((m.pop(),)), b"\x86": lambda m: m.push((m.pop(), m.pop())[::-1]),
    b"\x87": lambda m: m.push((m.pop(), m.pop(), m.pop())[::-1]),
    b"}": lambda m: m.push({}), b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"q": lambda m: m.remember(m.integer("B")), b"r": lambda m: m.remember(m.integer("I")), b"\x94": _Machine.memoize,
    b"h": lambda m: m.recall(m.integer("B")), b"j": lambda m: m.recall(m.integer("I")),
    b"c": lambda m: m.name(m.line(), m.line()), b"\x93": _Machine.stack_name,
}
"""Instruction -> what it does to the machine."""
