# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of this collection that no public linter knows. Run: python tests/lint/rules.py [ROOT]

Each rule is a generator over `Problem`s of a checkout; its docstring's first line is the rule. `test_rules.py` shows
each of them a good and a bad example, so a rule that cannot fail does not live here.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COLLECTION = "sre.runbooks"
TWIN = """\
from ansible_collections.sre.runbooks.plugins.plugin_utils.in_process import in_process

ActionModule = in_process(__name__)
"""
GUARD = re.compile(r"""lookup\(\s*['"]sre\.runbooks\.deployments['"]""")
LICENCE = "SPDX-License-Identifier: GPL-3.0-or-later"
NAME = re.compile(r"[a-z][a-z0-9_]*")
IMPORT_KEYS = ("import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook")
FAIL_ACTIONS = ("ansible.builtin.fail",)


@dataclass(frozen=True, order=True)
class Problem:
    """One violation: the file (relative to the checkout) and what to do about it."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


Rule = Callable[[Path], Iterator[Problem]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Register a rule."""
    RULES.append(function)
    return function


class Loader(yaml.SafeLoader):
    """YAML as Ansible writes it: tags such as !vault and !unsafe are read as the plain value under them."""


def plain(loader: Loader, _suffix: str, node: yaml.Node) -> Any:
    """The value of a node, whatever its tag."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


Loader.add_multi_constructor("!", plain)


def load(path: Path) -> Any:
    """The first document of a YAML file; an unreadable one ends the run with its name."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except (OSError, yaml.YAMLError) as error:
        sys.exit(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}")


def plugins(root: Path, kind: str) -> dict[str, Path]:
    """Plugin files of one kind by name."""
    return {path.stem: path for path in sorted((root / "plugins" / kind).glob("*.py")) if path.stem != "__init__"}


def playbooks(root: Path) -> list[Path]:
    """The playbooks of the collection."""
    return sorted((root / "playbooks").rglob("*.yml"))


def code(path: Path) -> str:
    """A Python file's code in one canonical form: without comments, docstring and future imports."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    kept = [node for node in body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    return ast.unparse(ast.Module(body=kept, type_ignores=[]))


def is_documentation_only(path: Path) -> bool:
    """Whether a module file holds nothing but its documentation (the action plugin does the work)."""
    return all(line.split(" = ")[0] in ("DOCUMENTATION", "EXAMPLES", "RETURN") for line in code(path).splitlines())


@rule
def twins(root: Path) -> Iterator[Problem]:
    """A module has a twin of always the same lines in plugins/action; an action plugin has a module of its name."""
    actions, modules = plugins(root, "action"), plugins(root, "modules")
    wanted = ast.unparse(ast.parse(TWIN))
    for name, path in modules.items():
        relative = path.relative_to(root)
        if name not in actions:
            yield Problem(relative, f"has no twin: write plugins/action/{name}.py as its neighbours are")
        elif is_documentation_only(path):
            if code(actions[name]) == wanted:
                yield Problem(relative, "holds documentation only, but its action plugin would run its main()")
        elif code(actions[name]) != wanted:
            yield Problem(actions[name].relative_to(root), "differs from the other twins: its code must be\n" + TWIN)
    for name in sorted(set(actions) - set(modules)):
        yield Problem(actions[name].relative_to(root), f"has no module: document it in plugins/modules/{name}.py")


@rule
def action_group(root: Path) -> Iterator[Problem]:
    """The group runbooks lists every module; a further group those whose documentation has the fragment of its name."""
    path = root / "meta" / "runtime.yml"
    relative = path.relative_to(root)
    groups = (load(path) or {}).get("action_groups") or {}
    modules = plugins(root, "modules")
    if "runbooks" not in groups:
        yield Problem(relative, f"must have an action group named runbooks; it has {sorted(groups) or 'none'}")
    for group, listed in groups.items():
        everything = group == "runbooks"
        wanted = [
            name
            for name in sorted(modules)
            if everything or f"- sre.runbooks.{group}\n" in modules[name].read_text("utf-8")
        ]
        if listed != wanted:
            yield Problem(relative, f"action group {group} must be, in this order: {', '.join(wanted) or 'nothing'}")


@rule
def playbook_guard(root: Path) -> Iterator[Problem]:
    """A play refuses an empty selection: its hosts come from the lookup sre.runbooks.deployments."""
    for path in playbooks(root):
        for play in load(path) or []:
            if not any(key in play for key in IMPORT_KEYS) and not GUARD.search(str(play.get("hosts", ""))):
                name = play.get("name", "without a name")
                hint = """hosts: "{{ lookup('sre.runbooks.deployments', '<group>') }}\""""
                yield Problem(path.relative_to(root), f"play '{name}' has no guard against an empty selection: {hint}")


@rule
def playbook_header(root: Path) -> Iterator[Problem]:
    """A playbook starts with comment lines that say what it is for and how to run it by its full name."""
    for path in playbooks(root):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line != "---"]
        comments: list[str] = []
        while len(comments) < len(lines) and lines[len(comments)].startswith("#"):
            comments.append(lines[len(comments)].lstrip("# "))
        parts = path.relative_to(root / "playbooks").with_suffix("").parts
        command = " ".join(["ansible-playbook", ".".join([COLLECTION, *parts])])
        if not re.search(rf"{re.escape(command)}(\s|$)", "\n".join(comments)):
            yield Problem(path.relative_to(root), f"must say at its top how to run it: # {command} -i ...")
        elif not comments[0].strip() or command in comments[0]:
            yield Problem(path.relative_to(root), "must say in its first comment line what it is for")


@rule
def playbook_names(root: Path) -> Iterator[Problem]:
    """Playbooks and their folders are named with lower case and underscores; nothing else lives under playbooks/."""
    for path in sorted((root / "playbooks").rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and path.suffix != ".yml":
            yield Problem(relative, "is no playbook (.yml): nothing else may live under playbooks/")
        elif not NAME.fullmatch(path.stem if path.is_file() else path.name):
            yield Problem(relative, "cannot be run by its full name: use lower case and underscores only")
        elif path.is_dir() and path.name in ("tasks", "roles", "vars", "group_vars", "host_vars"):
            yield Problem(relative, "must not be under playbooks/: it outranks inventories or hides playbooks from AWX")


@rule
def import_unprefixed(root: Path) -> Iterator[Problem]:
    """AWX lists a playbook only for an unprefixed import_playbook."""
    for path in playbooks(root):
        if any(key in play for play in load(path) or [] for key in IMPORT_KEYS[1:]):
            yield Problem(path.relative_to(root), "write import_playbook: without its prefix, or AWX does not list it")


def tasks_of(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a YAML document."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from tasks_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from tasks_of(value)


def ends_in_failure(tasks: Any) -> bool:
    """Whether a list of tasks always ends with a failing one: fail without a condition, or a block that ends so."""
    if not isinstance(tasks, list) or not tasks or not isinstance(tasks[-1], dict):
        return False
    last = tasks[-1]
    if {"when", "ignore_errors", "failed_when", "rescue", "loop"} & set(last):
        return False
    if "block" in last:
        return ends_in_failure(last["block"])
    return any(action in last for action in FAIL_ACTIONS)


@rule
def rescue_fails(root: Path) -> Iterator[Problem]:
    """A rescue ends with a failing task: what was undone is not a success."""
    for path in sorted([*playbooks(root), *(root / "roles").rglob("*.yml")]):
        for task in tasks_of(load(path)):
            if "rescue" in task and "block" in task and not ends_in_failure(task["rescue"]):
                name = task.get("name", "without a name")
                yield Problem(path.relative_to(root), f"rescue of block '{name}' must end with ansible.builtin.fail")


@rule
def role_argument_specs(root: Path) -> Iterator[Problem]:
    """A role has meta/argument_specs.yml with an entry for each tasks file that does not begin with an underscore."""
    for role in sorted(path for path in (root / "roles").glob("*") if path.is_dir()):
        path = role / "meta" / "argument_specs.yml"
        if not path.exists():
            yield Problem(role.relative_to(root), "has no meta/argument_specs.yml")
            continue
        specs = (load(path) or {}).get("argument_specs") or {}
        files = {file.stem for file in (role / "tasks").glob("*.yml") if not file.stem.startswith("_")}
        for name in sorted(files - set(specs)):
            yield Problem(path.relative_to(root), f"has no entry for tasks/{name}.yml")
        for name in sorted(set(specs) - files):
            yield Problem(path.relative_to(root), f"has an entry {name}, but there is no tasks/{name}.yml")


@rule
def role_defaults(root: Path) -> Iterator[Problem]:
    """Every default of a role is an option of one of its entry points, so that the role's page has every variable."""
    for path in sorted(root.glob("roles/*/defaults/main.y*ml")):
        specs = next(iter(path.parents[1].glob("meta/argument_specs.y*ml")), None)
        entries = (load(specs) or {}).get("argument_specs", {}).values() if specs else []
        options = {name for entry in entries for name in (entry or {}).get("options") or {}}
        for name in sorted(set(load(path) or {}) - options):
            yield Problem(path.relative_to(root), f"{name} is in no entry of meta/argument_specs.yml")


@rule
def unit_tests(root: Path) -> Iterator[Problem]:
    """A module has a unit test module of its name."""
    tests = {path.stem for path in (root / "tests" / "unit").rglob("test_*.py")}
    for name, path in plugins(root, "modules").items():
        if f"test_{name}" not in tests:
            yield Problem(path.relative_to(root), f"has no unit tests: write tests/unit/plugins/modules/test_{name}.py")


@rule
def licence_headers(root: Path) -> Iterator[Problem]:
    """A Python file names its licence in its first lines."""
    for top in ("plugins", "lab", "tools", "tests", "docs", "roles", "extensions", "awx"):
        for path in sorted((root / top).rglob("*.py")):
            head = path.read_text(encoding="utf-8", errors="replace")[:400]
            if head and LICENCE not in head:
                yield Problem(path.relative_to(root), f"must name its licence: # {LICENCE}")


def check(root: Path) -> list[Problem]:
    """All problems of a checkout, sorted."""
    return sorted({problem for function in RULES for problem in function(root)})


def main() -> None:
    """Print the problems; ends with 1 when there is one."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    problems = check(root)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
