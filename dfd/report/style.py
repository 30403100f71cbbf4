"""The one style sheet of the report: light and dark, wide and narrow, on paper."""

STYLE = """
:root{color-scheme:light dark;--ink:#1f2630;--soft:#5b6673;--line:#e1e5ea;--ground:#f4f5f7;--card:#fff;--well:#f6f7f9;
--good:#1f7a52;--warn:#9a4d0e;--warnground:#fdf6ec}
@media (prefers-color-scheme:dark){:root{--ink:#e3e7ec;--soft:#9aa5b1;--line:#333b45;--ground:#14181d;--card:#1c2127;
--well:#242a32;--good:#5dbb8c;--warn:#e0a05c;--warnground:#2a2419}
.plot img{filter:invert(.92) hue-rotate(180deg)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1280px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;line-height:1.3;margin:0 0 14px;font-weight:650}
h3{font-size:14px;margin:0 0 6px;font-weight:600}
p{margin:0 0 12px;max-width:84ch}
.eyebrow{color:var(--soft);font-size:13.5px;margin:0 0 6px;overflow-wrap:anywhere}
.sub,.hint{color:var(--soft);overflow-wrap:anywhere}
.hint{font-size:13.5px}
header,section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:24px 26px;margin:0 0 18px}
header{border-top:5px solid var(--good)}
header.relative{border-top-color:var(--warn)}
header.relative h1{color:var(--warn)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:16px 14px;margin-top:20px}
.figures div{border-left:3px solid var(--line);padding-left:12px}
.figures b{display:block;font-size:20px;font-weight:650;line-height:1.3}
.figures span{color:var(--soft);font-size:13px;display:block;line-height:1.35}
.pictures,.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:26px 24px;
align-items:start}
.pictures+.scroll{margin-top:22px}
.columns>*{min-width:0}
figure{margin:0;min-width:0}
figure img{display:block;width:100%;height:auto;max-height:84vh;object-fit:contain;border-radius:6px}
figcaption{margin-top:8px;font-size:13.5px;color:var(--soft)}
figcaption b{color:var(--ink);font-weight:600}
.legend{margin:10px 16px 0;font-size:12.5px;color:var(--soft);font-variant-numeric:tabular-nums}
.legend .bar{height:12px;border-radius:3px}
.legend .ticks{position:relative;height:20px;color:var(--ink)}
.legend .ticks span{position:absolute;top:4px;transform:translateX(-50%);white-space:nowrap;line-height:1.2}
.legend .ticks span::before{content:"";position:absolute;left:50%;top:-4px;height:4px;border-left:1px solid var(--soft)}
.legend .words{display:flex;justify-content:space-between;gap:12px;line-height:1.35}
.legend .words span:nth-child(2){text-align:center}
pre{background:var(--well);border:1px solid var(--line);border-radius:8px;padding:12px 14px;overflow:auto;
margin:0 0 10px;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
ul{margin:0;padding-left:20px}
li{overflow-wrap:anywhere;margin:0 0 4px}
.warnings{background:var(--warnground);border-left:4px solid var(--warn)}
.warnings h2{color:var(--warn);font-size:16px;margin-bottom:8px}
.scroll{overflow-x:auto;margin:0 0 16px}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 20px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
thead th{color:var(--soft);font-weight:550;vertical-align:bottom}
tbody th{font-weight:550}
tbody tr:last-child>*{border-bottom:0}
th small,td small{display:block;color:var(--soft);font-size:11.5px;font-weight:400}
table.numbers th:not(:first-child),table.numbers td{text-align:right}
table.numbers th:last-child,table.numbers td:last-child{padding-right:4px}
table.frames th:nth-child(2),table.frames td:nth-child(2){text-align:left}
table.wide td{white-space:normal;overflow-wrap:anywhere}
details{margin:0 0 12px}
summary{cursor:pointer;color:var(--soft);font-size:14px;padding:4px 0}
@media (max-width:560px){main{padding:10px 8px 40px}header,section{padding:16px 14px;border-radius:9px;margin-bottom:10px}
h1{font-size:21px}.figures{grid-template-columns:1fr 1fr}.figures b{font-size:17px}.legend{margin:10px 8px 0}
th,td{padding-right:14px}tbody th{position:sticky;left:0;background:var(--card);padding-right:10px}
.plot{overflow-x:auto}.plot img{min-width:470px}table.wide{min-width:100%}}
@media print{:root{--ground:#fff}header,section{break-inside:avoid;border-color:#ccc}}
"""
