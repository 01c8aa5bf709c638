# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Task shapes that are sent through both paths: a name and the task as YAML, with `probe:` for the module.

Words in double angle brackets are filled in by the test: <<FOLDER>> is a folder of the run's own, others are secrets.
"""

from __future__ import annotations

SECRET = "Zx9-secret-value"
URL_SECRET = "Zx9-url-secret"

SHAPES: dict[str, str] = {
    # arguments
    "no arguments": "probe: {}",
    "every type": """
        probe:
          text: hello
          number: "12"
          ratio: "1.5"
          flag: "yes"
          names: a,b
          pairs: "k=v l=w"
          where: "~/x/../$HOME"
          anything: {deep: [1, two, null]}
          document: '{"a": 1}'
          size: 1M
          speed: 1Mb
          mode: fast""",
    "typed yaml values": "probe: {text: 5, number: 3, ratio: 2, flag: true, names: [1, true, x], anything: 0x1F}",
    "null values": "probe: {text: null, number: null, names: null, pairs: null}",
    "empty string for a number": "probe: {number: ''}",
    "text for a number": "probe: {number: seven}",
    "fraction for a whole number": "probe: {number: 1.5}",
    "bad boolean": "probe: {flag: perhaps}",
    "bad choice": "probe: {mode: medium}",
    "bad json": "probe: {document: {a: 1}}",
    "bad size": "probe: {size: many, speed: 1Mb}",
    "list where a dictionary belongs": "probe: {pairs: [1]}",
    "alias": "probe: {words: by alias}",
    "alias and name": "probe: {words: by alias, text: by name}",
    "two aliases": "probe: {words: one, string: two}",
    "alias of the behaviour": "probe: {behave: fail, text: x}",
    "unknown option": "probe: {nonsense: 1}",
    "unknown suboption": "probe: {account: {user: x, nonsense: 1}}",
    "missing suboption": "probe: {account: {}}",
    "suboption defaults": "probe: {targets: [{name: a}, {name: b, port: '81'}]}",
    "bad suboption in a list": "probe: {targets: [{name: a, port: x}]}",
    "free form": "probe: text=hello number=5",
    "mutually exclusive": "probe: {numbers: [1], ratio: 1}",
    "required together": "probe: {size: 1M}",
    "required if": "probe: {mode: slow}",
    "required by": "probe: {document: '{}'}",
    "deprecated option": "probe: {old_name: x}",
    "omitted": "probe: {text: '{{ omit }}', names: ['{{ omit }}', a]}",
    "fallback to the environment": """
        probe: {}
        environment: {PROBE_TEXT: from the environment, PROBE_TOKEN: <<SECRET>>}""",
    # values
    "template": "{probe: {text: '{{ 1 + 1 }}', number: '{{ 6 * 7 }}', anything: '{{ [1, 2] }}'}}",
    "undefined template": "probe: {text: '{{ not_there }}'}",
    "unsafe": "probe: {text: !unsafe '{{ 1 + 1 }}'}",
    "vault": "{probe: {text: '{{ in_vault }}'}}",
    "vault in a secret": "{probe: {api_secret: '{{ in_vault }}', text: 'so {{ in_vault }}'}}",
    "dates": "probe: {text: 2026-02-03, anything: {day: 2026-02-03, moment: 2026-02-03T04:05:06Z}}",
    "unicode": "probe: {text: 'ünï ☃ 𝄞', names: ['é'], pairs: {'ключ': 'значение'}}",
    "control characters": 'probe: {text: "nul \\0 esc \\e[31m bell \\a"}',
    "very long text": "{probe: {text: \"{{ 'x' * 300000 }}\"}}",
    "variables of facts": "{probe: {text: '{{ hostvars[inventory_hostname].colour }}'}}",
    # results
    "special values": "probe: {do: special}",
    "huge result": "probe: {do: big, number: 4000}",
    "own stdout": "probe: {do: own_lines}",
    "facts": "probe: {do: facts}",
    "templates in a result": "probe: {returns: {text: !unsafe '{{ 1 + 1 }}', '{{ key }}': 1}}",
    "warnings": "probe: {do: warn, text: dogs}",
    "progress": "probe: {do: progress, text: x}",
    "refused": "probe: {do: fail, text: nicely}",
    "defect": "probe: {do: defect, text: oh}",
    "temporary files": "probe: {do: temporary}",
    "surroundings": "probe: {do: surroundings}",
    "noise before the result": "probe: {do: noise_before}",
    # secrets
    "secret": """
        probe:
          api_secret: <<SECRET>>
          text: it is <<SECRET>>
          returns: {seen: ['<<SECRET>>', {x: '<<SECRET>>'}]}""",
    "secret as a key": "probe: {api_secret: <<SECRET>>, returns: {'key <<SECRET>>': 1}}",
    "secret in a warning": "probe: {do: warn, api_secret: <<SECRET>>, text: '<<SECRET>> there'}",
    "secret in an error": "probe: {do: fail, api_secret: <<SECRET>>, text: '<<SECRET>> there'}",
    "secret in a defect": "probe: {do: defect, api_secret: <<SECRET>>, text: '<<SECRET>> there'}",
    "secret in progress": "probe: {do: progress, api_secret: <<SECRET>>, text: '<<SECRET>> there'}",
    "secret in a validation error": "probe: {api_secret: <<SECRET>>, mode: '<<SECRET>>'}",
    "secret in a suboption": "probe: {account: {user: 'u <<SECRET>>', login_password: <<SECRET>>}}",
    "secret in a list of dictionaries": "probe: {targets: [{name: 'n <<SECRET>>', key: <<SECRET>>}]}",
    "secret headers": "probe: {secret_headers: {X-Key: <<SECRET>>}, text: 'x <<SECRET>>'}",
    "secret in a URL": "probe: {text: 'http://user:<<URL_SECRET>>@host/path', names: ['http://u:<<URL_SECRET>>@h']}",
    "short secret": "probe: {api_secret: ab}",
    "harmless token": "probe: {session_token: visible}",
    "no_log task": "{probe: {api_secret: <<SECRET>>, text: x}, no_log: true}",
    "no_log failure": "{probe: {do: fail, text: hidden}, no_log: true}",
    # keywords
    "environment": """
        probe: {do: environment, names: [A_NUMBER, A_FLAG, A_TEXT]}
        environment: {A_NUMBER: 5, A_FLAG: true, A_TEXT: x y}""",
    "environment list": "{probe: {do: environment, names: [ONE, TWO]}, environment: [{ONE: 1}, {TWO: '{{ 1 + 1 }}'}]}",
    "changed environment": "probe: {do: change_environment}",
    "environment afterwards": "probe: {do: environment, names: [PROBE_LEAK, A_TEXT, ONE]}",
    "loop": "{probe: {text: '{{ item }}'}, loop: [a, b, 3]}",
    "loop with a failure": "{probe: {do: '{{ item }}', text: x}, loop: [echo, fail, warn]}",
    "loop with a label": """
        probe: {api_secret: '{{ item }}', text: x}
        loop: [<<SECRET>>]
        loop_control: {label: hidden}
        no_log: true""",
    "empty loop": "{probe: {text: '{{ item }}'}, loop: []}",
    "until": """
        probe: {do: count, where: <<FOLDER>>/until}
        register: r
        until: r.seen >= 3
        retries: 5
        delay: 0""",
    "until gives up": """
        probe: {do: count, where: <<FOLDER>>/never}
        register: r
        until: r.seen >= 9
        retries: 2
        delay: 0""",
    "retries of a failure": "{probe: {do: fail, text: x}, retries: 2, delay: 0, register: r, until: r is success}",
    "changed_when": "{probe: {do: change}, changed_when: false}",
    "failed_when": "{probe: {text: x}, register: r, failed_when: r.shown.text == 'x'}",
    "when false": "{probe: {text: x}, when: false}",
    "check mode": "{probe: {do: change}, check_mode: true}",
    "not check mode": "{probe: {do: change}, check_mode: false}",
    "diff": "{probe: {do: change}, diff: true}",
    "diff in check mode": "{probe: {do: echo}, diff: true, check_mode: true}",
    "delegate_to": "{probe: {text: x}, delegate_to: other}",
    "delegate_to outside the inventory": "{probe: {text: x}, delegate_to: localhost}",
    "run_once": "{probe: {text: x}, run_once: true}",
    "module_defaults": "{probe: {text: x}, module_defaults: {sre.runbooks.probe: {number: 99}}}",
    "task variables": "{probe: {text: '{{ mine }}'}, vars: {mine: yours}}",
    "vars of the interpreter": """
        probe: {text: x}
        vars: {ansible_python_interpreter: '{{ ansible_playbook_python }}'}""",
    "task timeout, in time": "{probe: {text: x}, timeout: 60}",
    # deaths: the wording differs, the kind of outcome does not
    "task timeout": "{probe: {do: hang, number: 30, where: <<FOLDER>>/hang.pid}, timeout: 1}",
    "abort": "probe: {do: abort}",
    "killed": "probe: {do: kill}",
    "_exit": "probe: {do: leave, number: 3}",
    "_exit 0": "probe: {do: leave, number: 0}",
    "sys.exit": "probe: {do: leave_politely, number: 4}",
    # by the ordinary path in both runs
    "async": "{probe: {text: x}, async: 20, poll: 1}",
    "async failure": "{probe: {do: fail, text: x}, async: 20, poll: 1}",
    "async in check mode": "{probe: {text: x}, async: 20, poll: 1, check_mode: true}",
}
