# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The style and the script of report.html; both stand in the page itself."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --ink: #14181f; --soft: #566070; --line: #d9dee6;
  --code: #eef1f5; --link: #0b57b7; --pass: #12723c; --fail: #b3261e; --unverified: #8a5a00; --accepted: #4b5a72;
  --pass-bg: #e3f4e9; --fail-bg: #fdeae8; --unverified-bg: #fdf1d7; --accepted-bg: #e9edf3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #0f1318; --card: #181e26; --ink: #e9edf2; --soft: #9aa6b5; --line: #2c3541; --code: #10151c;
    --link: #7db4ff; --pass: #5bd08b; --fail: #ff8a80; --unverified: #f0b84a; --accepted: #a9b7cb;
    --pass-bg: #12301f; --fail-bg: #3d1715; --unverified-bg: #37290a; --accepted-bg: #232c38;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--bg); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  -webkit-text-size-adjust: 100%; overflow-wrap: anywhere;
}
main, header > div { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
a { color: var(--link); }
h1, h2, h3, h4, p, ul, ol, dl, dd { margin: 0; padding: 0; }
.box ol { padding-left: 1.6rem; }
code, pre, .id {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .86em;
}
header { color: #fff; padding: 1rem 0 1.1rem; }
header.pass { background: #12723c; }
header.fail { background: #a3211a; }
header.unverified { background: #7a4f00; }
header h1 {
  font-size: 2rem; line-height: 1.15; letter-spacing: .02em; display: flex; align-items: center; gap: .6rem;
}
header p { font-size: 1.08rem; margin-top: .3rem; }
header .facts { font-size: .9rem; opacity: .92; }
.mark {
  display: inline-flex; align-items: center; justify-content: center; flex: none; width: 1.25em; height: 1.25em;
  border-radius: 50%; border: .1em solid currentColor; font-size: .82em; font-weight: 700; line-height: 1;
}
.banner {
  background: var(--accepted-bg); border-left: .4rem solid var(--accepted); padding: .6rem .9rem;
  margin: 1rem 0 0; border-radius: .3rem; font-weight: 600;
}
nav { margin: 1rem 0 0; }
nav ul {
  list-style: none; display: grid; gap: .4rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr));
}
nav a {
  display: flex; gap: .5rem; align-items: center; text-decoration: none; background: var(--card);
  color: var(--ink); border: 1px solid var(--line); border-left: .35rem solid; border-radius: .4rem;
  padding: .55rem .7rem; min-height: 2.75rem;
}
nav a.pass { border-left-color: var(--pass); }
nav a.fail { border-left-color: var(--fail); }
nav a.unverified { border-left-color: var(--unverified); }
nav a span:nth-child(2) { flex: 1; }
nav a span:last-child { color: var(--soft); font-size: .85rem; max-width: 8.5rem; text-align: right; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem; margin: 1rem 0; padding: 1rem;
}
section > h2 {
  font-size: 1.3rem; line-height: 1.3; display: flex; align-items: center; gap: .5rem; flex-wrap: wrap;
}
h3 { font-size: 1.02rem; margin: 1.1rem 0 .5rem; }
h3 small, h2 small { color: var(--soft); font-weight: 400; font-size: .88rem; }
h2 .mark { font-size: .8em; }
.pass > h2 .mark, .c-pass { color: var(--pass); }
.fail > h2 .mark, .c-fail { color: var(--fail); }
.unverified > h2 .mark, .c-unverified { color: var(--unverified); }
.c-accepted { color: var(--accepted); }
.soft, .facts-list { color: var(--soft); font-size: .9rem; }
.tag {
  display: inline-block; font-size: .74rem; font-weight: 700; letter-spacing: .04em; text-transform: uppercase;
  padding: .1rem .45rem; border-radius: .3rem; white-space: nowrap; vertical-align: .1em;
}
.tag.pass { color: var(--pass); background: var(--pass-bg); }
.tag.fail { color: var(--fail); background: var(--fail-bg); }
.tag.unverified { color: var(--unverified); background: var(--unverified-bg); }
.tag.accepted, .tag.plain { color: var(--accepted); background: var(--accepted-bg); }
.box {
  border: 1px solid var(--line); border-left: .35rem solid var(--line); border-radius: .4rem;
  padding: .65rem .8rem; margin: .5rem 0; scroll-margin-top: .5rem;
}
.box.fail { border-left-color: var(--fail); }
.box.unverified { border-left-color: var(--unverified); }
.box.accepted { border-left-color: var(--accepted); }
.box.cause { border-left-color: var(--link); }
.box > h4 { font-size: 1rem; line-height: 1.35; }
.box .where { color: var(--soft); font-size: .82rem; }
dl.values { display: grid; grid-template-columns: 6.5rem 1fr; gap: .2rem .7rem; margin-top: .4rem; }
dl.values dt { color: var(--soft); font-size: .86rem; padding-top: .06rem; }
dl.values dd { min-width: 0; white-space: pre-wrap; }
.hint { margin-top: .4rem; padding-top: .4rem; border-top: 1px dashed var(--line); white-space: pre-wrap; }
.hint::before { content: "\\2192\\a0"; color: var(--soft); }
pre {
  background: var(--code); border: 1px solid var(--line); border-radius: .35rem; padding: .55rem .65rem;
  margin: .15rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 22rem; overflow: auto;
}
.command { margin-top: .5rem; }
.command > div { display: flex; justify-content: space-between; align-items: end; gap: .5rem; }
.command .label { color: var(--soft); font-size: .86rem; }
.command pre { user-select: all; -webkit-user-select: all; }
.command pre span { display: inline-block; max-width: 100%; }
button {
  font: inherit; font-size: .82rem; padding: .3rem .7rem; min-height: 2rem; border-radius: .35rem;
  cursor: pointer; border: 1px solid var(--line); background: var(--code); color: var(--ink); display: none;
  flex: none; white-space: nowrap;
}
.js button { display: inline-block; }
details { margin-top: .6rem; }
summary { cursor: pointer; padding: .45rem 0; font-weight: 600; }
summary .soft { font-weight: 400; }
table { width: 100%; border-collapse: collapse; font-size: .88rem; }
th { text-align: left; color: var(--soft); font-weight: 600; }
td, th { padding: .3rem .6rem .3rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
td.t, td.n { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--soft); }
td.n { text-align: right; }
footer { color: var(--soft); font-size: .82rem; padding: .5rem 0 2rem; }
@media (max-width: 36rem) {
  header h1 { font-size: 1.7rem; }
  section { padding: .8rem; border-radius: .5rem; }
  dl.values { grid-template-columns: 4.9rem 1fr; gap: .2rem .5rem; }
  dl.values:has(pre) { grid-template-columns: 1fr; }
  main { padding: 0 .6rem; }
  table.stack thead { display: none; }
  table.stack tr { display: block; border-bottom: 1px solid var(--line); padding: .35rem 0; }
  table.stack td { display: inline; border: 0; padding: 0 .4rem 0 0; }
  table.stack td.wide { display: block; }
  table.stack td[data-label]::before { content: attr(data-label) " "; color: var(--soft); }
}
@media print {
  :root {
    --bg: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --code: #f4f4f4; --link: #000;
    --pass: #12723c; --fail: #b3261e; --unverified: #8a5a00; --accepted: #4b5a72; --pass-bg: #fff;
    --fail-bg: #fff; --unverified-bg: #fff; --accepted-bg: #fff;
  }
  html { font-size: 9.5pt; }
  body { font-size: 1rem; line-height: 1.4; }
  header { color: #000; background: none !important; border-bottom: 2pt solid #000; }
  header.fail h1 { color: #b3261e; }
  header.pass h1 { color: #12723c; }
  header.unverified h1 { color: #8a5a00; }
  main, header > div { max-width: none; padding: 0; }
  section { border: 0; border-top: 1px solid #bbb; border-radius: 0; padding: .6rem 0; }
  nav, button { display: none !important; }
  pre { max-height: none; overflow: visible; }
  .box, tr { break-inside: avoid; }
  .tag { border: 1px solid; }
  h2, h3, h4, summary { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  a { text-decoration: none; }
  @page { margin: 15mm; }
}
"""

SCRIPT = """
document.documentElement.classList.add('js');
document.addEventListener('click', function (event) {
  var button = event.target.closest('button[data-copy]');
  if (!button) { return; }
  var pre = button.closest('.command').querySelector('pre');
  var done = function (text) {
    button.textContent = text;
    setTimeout(function () { button.textContent = 'Copy'; }, 1500);
  };
  var select = function () {
    var range = document.createRange(); range.selectNodeContents(pre);
    var selection = getSelection(); selection.removeAllRanges(); selection.addRange(range);
    try { done(document.execCommand('copy') ? 'Copied' : 'Selected'); } catch (error) { done('Selected'); }
  };
  if (navigator.clipboard) {
    navigator.clipboard.writeText(pre.textContent).then(function () { done('Copied'); }, select);
  } else { select(); }
});
addEventListener('beforeprint', function () {
  document.querySelectorAll('details').forEach(function (item) { item.open = true; });
});
"""
