"""Pieces of HTML from plain text: every string that comes from a file, a camera or a user is escaped here."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape


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
    """A table; the first cell of each row is its heading."""
    top = "" if head is None else "<thead><tr>" + "".join(f"<th>{text(cell)}</th>" for cell in head) + "</tr></thead>"
    body = "".join(
        f"<tr><th>{text(first)}</th>{''.join(f'<td>{text(cell)}</td>' for cell in rest)}</tr>" for first, *rest in rows)
    return Html(f'<div class="scroll"><table class="{escape(kind)}">{top}<tbody>{body}</tbody></table></div>')


def picture(data: bytes, alt: str, caption: str = "", *, kind="png") -> Html:
    """An inline picture with its caption."""
    encoded = base64.b64encode(data).decode("ascii")
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return Html(f'<figure><img alt="{text(alt)}" src="data:image/{kind};base64,{encoded}">{below}</figure>')


def section(title: str, *parts) -> Html:
    """A titled section; nothing at all when it has no content."""
    content = "".join(text(part) for part in parts if part is not None)
    return Html(f"<section><h2>{text(title)}</h2>{content}</section>" if content else "")


def value_with_source(value: str, source: str | None) -> Html:
    """A number, and in small print where it came from."""
    return Html(f"{text(value)}" + (f"<small>{text(source)}</small>" if source else ""))


def page(title: str, *parts) -> str:
    """One complete document: no script, no external reference."""
    body = "".join(text(part) for part in parts)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(title)}</title>'
            f"<style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n")


_STYLE = """
:root{--ink:#22272e;--soft:#5c6773;--line:#dfe3e8;--ground:#f6f7f9;--good:#1f6f4a;--warn:#a8480e}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:25px;line-height:1.25;margin:0 0 4px;font-weight:650}
h2{font-size:17px;margin:0 0 12px;font-weight:650}
p{margin:0 0 10px}
.sub{color:var(--soft);overflow-wrap:anywhere}
header,section{background:#fff;border:1px solid var(--line);border-radius:10px;padding:20px 22px;margin:0 0 16px}
header{border-top:5px solid var(--good)}
header.relative{border-top-color:var(--warn)}
header.relative h1{color:var(--warn)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:16px}
.figures div{border-left:3px solid var(--line);padding-left:11px}
.figures b{display:block;font-size:20px;font-weight:650;line-height:1.25}
.figures span{color:var(--soft);font-size:13px}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr));gap:18px;align-items:start}
figure{margin:0}
figure img{display:block;width:100%;height:auto;max-height:86vh;object-fit:contain;border-radius:4px}
figcaption{color:var(--soft);font-size:13.5px;margin-top:6px}
pre{background:var(--ground);border:1px solid var(--line);border-radius:6px;padding:12px 14px;overflow:auto;
margin:0 0 10px;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
ul{margin:0;padding-left:20px}
.warnings li{color:var(--warn);overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:0 0 14px}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 16px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
thead th{color:var(--soft);font-weight:550}
tbody th{font-weight:550}
td small{display:block;color:var(--soft);font-size:11.5px}
table.wide td{white-space:normal;overflow-wrap:anywhere}
@media print{body{background:#fff}section,header{break-inside:avoid}}
"""
