"""`dfd depth` on a sequence of quadruples: which options it takes, what it says before and after."""

from __future__ import annotations

from dfd.cli.terminal import MOST_WARNINGS, scale_first
from dfd.console import Progress, say
from dfd.io.wording import counted

_REASONS = {
    "--device": "quadruples are solved on the CPU one after another",
    "--focus-distances": "a quadruple is told by power_dpt and image_distance_mm in capture.toml",
    "--align": "a sequence has no transforms of its own; auto or none",
    "--reference": "say reference = true in a [[frames]] of capture.toml",
    "--side": "a quadruple tells itself on which side of focus the scene lies",
    "--swap": "its images have roles, not views",
    "--axis": "its images have roles, not views",
    "--y-scale": "a quadruple has square pixels",
    "--smooth": "a sequence has no all-in-focus image whose edges it could follow",
    "--fill": "unknown pixels of a sequence stay unknown",
    "--tile": "its maps are solved in strips already",
}


def solve_sequence(inputs, output, *, refused, dry_run, **options) -> None:
    """Solve a sequence, or say what it would need.

    refused   option -> whether it was given, of those that make no sense here;   options   of sequences.run_sequence
    """
    given = next((name for name, present in refused.items() if present), None)
    if given is not None:
        raise ValueError(f"{given} is not for a sequence of quadruples: {_REASONS[given]}; leave it out")
    from dfd.sequences import foresee_sequence, run_sequence

    origin = options["origin"].value
    if dry_run:
        job = foresee_sequence(inputs, output, **{name: value for name, value in options.items() if name != "align"})
        scale_first(job.quads.source, origin=origin)
        _expect(job, output)
        return
    from dfd.report import load_ahead, write_sequence_report

    def opened(source):
        scale_first(source, origin=origin)
        load_ahead()

    with Progress(rated=("solve",)) as progress:
        outcome = run_sequence(inputs, output, **options, extras=(write_sequence_report,), opened=opened, progress=progress)
    _summary(outcome, output)


def count_line(inputs, lens) -> str:
    """`dfd info` of a sequence in images: how many quadruples there are, or why it cannot be read."""
    from dfd.sequences import open_sequence

    try:
        quads = open_sequence(inputs, lens=lens)
    except (OSError, ValueError) as error:
        return f"dfd depth would stop: {error}"
    return f"a sequence of {counted(quads.count, 'quadruple', 'quadruples')}, {quads.names[0]} to {quads.names[-1]}"


def describe_pickle(path, lens) -> None:
    """`dfd info` of a pickle: the sequence in it, its optics and what is doubtful of them."""
    from dfd.sequences import open_sequence

    quads = open_sequence([path], lens=lens)
    height, width = quads.shape
    say(f"{path}: {counted(quads.count, 'quadruple', 'quadruples')} of {width} x {height} px"
        f"{f' after averaging {quads.reduction} x {quads.reduction} px' if quads.reduction > 1 else ''}")
    for frame in quads.source.frames:
        values = frame.settings
        say(f"  {frame.role:14}  power {values.power.value:.4g} dioptre ({values.power.source}), pupil "
            f"{values.pupil_diameter.value * 1e3:.4g} mm ({values.pupil_diameter.source})")
    first = quads.source.frames[0].settings
    for name, value, unit, size in (("image distance", first.image_distance, "mm", 1e-3), ("pixel pitch", first.pixel_pitch,
                                                                                         "um", 1e-6)):
        say(f"  {name} {value.value / size:.4g} {unit} ({value.source})")
    say(f"  the target stood {min(quads.truths):.4g} to {max(quads.truths):.4g} m away")
    for text in quads.source.warnings:
        say(f"warning: {text}")


def _expect(job, output):
    from dfd.io.results import free_bytes

    quads = job.quads
    height, width = quads.shape
    memory = 2 * 4 * quads.dtype.itemsize * height * width + 8 * 4 * height * width + 400e6
    say(f"a sequence of {counted(quads.count, 'quadruple', 'quadruples')} of {width} x {height} px, {job.row.name}")
    say(f"memory  about {memory / 1e9:.1f} GB, however long the sequence is")
    say(f"disk    {job.written / 1e9:.2f} GB of results, where {free_bytes(output) / 1e9:.1f} GB are free")
    for text in quads.source.warnings:
        say(f"warning: {text}")


def _summary(outcome, folder):
    middle = outcome.middle
    shape, rows = middle.result.shape, outcome.rows
    known = sum(row["density"] for row in rows) / len(rows)
    medians = [row["depth_m"]["median"] for row in rows if row["depth_m"]["median"] == row["depth_m"]["median"]]
    span = f", median depth {min(medians):.4g} to {max(medians):.4g} m" if medians else ""
    say(f"{counted(len(rows), 'quadruple', 'quadruples')} of {shape[1]} x {shape[0]} px, {known:.1%} of the pixels known"
        f"{span}")
    texts = list(dict.fromkeys((*middle.source.warnings, *middle.warnings)))
    for text in texts[:MOST_WARNINGS]:
        say(f"warning: {text}")
    if len(texts) > MOST_WARNINGS:
        say(f"warning: and {len(texts) - MOST_WARNINGS} more in report.html")
    rate = "" if outcome.rate is None else f"; {outcome.rate:.3g} quadruples a second, read, solved and written"
    say(f"{middle.solver} on {middle.device}{rate}")
    say(f"look at {folder}/report.html")
