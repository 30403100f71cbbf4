"""Tiles: the same depth as the whole, on every device, in any number of threads, with progress, and faults that get out."""

import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fakegpu import device  # noqa: F401  (fixture)
from textures import NOISE, beyond_seam, plane_stack, texture

from dfd.capture import FocalStack, View
from dfd.imaging import gaussian
from dfd.psf import Psf
from dfd.solvers import SOLVERS, choose
from dfd.threads import in_order, worker_count
from dfd.tiles import (
    LEAST_TILE_PX,
    check_tile,
    cut,
    solve_tiled,
    tile_bytes,
    tile_size,
)

SHAPE = (211, 283)


@pytest.fixture(scope="module")
def capture():
    """A textured slope with the ragged edges and the hole that registration and saturation leave."""
    rng = np.random.default_rng(5)
    stack = plane_stack(rng, sharp=texture(SHAPE, rng), inverse_depth=1.45)
    images = np.array(stack.images)
    images[0, :, :4] = images[2, -7:] = images[1, 90:97, 120:140] = np.nan
    return replace(stack, images=images)


def differences(one, other):
    """Pixels known in only one of two maps, and the largest difference [unit of the map] where both are known."""
    one, other = one.numpy(), other.numpy()
    both = one.valid & other.valid
    return int(np.sum(one.valid != other.valid)), float(np.abs(one.values - other.values)[both].max())


SLOW = {"likelihood": (np.s_[:, -131:, :171], [(100, 2)])}
"""Part of the capture and the tiles that stand for all of them where a row takes its time."""

ROWS = ("focus-measure", "likelihood")
"""Those that solve a stack of twelve frames."""

CUTS = [(name, tile, workers) for name in ROWS
        for tile, workers in SLOW.get(name, (None, [(64, 1), (100, 2), (150, 3)]))[1]]


@pytest.mark.parametrize("name, tile, workers", CUTS)
def test_tiles_give_the_depth_of_the_whole(capture, name, tile, workers):
    part, _ = SLOW.get(name, (np.s_[:], None))
    solver, capture = SOLVERS[name], replace(capture, images=capture.images[part])
    whole = solver.function(capture)
    tiled = solve_tiled(capture, solver, tile=tile, workers=workers)
    assert np.mean(tiled.valid != whole.valid) <= 0.01 * solver.seam
    assert beyond_seam(abs(tiled.values - whole.values), whole.sigma, solver) < 1e-6  # dioptre
    np.testing.assert_allclose(tiled.sigma, whole.sigma, rtol=1e-4 + solver.seam)
    assert whole.valid.mean() > 0.8 and (tiled.scale, tiled.method) == (whole.scale, whole.method)


def test_every_row_that_solves_this_stack_is_cut(capture):
    def solves(name):
        try:
            return choose(capture, name).name == name
        except (TypeError, ValueError):
            return False

    assert tuple(name for name in SOLVERS if solves(name)) == ROWS


def test_a_halo_that_is_too_narrow_would_show(capture):
    """Guards the test above: with a narrow one the seams are seen."""
    solver = SOLVERS["focus-measure"]
    odd, difference = differences(solve_tiled(capture, replace(solver, halo=lambda *_: 3), tile=64, workers=1),
                                  solver.function(capture))
    assert odd > 0 or difference > 1e-4  # dioptre


def test_tiles_on_a_device_stay_there(capture, device):  # noqa: F811
    result = solve_tiled(capture, SOLVERS["focus-measure"], tile=110, device=device.word)
    assert device.owns(result.values) and device.owns(result.sigma)
    odd, difference = differences(result, solve_tiled(capture, SOLVERS["focus-measure"], tile=110))
    assert odd < 1e-3 * capture.images[0].size and difference < 0.02  # dioptre: the GPU works on arrays, the CPU in loops


@pytest.mark.parametrize("shape, tile, halo", [((211, 283), 64, 57), ((64, 1000), 64, 10), ((65, 66), 500, 57)])
def test_every_pixel_is_in_one_tile_and_has_its_halo(shape, tile, halo):
    count = np.zeros(shape, int)
    for outer, inner, place in cut(shape, tile, halo):
        count[place] += 1
        part = np.add.outer(np.arange(shape[0]) * shape[1], np.arange(shape[1]))[outer]
        np.testing.assert_array_equal(part[inner], np.add.outer(np.arange(shape[0]) * shape[1], np.arange(shape[1]))[place])
        for axis, length in enumerate(shape):
            assert outer[axis].start in (0, place[axis].start - halo)
            assert outer[axis].stop in (length, place[axis].stop + halo)
            assert place[axis].stop - place[axis].start <= tile
    assert (count == 1).all()


@pytest.mark.parametrize("frames", [3, 10, 44, 300])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_memory_follows_the_tile_not_the_number_of_frames(frames, workers):
    solver, views = SOLVERS["focus-measure"], [View(None, Psf(), NOISE, float(k)) for k in range(frames)]
    stack = FocalStack(np.broadcast_to(np.float32(0), (frames, 4000, 6000)), views, "steps")
    side = tile_size(stack, solver, workers)
    if side > LEAST_TILE_PX:
        assert workers * tile_bytes(stack, solver, side) <= solver.room
    assert workers * tile_bytes(stack, solver, side + 20) > solver.room
    assert LEAST_TILE_PX <= side <= 6000


@pytest.mark.parametrize("frames, workers, shape", [(8, 1, (1200, 900)), (8, 4, (520, 900)), (80, 1, (420, 480)),
                                                    (80, 4, (180, 250))])
def test_measured_memory_of_the_tiles_is_what_was_declared(rng, frames, workers, shape):
    """NumPy's own count while the tiles are solved, beside the images and the two maps of the result."""
    sharp = gaussian(rng.random(shape, dtype=np.float32), 0.7)
    blurred = [gaussian(sharp, 0.2 + step) for step in range(4)]
    images = np.stack([blurred[abs(k % 7 - 3)] for k in range(frames)])
    stack = FocalStack(images, [View(None, Psf(), NOISE, float(k)) for k in range(frames)], "steps")
    solver = replace(SOLVERS["focus-measure"], room=100e6)
    solve_tiled(replace(stack, images=images[:, :90, :90]), solver, workers=1)  # compiles and loads
    tracemalloc.start()
    try:
        solve_tiled(stack, solver, workers=workers)
        peak = tracemalloc.get_traced_memory()[1] - 8 * shape[0] * shape[1]
    finally:
        tracemalloc.stop()
    pieces = cut(shape, tile_size(stack, solver, workers), solver.halo(stack, None), workers, whole=True)
    declared = workers * max(solver.memory(stack, images[0][outer].shape, None) for outer, _, _ in pieces)
    assert len(pieces) >= workers and peak < 1.2 * declared and peak < 1.2 * solver.room
    assert workers > 1 or peak > 0.8 * declared  # of one tile: what is declared is not far too much either


@pytest.mark.parametrize("shape", [(40, 56), (63, 200)])
def test_images_smaller_than_the_least_tile_are_solved(rng, shape):
    stack = plane_stack(rng, shape=shape)
    result = solve_tiled(stack, SOLVERS["focus-measure"])
    assert result.shape == shape and result.valid.mean() > 0.5
    with pytest.raises(ValueError, match="tile"):
        solve_tiled(stack, SOLVERS["focus-measure"], tile=40)


def test_small_images_still_use_every_worker():
    assert len(cut((400, 600), 600, 57, 2, whole=True)) == 2
    assert len(cut((100, 600), 600, 57, 2, whole=True)) == 1


def test_progress_counts_pixels_to_the_last(capture):
    seen = []
    solve_tiled(capture, SOLVERS["focus-measure"], tile=100, workers=2, progress=lambda *at: seen.append(at))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (SHAPE[0] * SHAPE[1],) * 2


def test_a_fault_in_a_tile_stops_the_rest(capture):
    calls = []

    def broken(part, *, limits=None):
        calls.append(threading.get_ident())
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        solve_tiled(capture, replace(SOLVERS["focus-measure"], function=broken), tile=64, workers=2)
    assert len(calls) <= 2  # those that were in work


def test_in_order_keeps_the_order_and_few_items_in_work():
    busy, most, lock = 0, 0, threading.Lock()

    def work(item):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        threading.Event().wait(0.002 * (item % 3))
        with lock:
            busy -= 1
        return item

    assert list(in_order(work, range(20), 3)) == list(range(20))
    assert most <= 3


@pytest.mark.parametrize("call, message", [
    (lambda: check_tile(63, 5), r"^tile \(63 px\) must be at least 64 px, beside a halo of 5 px on every side; give a "
                                r"larger one, or leave it out for what fits the memory$"),
    (lambda: check_tile(0, 5), r"^tile \(0 px\) must be at least 64 px"),
    (lambda: worker_count(0), r"workers \(0\) must be at least 1; leave it out for all cores"),
])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("shape", [(20, 27), (57, 50), (63, 64)])
def test_an_image_below_the_least_tile_is_solved_whole_when_nobody_asks_for_tiles(shape, rng):
    stack = plane_stack(rng, foci=np.linspace(1.8, 1.05, 5), shape=shape)
    assert solve_tiled(stack, SOLVERS["focus-measure"]).values.shape == shape
    assert tile_size(stack, SOLVERS["focus-measure"], 2) <= LEAST_TILE_PX
