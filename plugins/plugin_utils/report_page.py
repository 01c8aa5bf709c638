# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The template of report.html (Jinja2): one self-contained page, nothing is loaded from anywhere."""

from __future__ import annotations

PAGE = """\
{%- set signs = {"pass": "✓", "fail": "✕", "unverified": "?"} -%}
{%- macro mark(status) -%}
<span class="mark" aria-hidden="true">{{ signs[status] }}</span>
{%- endmacro -%}
{%- macro tag(kind, text=none) -%}
<span class="tag {{ kind }}">{{ text or kind }}</span>
{%- endmacro -%}
{%- macro values(check) -%}
<dl class="values">
<dt>Observed</dt><dd>{{ check.observed | shown }}</dd>
{%- if check.expected is not none and check.expected != "" %}
<dt>Expected</dt><dd>{{ check.expected | shown }}</dd>
{%- endif %}
</dl>
{%- endmacro -%}
{%- macro where(check) -%}
<div class="where"><span class="id">{{ check.id }}</span>
{%- if check.runbook %} · runbook {{ check.runbook | section }}{% endif %}
{%- if check.duration_ms is not none %} · {{ check.duration_ms | duration }}{% endif %}</div>
{%- endmacro -%}
{%- macro check_box(check, anchor) -%}
<div class="box {{ check.status }}" id="{{ anchor }}">
<h4>{{ tag(check.status) }} {{ check.title }}</h4>
{{ where(check) }}
{{ values(check) }}
{%- if check.hint %}
<p class="hint">{{ check.hint }}</p>
{%- endif %}
</div>
{%- endmacro -%}
{%- macro accepted_box(check, anchor) -%}
<div class="box accepted" id="{{ anchor }}">
<h4>{{ tag("accepted", "accepted " ~ check.status) }} {{ check.title }}</h4>
{{ where(check) }}
<p>{{ check.reason }} <span class="soft">Until {{ check.until }}, owner {{ check.owner }}.</span></p>
{{ values(check) }}
</div>
{%- endmacro -%}
{%- macro check_rows(checks, prefix) -%}
<table class="stack">
<thead><tr><th>Check</th><th>Observed</th><th>Expected</th></tr></thead>
<tbody>
{%- for check in checks %}
<tr{% if prefix %} id="{{ prefix | anchor(check.id) }}"{% endif %}>
<td class="wide"><span class="c-{{ check.status }}">{{ signs[check.status] }}</span> {{ check.title }}
<span class="soft id">{{ check.id }}</span>
{%- if check.hint %}<br><span class="soft">{{ check.hint }}</span>{% endif %}</td>
<td>{{ check.observed | shown }}</td>
<td class="soft"{% if check.expected is not none %} data-label="· expected">{{ check.expected | shown }}{% else %}>
{%- endif %}</td>
</tr>
{%- endfor %}
</tbody>
</table>
{%- endmacro -%}
{%- macro command(label, line) -%}
<div class="command">
<div><span class="label">{{ label }}</span><button type="button" data-copy>Copy</button></div>
<pre>{{ line | words }}</pre>
</div>
{%- endmacro -%}
{%- macro finding_box(finding, prefix, statuses) -%}
<div class="box cause">
<h4>{{ tag("plain", finding.confidence) }} {{ finding.cause }}</h4>
{%- if finding.affects %}
<p>Affects {{ finding.affects | join(", ") }}.</p>
{%- endif %}
{%- if finding.evidence %}
<p class="soft">Evidence:
{%- for id in finding.evidence %}
{%- if id in statuses %} <a class="id" href="#{{ prefix | anchor(id) }}">{{ id }}</a>&nbsp;{{ tag(statuses[id]) }}
{%- else %} <span class="id">{{ id }}</span>
{%- endif %}
{%- endfor %}
</p>
{%- endif %}
{%- for step in finding.commands %}
{{ command(step.label, step.command) }}
{%- endfor %}
</div>
{%- endmacro -%}
{%- macro procedure(row, prefix) -%}
{%- set statuses = row | statuses -%}
<h3>{{ row.procedure }} {{ tag(row.verdict) }} <small>{{ row | counted }} · {{ row.time | clock }}
{%- if row.check_mode and not run.check_mode %} · check mode{% endif %}</small></h3>
{%- if not row.gated %}
<p class="soft">Published, but the gate did not run: the exit code does not show this verdict.</p>
{%- endif %}
{%- for finding in row.findings %}
{{ finding_box(finding, prefix, statuses) }}
{%- endfor %}
{%- for check in row.checks if check.status != "pass" %}
{{ check_box(check, prefix | anchor(check.id)) }}
{%- endfor %}
{%- for check in row.accepted %}
{{ accepted_box(check, prefix | anchor(check.id)) }}
{%- endfor %}
{%- for note in row.notes %}
<p class="soft">Note: {{ note }}</p>
{%- endfor %}
{%- set passed = row.checks | selectattr("status", "equalto", "pass") | list %}
{%- if passed %}
<details{% if passed | length <= open_rows %} open{% endif %}>
<summary><span class="c-pass">✓</span> {{ passed | length }} passed</summary>
{{ check_rows(passed, prefix) }}
</details>
{%- endif %}
{%- endmacro -%}
{%- macro problem_box(problem) -%}
{%- set kind = "unverified" if problem.rescued or problem.status == "unreachable" else "fail" -%}
<div class="box {{ kind }}">
<h4>{{ tag(kind, problem.status ~ (", rescued" if problem.rescued else "")) }} {{ problem.task }}</h4>
<div class="where"><span class="id">{{ problem.action }}</span> · {{ problem.time | clock }}</div>
{%- if problem.msg %}
<p>{{ problem.msg }}</p>
{%- else %}
<p class="soft">Its message stands in the output of the run.</p>
{%- endif %}
</div>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'sha256-{{ style_hash }}'; script-src 'sha256-{{ script_hash }}'">
<meta name="robots" content="noindex">
<title>{{ word }}: {{ run.playbooks | join(", ") }}, {{ run.started | clock }}</title>
<style>{{ style }}</style>
</head>
<body>
<header class="{{ verdict }}"><div>
<h1>{{ mark(verdict) }}{{ word }}</h1>
<p>{{ headline }}</p>
<p class="facts">{{ run.playbooks | join(", ") }} · {{ run.started | clock }} · {{ run.duration_ms | duration }}
{%- if run.user %} · by {{ run.user }}{% endif %}</p>
</div></header>
<main>
{%- if run.check_mode %}
<p class="banner">Check mode: nothing was changed. What a real run would change is listed below.</p>
{%- endif %}
{%- for note in notes %}
<p class="banner">{{ note }}</p>
{%- endfor %}
{%- if deployments | length > 1 %}
<nav aria-label="Deployments"><ul>
{%- for item in deployments %}
<li><a class="{{ item.verdict }}" href="#d{{ loop.index }}"><span class="c-{{ item.verdict }}">{{ mark(item.verdict) }}
</span><span>{{ item.name }}</span><span>{{ item | tally }}</span></a></li>
{%- endfor %}
</ul></nav>
{%- endif %}
{%- for item in deployments %}
<section class="{{ item.verdict }}" id="d{{ loop.index }}">
<h2>{{ mark(item.verdict) }}<span>{{ item.name }}</span> {{ tag(item.verdict) }}</h2>
{%- if item.reason %}
<p>{{ item.reason }}</p>
{%- endif %}
{%- set number = loop.index %}
{%- for row in item.procedures %}
{{ procedure(row, "d%d-%d" | format(number, loop.index)) }}
{%- endfor %}
{%- if item.problems %}
<h3>Tasks that did not succeed</h3>
{%- for problem in item.problems %}
{{ problem_box(problem) }}
{%- endfor %}
{%- endif %}
</section>
{%- endfor %}
<section>
<h2>{{ "What would be changed" if run.check_mode else "What was changed" }}</h2>
{%- if not changes %}
<p>{{ "Nothing would be changed." if run.check_mode else "Nothing was changed." }}</p>
{%- endif %}
{%- for change in changes %}
<div class="box">
<h4>{{ tag("plain", change | changed_word) }} {{ change.task }}</h4>
<div class="where">{{ change.host }}{% if change.delegated_to %} → {{ change.delegated_to }}{% endif %} ·
<span class="id">{{ change.action }}</span> · {{ change.time | clock }}</div>
{%- if change.msg %}
<p>{{ change.msg }}</p>
{%- endif %}
{%- if change.plan %}
{{ change.plan | plan }}
{%- endif %}
</div>
{%- endfor %}
</section>
{%- if evidence %}
<section>
<h2>Evidence <small>what each module observed</small></h2>
{%- for item in evidence %}
<details{% if not verified and item.verdict != "pass" %} open{% endif %}>
<summary>{{ tag(item.verdict) }} {{ item.task }}
<span class="soft">{{ item.host }} · {{ item.action }} · {{ item.duration_ms | duration }}</span></summary>
{%- if item.msg %}
<p class="soft">{{ item.msg }}</p>
{%- endif %}
{%- for finding in item.findings %}
{{ finding_box(finding, "", {}) }}
{%- endfor %}
{%- if item.checks %}
{{ check_rows(item.checks, "") }}
{%- endif %}
{%- if item.capture is defined %}
<p class="soft">What was captured:</p>
{{ item.capture | plan }}
{%- endif %}
</details>
{%- endfor %}
</section>
{%- endif %}
<section>
<h2>Timeline <small>{{ timeline | length }} steps, UTC</small></h2>
<details><summary>Show</summary>
<table class="stack">
<thead><tr><th>Time</th><th>Status</th><th>Took</th><th>Host</th><th>Step</th></tr></thead>
<tbody>
{%- for step in timeline[:timeline_rows] %}
<tr><td class="t">{{ step.time | clock("time") }}</td><td class="c-{{ step.status | colour }}">{{ step.status }}</td>
<td class="n">{{ step.duration_ms | duration }}</td>
<td>{{ step.host }}{% if step.delegated_to %} → {{ step.delegated_to }}{% endif %}</td>
<td class="wide">{{ step.task }}</td></tr>
{%- endfor %}
</tbody>
</table>
{%- if timeline | length > timeline_rows %}
<p class="soft">{{ timeline | length - timeline_rows }} more in report.json.</p>
{%- endif %}
</details>
</section>
<section>
<h2>This run</h2>
<dl class="values">
<dt>Started</dt><dd>{{ run.started | clock }}</dd>
<dt>{{ "Ended" if run.state == "finished" else "Last sign" }}</dt><dd>{{ run.ended | clock }}
{%- if run.state != "finished" %} ({{ run.state }}){% endif %}</dd>
<dt>By</dt><dd>{{ run.user or "unknown" }}{% if run.controller %} on {{ run.controller }}{% endif %}</dd>
<dt>Inventory</dt><dd>{{ run.inventory | join(", ") or "none" }}</dd>
<dt>Limit</dt><dd>{{ run.limit or "none" }}</dd>
{%- if run.tags not in ([], ["all"]) or run.skip_tags %}
<dt>Tags</dt><dd>{{ run.tags | join(", ") }}
{%- if run.skip_tags %}; skipped: {{ run.skip_tags | join(", ") }}{% endif %}</dd>
{%- endif %}
<dt>Mode</dt><dd>{{ "check mode, nothing was changed" if run.check_mode else "real run" }}</dd>
<dt>Versions</dt><dd>
{%- for name, version in run.versions | dictsort %}{{ name }} {{ version }}{{ ", " if not loop.last }}{% endfor %}</dd>
</dl>
{{ command("Run it again (add your own -e variables: they are not kept)", invocation) }}
{%- for item in settings %}
<details><summary>Settings of {{ item.host }}</summary>
<table class="stack">
<thead><tr><th>Name</th><th>Value</th><th>Source</th></tr></thead>
<tbody>
{%- for row in item.settings %}
<tr><td class="id">{{ row.name }}</td><td>{{ row.value | shown }}</td><td class="soft">{{ row.source }}</td></tr>
{%- endfor %}
</tbody>
</table>
</details>
{%- endfor %}
</section>
<footer>Written by sre.runbooks.runbook_report. The same as data, in this folder: report.json, junit.xml, timeline.md,
events.jsonl.</footer>
</main>
<script>{{ script }}</script>
</body>
</html>
"""
