/**
 * The page's style sheet. Colours are variables, so that light, dark and print differ in one place; series
 * take theirs in the order in which neighbours stay apart for colour-blind eyes. No `style` attribute
 * anywhere: the page's policy allows this sheet by its hash and nothing else.
 */
export const STYLE = `
:root{color-scheme:light dark;
--page:#f6f7f9;--card:#fff;--ink:#14171c;--soft:#59616e;--edge:#dfe3e8;--grid:#e8ebef;--axis:#aab2bd;
--good:#0b7a45;--warn:#8f5800;--bad:#bf2430;--good-bg:#e2f4ea;--warn-bg:#fdf0d9;--bad-bg:#fde8e9;--soft-bg:#eceff3;
--c1:#2a78d6;--c2:#12966a;--c3:#d98a00;--c4:#7a4fd0;--c5:#d8413f;--c6:#0e9bb0;--c7:#d9609b;--c8:#7c7f2a}
@media (prefers-color-scheme:dark){:root{
--page:#101317;--card:#181c22;--ink:#e8ebf0;--soft:#9aa4b2;--edge:#2b313a;--grid:#262c34;--axis:#515b68;
--good:#58cf93;--warn:#efb65a;--bad:#ff8086;--good-bg:#15301f;--warn-bg:#35290f;--bad-bg:#3b1a1d;--soft-bg:#262c34;
--c1:#5a9ff0;--c2:#35bd8b;--c3:#e8a531;--c4:#a587f0;--c5:#f07471;--c6:#41bdd1;--c7:#ec89b8;--c8:#b3b655}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 40px}
header{display:flex;flex-wrap:wrap;gap:4px 20px;align-items:flex-start;justify-content:space-between;margin-bottom:20px}
h1{margin:0;font-size:24px;line-height:1.25;font-weight:650;overflow-wrap:anywhere}
h2{margin:0 0 10px;font-size:15px;font-weight:650}
h2.part{margin:28px 0 12px;font-size:18px}
h2::first-letter,b::first-letter{text-transform:uppercase}
p{margin:0;overflow-wrap:anywhere}
.by{color:var(--soft);font-size:13px}
.summary{margin-top:6px;flex-basis:100%;font-size:15px}
.badge{display:inline-block;padding:1px 9px;border-radius:99px;font-size:12.5px;font-weight:600;white-space:nowrap}
.verdict{padding:5px 14px;font-size:14px}
.good{color:var(--good);background:var(--good-bg)}
.warn{color:var(--warn);background:var(--warn-bg)}
.bad{color:var(--bad);background:var(--bad-bg)}
.soft{color:var(--soft);background:var(--soft-bg)}
.card{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:16px 18px;margin-bottom:16px}
.card.bad{border-color:var(--bad)}
.card.bad{background:var(--card)}.card.bad p,.card.bad ul{color:var(--ink)}.bad h2{margin-bottom:4px}
.bad ul,.notes ul{margin:6px 0 0;padding-left:18px}
.counts{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:10px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{text-align:left;font-size:12px;font-weight:600;color:var(--soft);white-space:nowrap}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--edge);vertical-align:top}
tr:last-child>td{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
.right{text-align:right;white-space:nowrap}
.wrap{overflow-wrap:anywhere}
.mark{width:1%}.tight{white-space:nowrap}
td.wrap{min-width:13em}
td.name{min-width:11em;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:fit-content(45%) minmax(0,1fr);gap:4px 20px;margin:0 0 10px}
dl:last-child{margin-bottom:0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
pre{margin:0;font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;white-space:pre-wrap;overflow-wrap:anywhere}
table pre{margin-top:6px;padding:8px 10px;background:var(--soft-bg);border-radius:6px}
summary{cursor:pointer;font-weight:600}
details[open]>summary{margin-bottom:10px}
td summary{font-weight:400;color:var(--soft);font-size:13px}
td details[open]>summary{margin-bottom:0}
.more,.none{color:var(--soft);padding-top:8px}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:16px;margin-bottom:16px}
figure{margin:0;background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:14px 16px 10px;display:flex;flex-direction:column}
figure:has(.none){align-self:start}
figure>svg{display:block;width:100%;height:auto;margin-top:auto}
figcaption b{display:inline-block;font-weight:650}
.unit{color:var(--soft);font-size:13px}
.legend{list-style:none;margin:4px 0 2px;padding:0;display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft)}
.legend svg{margin-right:6px;vertical-align:1px}
.grid path{stroke:var(--grid)}
.axis{stroke:var(--axis)}
.ticks{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}
.end{text-anchor:end}.mid{text-anchor:middle}
.line{fill:none;stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round}
.dashed{stroke-dasharray:5 4}
.dot{stroke:var(--card);stroke-width:1.5}
.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}.c6{--c:var(--c6)}.c7{--c:var(--c7)}.c8{--c:var(--c8)}
.line{stroke:var(--c)}
.dot{fill:var(--c)}
.timeline{display:block;width:100%;height:auto;margin-bottom:6px}
.bar{fill:var(--c);fill-opacity:.85}
.bar.open{fill-opacity:.35;stroke:var(--c);stroke-dasharray:4 3}
.sign{fill:var(--card);font-size:12px;font-weight:650;text-anchor:middle}
.bar.open+.sign{fill:var(--ink)}
.at rect{fill:transparent}
.at path{stroke:var(--axis);stroke-dasharray:2 2}
.at path,.at .dot{visibility:hidden}
.at:hover path,.at:hover .dot{visibility:visible}
@media(max-width:560px){.ticks{font-size:15px}td.wrap{min-width:9em}td.name{min-width:6em}}
@media print{
:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#444;--edge:#ccc;--grid:#e5e5e5;--axis:#888;
--good:#0b7a45;--warn:#8f5800;--bad:#bf2430;--good-bg:#fff;--warn-bg:#fff;--bad-bg:#fff;--soft-bg:#fff;
--c1:#2a78d6;--c2:#12966a;--c3:#d98a00;--c4:#7a4fd0;--c5:#d8413f;--c6:#0e9bb0;--c7:#d9609b;--c8:#7c7f2a}
body{font-size:12px}main{max-width:none;padding:0}.badge{border:1px solid}
figure,tr{break-inside:avoid}.plots{grid-template-columns:1fr 1fr}
details::details-content{content-visibility:visible;block-size:auto}}
`;
