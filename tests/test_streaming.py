"""`dfd.stream`: one map per quadruple, in order, as single captures give it, in the memory of two quadruples."""

import textwrap
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from rigquads import NOISE, SHAPE, captured, codes, quad, views

import dfd
from dfd.capture import View
from dfd.psf import Psf

DEPTHS = (0.8, 0.87, 1.2)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(5)
    return [quad(rng, depth) for depth in DEPTHS]


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "dfd-stream"]


def copies(maps):
    """(values, sigma) of every map, kept."""
    return [(item.values.copy(), item.sigma.copy()) for item in maps]


def differ(one, other):
    """Largest difference [dioptre] of two maps, which must be unknown at the same pixels."""
    assert np.array_equal(np.isnan(one), np.isnan(other))
    return float(np.nanmax(np.abs(one - other)))


def single(images, **options):
    return dfd.estimate_depth(captured(images), solver="coupled-derivatives-tls", **options)


def test_every_map_is_that_of_the_capture_alone_and_in_order(images):
    found = copies(dfd.stream([captured(item) for item in images]))
    assert len(found) == len(images)
    for (values, sigma), item in zip(found, images, strict=True):
        alone = single(item)
        assert differ(values, alone.values) < 1e-5 and differ(sigma, alone.sigma) < 1e-5


def test_the_depth_of_each_plane_is_found(images):
    for result, depth in zip(dfd.stream(images, views=views()), DEPTHS, strict=True):
        sure = result.sigma < np.nanmedian(result.sigma)
        assert abs(float(np.median(result.values[sure])) - 1 / depth) < 0.03, "dioptre"


def test_arrays_with_views_and_captures_give_the_same(images):
    of_arrays = copies(dfd.stream(images, views=views()))
    of_captures = copies(dfd.stream([captured(item) for item in images]))
    assert all(differ(one[0], other[0]) < 1e-6 for one, other in zip(of_arrays, of_captures, strict=True))


def test_codes_of_a_camera_give_what_their_light_gives(images):
    levels = {"black_level": 600, "white_level": 60000}
    light = [((codes(item).astype(np.float32) - 600) / 59400).astype(np.float32) for item in images]
    of_codes = copies(dfd.stream([codes(item) for item in images], views=views(), **levels))
    of_light = copies(dfd.stream(light, views=views()))
    assert all(differ(one[0], other[0]) < 1e-3 for one, other in zip(of_codes, of_light, strict=True))


def test_saturated_codes_are_unknown_as_saturated_light_is(images):
    """A lamp in one image: the pixels whose window holds nothing else are unknown, beyond it nothing changes."""
    lit = codes(images[0])
    lit[3, 20:44, 30:60] = 60000
    stored, = copies(dfd.stream([lit], views=views(), black_level=600, white_level=60000))
    light = ((lit.astype(np.float32) - 600) / 59400).astype(np.float32)
    light[lit >= 600 + 0.9995 * 59400] = np.nan
    expected, = copies(dfd.stream([light], views=views()))
    assert np.isnan(stored[0][21:43, 31:59]).all() and np.isfinite(stored[0][:10]).any()
    assert differ(stored[0], expected[0]) < 1e-3 and differ(stored[1], expected[1]) < 1e-3, "dioptre"


def test_gains_undo_unequal_exposure(images):
    factors = np.array([1.0, 0.8, 1.25, 0.5], np.float32)
    dimmed = [item / factors[:, None, None] for item in images]
    even = copies(dfd.stream(images, views=views()))
    found = copies(dfd.stream(dimmed, views=views(), gains=factors))
    assert all(differ(one[0], other[0]) < 1e-3 for one, other in zip(even, found, strict=True))


def test_a_map_is_filled_again_and_nothing_else_is_made(images):
    stream = dfd.stream(images, views=views())
    first = next(stream)
    kept, own = first.values.copy(), first.values
    second = next(stream)
    assert np.shares_memory(own, second.values)
    assert not np.array_equal(kept, second.values, equal_nan=True)
    stream.close()


def test_an_array_that_is_filled_again_by_the_caller_is_read_in_time(images):
    def camera():
        buffer = np.empty_like(images[0])
        for item in images:
            buffer[...] = item
            yield buffer
            buffer[...] = np.nan

    reused, fresh = (copies(dfd.stream(quads, views=views())) for quads in (camera(), images))
    assert all(np.array_equal(one[0], other[0], equal_nan=True) for one, other in zip(reused, fresh, strict=True))


@pytest.mark.parametrize("copy", [True, False])
def test_the_other_byte_order_gives_the_same(images, copy):
    levels = {"views": views(), "black_level": 600, "white_level": 60000, "copy": copy}
    stored = [codes(item) for item in images]
    turned = [item.astype(item.dtype.newbyteorder()) for item in stored]
    assert not turned[0].dtype.isnative
    for one, other in zip(copies(dfd.stream(stored, **levels)), copies(dfd.stream(turned, **levels)),
                          strict=True):
        assert differ(one[0], other[0]) == 0 and differ(one[1], other[1]) == 0


def test_the_example_of_the_guide_finds_the_plane(images, tmp_path, monkeypatch, capsys):
    """Equal exposures: an image is as bright as its pupil is large, which the gains of the example undo."""
    guide = (Path(__file__).parents[1] / "docs" / "sequences.md").read_text(encoding="utf-8")
    example = guide[guide.index("    import numpy as np\n"):guide.index("`dfd.stream` solves what it gets")]
    share = np.float32([25, 25, 9, 49])[:, None, None] / 49
    stored = codes(images[1] * share, black=64, white=4095)
    monkeypatch.chdir(tmp_path)
    for role, image in zip(("pm", "pp", "am", "ap"), stored, strict=True):
        np.save(f"{role}.npy", np.stack([image] * 100))
    exec(compile(textwrap.dedent(example), "sequences.md", "exec"), {})
    found = [float(line) for line in capsys.readouterr().out.split()]
    assert len(found) == 100 and abs(1 / found[0] - 1 / DEPTHS[1]) < 0.03, "dioptre"


def test_a_warped_image_comes_back_to_the_grid(images):
    shift = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1.0]])
    moved = images[0].copy()
    moved[1] = np.roll(images[0][1], (-2, 3), axis=(0, 1))
    straight, = copies(dfd.stream(images[:1], views=views()))
    found, = copies(dfd.stream([moved], views=views(), warps=(None, shift, None, np.eye(3))))
    inner = (slice(16, -16), slice(16, -16))
    assert differ(straight[0][inner], found[0][inner]) < 1e-5


def test_distances_outside_the_range_are_unknown(images):
    inside, outside = (next(iter(copies(dfd.stream(images[:1], views=views(), near=near, far=far))))
                       for near, far in ((0.6, 1.1), (1.2, None)))
    assert np.isfinite(inside[0]).any()
    known = outside[0][np.isfinite(outside[0])]
    assert (known <= 1 / 1.2).all()


@pytest.mark.parametrize("count", [40])
@pytest.mark.parametrize("kind", ["float32", "uint16"])
def test_memory_does_not_grow_with_the_sequence(images, kind, count):
    source = images[0] if kind == "float32" else codes(images[0])

    def camera(number):
        for _ in range(number):
            yield source

    def peak(number):
        tracemalloc.start()
        assert sum(1 for _ in dfd.stream(camera(number), views=views(), workers=1)) == number
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(2)
    assert peak(count) <= peak(4) + source.nbytes, "bytes: one leaked map per frame would be nine quadruples"


def test_an_error_of_the_camera_comes_after_the_maps_before_it(images):
    def camera():
        yield images[0]
        yield images[1]
        raise OSError("the camera is gone")

    stream, seen = dfd.stream(camera(), views=views()), 0
    with pytest.raises(OSError, match="the camera is gone"):
        for _ in stream:
            seen += 1
    assert seen == 2 and not readers()


def test_closing_early_ends_the_thread_and_reads_one_ahead_at_most(images):
    asked = []

    def camera():
        for number in range(100):
            asked.append(number)
            yield images[number % 3]

    stream = dfd.stream(camera(), views=views())
    assert not readers() and not asked, "nothing starts before the first map is asked for"
    next(stream)
    stream.close()
    assert not readers()
    assert len(asked) <= 3


def test_optics_may_change_between_captures(images):
    wide = tuple(View(view.lens, Psf("disk", 1.5), NOISE, view.coordinate) for view in views())
    quads = [captured(images[0]), dfd.DifferentialQuad(images[0], wide)]
    assert len(copies(dfd.stream(quads))) == 2


GOOD = np.zeros((4, *SHAPE), np.float32)
BAD = {
    "three images": (ValueError, [GOOD[:3]], {}, ("quadruple 0", "(3, 67, 93)", "(4, H, W)")),
    "bytes": (TypeError, [GOOD.astype(np.uint8)], {}, ("quadruple 0", "uint8", "uint16 or float32")),
    "another size": (ValueError, [GOOD, GOOD[:, :-3]], {}, ("quadruple 1", "93 x 64 px", "93 x 67 px")),
    "another type": (ValueError, [GOOD, codes(GOOD)], {}, ("quadruple 1", "uint16", "float32")),
    "no quadruple": (TypeError, ["file.tiff"], {}, ("quadruple 0", "str")),
    "one array": (TypeError, GOOD, {}, ("(4, 67, 93)", "list")),
    "nothing": (TypeError, None, {}, ("quads (a NoneType)", "iterable", "list")),
    "one capture": (TypeError, captured(GOOD), {"views": None}, ("quads (a DifferentialQuad)", "iterable", "list")),
    "half a worker": (TypeError, [GOOD], {"workers": 1.5}, ("workers (1.5)", "whole number")),
    "no views": (ValueError, [GOOD], {"views": None}, ("give views",)),
    "three views": (ValueError, [GOOD], {"views": views()[:3]}, ("4 images but 3 views",)),
    "views in another order": (ValueError, [GOOD], {"views": views()[::-1]}, ("power-plus",)),
    "three gains": (ValueError, [GOOD], {"gains": (1, 1, 1)}, ("gains", "four")),
    "no light": (ValueError, [GOOD], {"gains": (1, 1, 0, 1)}, ("gains", "positive")),
    "three warps": (ValueError, [GOOD], {"warps": (None,) * 3}, ("warps (3)", "four")),
    "a singular warp": (ValueError, [GOOD], {"warps": (np.zeros((3, 3)), None, None, None)}, ("invertible",)),
    "near beyond far": (ValueError, [GOOD], {"near": 2, "far": 1}, ("near (2 m)", "far (1 m)")),
    "white below black": (ValueError, [codes(GOOD)], {"black_level": 600, "white_level": 500}, ("white_level (500)", "600")),
    "no workers": (ValueError, [GOOD], {"workers": 0}, ("workers",)),
    "an unknown solver": (ValueError, [GOOD], {"solver": "fast"}, ("fast", "auto")),
    "a solver of stacks": (TypeError, [GOOD], {"solver": "focus-measure"}, ("focus-measure", "differential-quad")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_quadruple_is_refused_in_one_line(name):
    error, quads, options, parts = BAD[name]
    with pytest.raises(error) as caught:
        list(dfd.stream(quads, **({"views": views()} | options)))
    text = str(caught.value)
    assert "\n" not in text and all(part in text for part in parts), text
    assert not readers()
