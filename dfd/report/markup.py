"""Pieces of HTML from plain text: every string that comes from a file, a camera or a user is escaped here."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

from dfd.report.style import STYLE


@dataclass(frozen=True)
class Html:
    """Text that is markup already; everything else is escaped by `text`."""

    markup: str


def text(item) -> str:
    """Markup of any item: escaped unless it is Html; an empty cell for None."""
    if isinstance(item, Html):
        return item.markup
    return "" if item is None else escape(str(item), quote=True)


def table(rows, *, head=None, kind="") -> Html:
    """A table; the first cell of each row is its heading.  kind: classes, such as "numbers" for columns of numbers."""
    top = "" if head is None else "<thead><tr>" + "".join(f"<th>{text(cell)}</th>" for cell in head) + "</tr></thead>"
    body = "".join(
        f"<tr><th>{text(first)}</th>{''.join(f'<td>{text(cell)}</td>' for cell in rest)}</tr>" for first, *rest in rows)
    return Html(f'<div class="scroll"><table class="{escape(kind)}">{top}<tbody>{body}</tbody></table></div>')


def picture(data: bytes, title: str, caption: str = "", *, kind="png", legend: Html | None = None, plot=False) -> Html:
    """An inline picture, the legend of its colours, its title and what else there is to say of it.

    plot   a transparent drawing in dark ink, which a dark page turns light
    """
    encoded = base64.b64encode(data).decode("ascii")
    below = f"<figcaption><b>{text(title)}</b> {text(caption)}</figcaption>"
    opening = '<figure class="plot">' if plot else "<figure>"
    return Html(f'{opening}<img alt="{text(title)}" src="data:image/{kind};base64,{encoded}">{text(legend)}{below}</figure>')


def legend(colours, ticks, words) -> Html:
    """A bar of colours (left to right, each r, g, b of 0..255) with (share of the width 0..1, label) ticks.

    words   three texts below it: at its left end, in the middle, at its right end
    """
    stops = ",".join("#" + "".join(f"{channel:02x}" for channel in colour) for colour in colours)
    marks = "".join(f'<span style="left:{100 * share:.2f}%">{text(label)}</span>' for share, label in ticks)
    below = "".join(f"<span>{text(word)}</span>" for word in words)
    return Html(f'<div class="legend"><div class="bar" style="background:linear-gradient(to right,{stops})"></div>'
                f'<div class="ticks">{marks}</div><div class="words">{below}</div></div>')


def section(title: str, *parts, kind="") -> Html:
    """A titled section; nothing at all when it has no content."""
    content = "".join(text(part) for part in parts if part is not None)
    opening = f'<section class="{escape(kind)}">' if kind else "<section>"
    return Html(f"{opening}<h2>{text(title)}</h2>{content}</section>" if content else "")


def group(kind: str, *parts) -> Html | None:
    """A block that lays its parts out, "pictures" or "columns" side by side where there is room; None without parts."""
    content = "".join(f"<div>{text(part)}</div>" if kind == "columns" else text(part) for part in parts if part is not None)
    return Html(f'<div class="{escape(kind)}">{content}</div>') if content else None


def folded(summary: str, *parts) -> Html | None:
    """Parts that are shown on demand; None without parts."""
    content = "".join(text(part) for part in parts if part is not None)
    return Html(f"<details><summary>{text(summary)}</summary>{content}</details>") if content else None


def bullets(sentences) -> Html | None:
    """A list of sentences; None without any."""
    return Html(f"<ul>{''.join(f'<li>{text(item)}</li>' for item in sentences)}</ul>") if sentences else None


def with_note(value, note: str | None) -> Html:
    """A cell or heading with a small note below it, such as where a number came from."""
    return Html(f"{text(value)}" + (f"<small>{text(note)}</small>" if note else ""))


def page(title: str, *parts) -> str:
    """One complete document: no script, no external reference."""
    body = "".join(text(part) for part in parts)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(title)}</title>'
            f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n")
