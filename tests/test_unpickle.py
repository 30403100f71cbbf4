"""A pickle is read and never run: what plain values need is understood, everything else is refused before it happens."""

import copyreg
import datetime
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from dfd.cli.commands import app
from dfd.console.run import call
from dfd.io.pages import Pages
from dfd.io.stored import Stored
from dfd.io.unpickle import unpickle

ARRAYS = {
    "codes": np.arange(3600, dtype=np.uint16).reshape(60, 60),
    "floats": np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30),
    "columns first": np.asfortranarray(np.linspace(0, 1, 600).reshape(20, 30)),
    "another byte order": np.arange(600, dtype=">u2").reshape(20, 30),
    "every other": np.arange(1200, dtype=np.uint8).reshape(20, 60)[:, ::2],
}
PLAIN = {"text": "näme", "bytes": b"x" * 40, "numbers": [1, -2, 70000, 1 << 70, 0.5, True, False, None],
         "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "nested": [[{"a": {}}]], "empty": []}


def written(path, value, protocol=4):
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return path


def array_of(item):
    """The pixels of a Stored array."""
    out = np.empty(item.shape, item.dtype.newbyteorder("="))
    if item.place is None:
        return np.frombuffer(item.raw, item.dtype).reshape(item.shape)
    Pages(item.shape, item.dtype, (item.place,)).read(0, out)
    return out


# -- what is understood


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values_come_back_as_they_were(tmp_path, protocol):
    assert unpickle(written(tmp_path / "a.pkl", PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_bit_for_bit(tmp_path, name, protocol):
    found, again = unpickle(written(tmp_path / "a.pkl", [ARRAYS[name]] * 2, protocol))
    assert isinstance(found, Stored) and again is found
    np.testing.assert_array_equal(array_of(found), ARRAYS[name])


@pytest.mark.parametrize("value", [np.float64(1.25), np.float32(1.25), np.uint8(7), np.int64(-5), np.bool_(True)])
def test_numbers_of_numpy_are_numbers(tmp_path, value):
    assert unpickle(written(tmp_path / "a.pkl", [value])) == [float(value)]


def test_names_of_older_numpy_are_known(tmp_path):
    data = pickle.dumps(ARRAYS["codes"], protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(array_of(unpickle(written(tmp_path / "a.pkl", data))), ARRAYS["codes"])


def test_strings_of_python_2_are_text_and_pixels(tmp_path):
    """Protocol 2 of Python 2: BINSTRING for keys and pixels."""
    pixels = np.arange(300, dtype=np.uint8)
    body = (b"\x80\x02}U\x03Imgcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
            b"(K\x01K\x0aK\x1e\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
            + struct.pack("<i", 300) + pixels.tobytes() + b"tbs.")
    np.testing.assert_array_equal(array_of(unpickle(written(tmp_path / "a.pkl", body))["Img"]), pixels.reshape(10, 30))


def test_pixels_stay_in_the_file(tmp_path):
    path = written(tmp_path / "a.pkl", [np.zeros((1000, 1000), np.uint16)])
    tracemalloc.start()
    unpickle(path)
    assert tracemalloc.get_traced_memory()[1] < 300_000, "bytes, of 2 million in the file"
    tracemalloc.stop()


# -- what is refused


class Call:
    """Pickles as a call of any function."""

    def __init__(self, *call):
        self._call = call

    def __reduce__(self):
        return self._call


class Loud:
    """Leaves a file behind when it is made, filled or named by a pickle."""

    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        os.mkdir(state["path"])


def chain(module, *names):
    """A getattr chain: operator.attrgetter("system")(os)."""
    return Call(getattr, (__import__(module), names[0]))


def malicious(mark):
    """Name -> pickle that would make the folder `mark`, or read or change something, if it were run."""
    shell = f"mkdir {mark}"
    array = pickle.dumps(np.arange(4.0), protocol=4)
    return {
        "os.system": Call(os.system, (shell,)),
        "posix.system by text": b"cposix\nsystem\n(S'" + shell.encode() + b"'\ntR.",
        "builtins.eval": Call(eval, (f"__import__('os').mkdir({str(mark)!r})",)),
        "builtins.exec": Call(exec, (f"import os; os.mkdir({str(mark)!r})",)),
        "subprocess": Call(__import__("subprocess").run, (["mkdir", str(mark)],)),
        "os.mkdir": Call(os.mkdir, (str(mark),)),
        "open for writing": Call(open, (str(mark), "w")),
        "numpy.load": Call(np.load, (str(mark),)),
        "numpy.save": Call(np.save, (str(mark), 1)),
        "numpy.lib.npyio": b"cnumpy.lib.npyio\nload\n(S'a'\ntR.",
        "numpy.testing runstring": b"cnumpy.testing._private.utils\nrunstring\n(S'import os'\n}tR.",
        "numpy with dots": b"\x80\x04\x8c\x05numpy\x8c\x0andarray.__reduce__\x93.",
        "getattr": b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR.",
        "attrgetter": b"coperator\nattrgetter\n(S'system'\ntR.",
        "an object with __setstate__": Loud(str(mark)),
        "a date": datetime.datetime(2026, 1, 1),
        "an ordered dict": OrderedDict(a=1),
        "a set": {1, 2},
        "a frozen set": frozenset({1}),
        "a complex number": 1 + 2j,
        "an exception": ValueError("x"),
        "a function": len,
        "NEWOBJ": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "INST": b"(S'echo'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'echo'\no.",
        "a persistent id": b"Pspam\n.",
        "a binary persistent id": b"\x80\x02U\x01aQ.",
        "an extension code": b"\x80\x02\x82\xf0.",
        "a two byte extension code": b"\x80\x02\x83\xf0\x00.",
        "an out-of-band buffer": b"\x80\x05\x97.",
        "objects": np.array([1, "a", None], dtype=object),
        "records": np.zeros(3, [("a", "f4"), ("b", "u1")]),
        "dates": np.zeros(3, "M8[s]"),
        "texts": np.array(["a", "b"]),
        "complex pixels": np.zeros((20, 20), complex),
        "a masked array": np.ma.masked_array([1.0], [True]),
        "dtype of a class": b"cnumpy\ndtype\n(cnumpy\nndarray\nI0\nI1\ntR.",
        "dtype with fields": b"\x80\x02cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<N]NJ\xff\xff\xff\xffK\x00tb.",
        "dtype of a dict": b"\x80\x02cnumpy\ndtype\n}\x85R.",
        "a state for a name": b"\x80\x02cnumpy\nndarray\n}b.",
        "a state for a list": b"\x80\x02]}b.",
        "a type called": b"\x80\x02cnumpy\nndarray\nK\x03\x85R.",
        "another class": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
        "a second pickle behind a name": array[:-1] + b"\x8c\x02os\x8c\x06system\x93.",
        "a protocol to come": b"\x80\x09N.",
        "a list as key": b"\x80\x02}]Ns.",
    }


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "it was run"


@pytest.mark.parametrize("name", malicious("x"))
def test_nothing_is_run_and_the_command_says_so_in_one_line(tmp_path, capsys, mark, name):
    path = written(tmp_path / "captures.pkl", malicious(mark)[name])
    with pytest.raises(OSError, match=r"captures\.pkl: byte \d+: ") as caught:
        unpickle(path)
    assert "\n" not in str(caught.value)
    assert call(app, ["depth", str(path), "-o", str(tmp_path / "out")], name="dfd") == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dfd: {path}: byte ")
    assert call(app, ["info", str(path)], name="dfd") == 2
    assert [item.name for item in tmp_path.iterdir()] == ["captures.pkl"]


def test_the_extension_registry_is_not_asked(tmp_path, mark):
    copyreg.add_extension("os", "mkdir", 241)
    try:
        data = b"\x80\x02\x82\xf1U" + bytes([len(str(mark))]) + str(mark).encode() + b"\x85R."
        with pytest.raises(OSError, match="EXT1"):
            unpickle(written(tmp_path / "a.pkl", data))
    finally:
        copyreg.remove_extension("os", "mkdir", 241)
    assert not mark.exists()


def test_text_is_made_into_arrays_once_at_most(tmp_path):
    with pytest.raises(OSError, match=r"out of text that they share, in a file of \d+ bytes"):
        unpickle(written(tmp_path / "a.pkl", shared_text(10_000, 50)))
    array, = unpickle(written(tmp_path / "b.pkl", shared_text(200, 1)))
    np.testing.assert_array_equal(array_of(array), np.full(200, ord("a"), np.uint8))


def test_large_files_may_hold_many_values(tmp_path, monkeypatch):
    monkeypatch.setattr("dfd.io.unpickle._MOST_STEPS", 100)
    assert len(unpickle(written(tmp_path / "a.pkl", [b"x" * 100_000] + [1] * 150))) == 151
    with pytest.raises(OSError, match="more than 100 instructions"):
        unpickle(written(tmp_path / "a.pkl", [1] * 150))


def lengths():
    """Pickles that announce far more than they hold."""
    state = (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01%s"
             b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04abcdtb.")
    return {
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc",
        "four gigabytes": b"\x80\x03B\xff\xff\xff\xff",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 50),
        "a negative string": b"\x80\x02T\xff\xff\xff\xff",
        "a bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40),
        "a frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        "a long integer": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30),
        "a huge array": state % b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86",
        "a negative array": state % b"J\xff\xff\xff\xff\x85",
        "an array of a shape of lists": state % b"]\x85",
        "a far place in memory": b"\x80\x02Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.",
        "deep tuples as a name": b"\x80\x04N" + b"\x85" * 200_000 + b"\x8c\x01a\x93.",
        "deep lists": b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b"R.",
        "no end": b"\x80\x04]" * 3,
        "nothing": b"",
        "no pickle": b"II*\x00 this is a TIFF",
        "an empty stack": b".",
        "two values": b"\x80\x04NN.",
        "a mark alone": b"\x80\x04(.",
        "an append to nothing": b"\x80\x04Na.",
        "text that many arrays share": shared_text(100_000, 5_000),
        "more instructions than plain values need": b"\x80\x04" + b"N0" * 150_000 + b"N.",
        "a memory that is empty": b"\x80\x04h\x05.",
    }


def shared_text(size, count):
    """A list of `count` arrays of the same `size` bytes, written once as text and recalled for every array."""
    text = b"\x80\x02X" + struct.pack("<I", size) + b"a" * size + b"q\x000cnumpy\ndtype\nU\x02u1K\x00K\x01\x87Rq\x010"
    each = b"cnumpy.core.numeric\n_frombuffer\n(h\x00h\x01J" + struct.pack("<i", size) + b"\x85tRa"
    return text + b"]" + each * count + b"."


@pytest.mark.parametrize("name", lengths())
def test_no_length_is_believed(tmp_path, name):
    """What is announced is held against the file first: no more memory than the file's own size, give or take."""
    path = written(tmp_path / "a.pkl", lengths()[name])
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=r"a\.pkl: byte \d+: "):
            unpickle(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 * path.stat().st_size + 500_000, "bytes"


def test_every_cut_of_a_good_pickle_is_told(tmp_path):
    data = pickle.dumps([{"Img": ARRAYS["floats"], "OP": np.float64(1.2)}], protocol=4)
    for length in (*range(0, 300, 7), len(data) - 1):
        with pytest.raises(OSError, match=r"cut or damaged|are read"):
            unpickle(written(tmp_path / "a.pkl", data[:length]))


def test_noise_in_a_pickle_never_runs_or_crashes(tmp_path):
    """A thousand pickles with a few bytes changed: refused, or read as plain values."""
    rng = np.random.default_rng(4)
    shot = {"Img": ARRAYS["floats"], "OP": np.float64(1.2), "t": (1, "a")}
    data = np.frombuffer(pickle.dumps([shot], protocol=4), np.uint8)
    for _ in range(1000):
        broken = data.copy()
        broken[rng.integers(0, 260, 3)] = rng.integers(0, 256, 3)
        try:
            unpickle(written(tmp_path / "a.pkl", broken.tobytes()))
        except OSError as error:
            assert "byte" in str(error)
