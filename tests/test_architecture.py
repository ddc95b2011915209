"""What must hold between the packages, read off the sources and seen in fresh processes."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from pkgutil import resolve_name

import pytest

import search.__main__
from analysis.schema import EPOCH_COLUMNS, TRIAL_COLUMNS
from spaces.presets import PRESETS
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from trainable.catalog import DATASETS, LOSSES, NETWORKS, NOISE_KINDS, SCHEDULES, TARGETS
from trainable.folder import layout

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainable", "spaces", "analysis", "search")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
ROOMS = {
    "trainable": (
        ("wording", "metrics", "folder", "seeds", "dtypes"), ("parameters",), ("data", "entries"),
        ("noise",), ("catalog",), ("config",), ("targets", "network"), ("losses",), ("trial",),
    ),
    "spaces": (
        ("strategies", "domains", "settings"), ("space", "sections"), ("presets",), ("overrides",),
        ("sweep",), ("sweep_file",),
    ),
    "analysis": (
        ("amounts", "schema"), ("store", "readable"), ("rule",), ("results",),
        ("best", "examples"),
        ("frames",), ("printed",), ("report",), ("paper",), ("__main__",),
    ),
    "search": (
        ("compat",), ("studies", "cluster"), ("planning", "replay"), ("driver",), ("__main__",),
    ),
}  # fmt: skip
"""The rooms (folders and flat files) of each package by floor, the ground floor first: a room
imports from the floors below its own."""
PURE = (
    "trainable/parameters.py", "trainable/entries/", "trainable/catalog.py", "trainable/config.py",
    "trainable/metrics.py", "trainable/seeds.py", "trainable/losses/", "trainable/targets/",
    "spaces/strategies.py", "spaces/domains.py", "spaces/space.py", "spaces/presets.py",
    "spaces/settings.py", "spaces/sections.py", "search/studies/",
)  # fmt: skip
"""Where everything follows from the arguments: no Ray, no files, no clock."""
IMPURE = {
    *("ray", "pyarrow", "rich", "typer", "io", "os", "pathlib", "shutil", "tempfile", "socket"),
    *("subprocess", "threading", "concurrent", "time", "datetime", "signal", "urllib"),
}
RAY_MAY_BE_IN = ("trainable/trial/ray_trainable.py", "search/")
TORCH_MAY_BE_IN = ("trainable/", "search/")

MEMBERS = {
    name
    for table in (
        *(DATASETS, EARLY_STOPPING, LOSSES, NETWORKS, NOISE_KINDS, PRESETS),
        *(SAMPLERS, SCHEDULES, TARGETS),
    )
    for name in table
} - {column.name for column in (*TRIAL_COLUMNS, *EPOCH_COLUMNS)}
KNOWS_NAMES = {
    "trainable/data/sets.py": "has the entries, and says which one stands for a user's own files",
    "analysis/paper/": "reads Plotly's figures, where 'none' is a word of theirs",
    "analysis/frames/published.py": "says what papers did, data set by data set",
}

WITHOUT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is not to be imported here")

sys.meta_path.insert(0, Blocker())
"""
IMPORT_ALL = """
import importlib, pkgutil
for package in {packages}:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{{package}}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[tuple[str, int], ...]:
    """Every module imported anywhere in a file, and every name from one, with its line."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield str(node.module), node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def run(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_packages_import_in_one_direction(path):
    package = path.relative_to(ROOT).parts[0]
    to_the_right = PACKAGES[PACKAGES.index(package) + 1 :]
    wrong = [(n, line) for n, line in imports(path) if n.partition(".")[0] in to_the_right]
    assert not wrong
    assert not [n for n, _ in imports(path) if n.partition(".")[0] == "tests"]


def room_of(module: str) -> str | None:
    """The room of a module of ours (``search.studies.trial``: ``studies``), if it is in one."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if package in PACKAGES else None


def floor(package: str, room: str) -> int:
    found = [number for number, rooms in enumerate(ROOMS[package]) if room in rooms]
    assert found, f"{package}/{room} is on no floor of ROOMS in {Path(__file__).name}"
    return found[0]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_rooms_import_from_the_floors_below(path):
    package, *parts = path.relative_to(ROOT).with_suffix("").parts
    if parts == ["__init__"]:
        return
    here = floor(package, parts[0])
    for module, line in imports(path):
        room = room_of(module)
        if room is None or not module.startswith(f"{package}.") or room == parts[0]:
            continue
        assert floor(package, room) < here, f"{path}:{line}: {parts[0]} imports {module}"


def test_modules_import_without_a_circle():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    graph = {
        name: {module for module, _ in imports(path) if module in names and module != name}
        for name, path in names.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which shows it


def test_a_file_name_stands_for_one_thing():
    """Whoever hears of ``outline.py`` knows which; a figure is called after the frame it shows."""
    files = defaultdict(list)
    for path in MODULES:
        drawn = ROOT / "analysis" / "frames" / path.name
        is_its_figure = path.parent.name == "figures" and drawn.exists()
        if not path.name.startswith("__") and not is_its_figure:
            files[path.name].append(path)
    assert not [paths for paths in files.values() if len(paths) > 1]


def test_a_name_of_a_type_stands_for_one_thing():
    """That of a class, wherever it is, and that of an alias at module level."""
    nodes = [node for path in MODULES for node in ast.walk(tree(path))]
    names = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    for node in [node for path in MODULES for node in tree(path).body]:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        bound = [target.id for target in targets if isinstance(target, ast.Name)]
        names += [name for name in bound if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name)]
    assert not [name for name, times in Counter(names).items() if times > 1]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_code_asks_an_entry_and_not_what_it_is_called(path):
    """What is decided by a member's name passes over a member that somebody adds."""
    if str(path.relative_to(ROOT)).startswith(tuple(KNOWS_NAMES)):
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            each = [e for s in sides for e in getattr(s, "elts", (s,))]
            spelled = {e.value for e in each if isinstance(e, ast.Constant)} & MEMBERS
            assert not spelled, f"{path}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_pure_rooms_know_no_ray_no_file_and_no_clock(path):
    if not str(path.relative_to(ROOT)).startswith(PURE):
        return
    impure = [(n, line) for n, line in imports(path) if n.partition(".")[0] in IMPURE]
    impure += [(n, line) for n, line in imports(path) if n.startswith("trainable.folder")]
    opened = [node.lineno for node in ast.walk(tree(path)) if is_call_of(node, "open")]
    assert not impure + opened


NO_RESULTS = {
    "page.html": "a template",
    "comparison.html": "a template",
    "label_page.html": "a template",
    "paper_tables.csv": "comes with the package",
    "OUT.html": "stands in a help text for a file of the user's",
}
"""Names of files that are in no results folder."""


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_the_layout_alone_names_the_files_of_a_results_folder(path):
    """Any text that is or holds such a name or looks like one, but for docstrings, sentences."""
    if path.name == "layout.py":
        return
    looks_like_one = re.compile(r"[^\s*]*[\w-]\.(parquet|csv|png|html|journal|json|toml)")
    names = {getattr(layout, name) for name in vars(layout) if re.fullmatch("[A-Z][A-Z_]+", name)}
    files = {name for name in names if "." in name}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = set(node.value.split("/"))
            if looks_like_one.fullmatch(node.value):
                assert node.value in NO_RESULTS, f"{path}:{node.lineno}: {node.value!r}"
            assert not parts & files, f"{path}:{node.lineno}: {node.value!r}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            inside = {n.value for n in (node.left, node.right) if isinstance(n, ast.Constant)}
            assert not inside & names, f"{path}:{node.lineno}: {ast.unparse(node)}"


def is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_ray_and_torch_are_imported_where_they_belong(path):
    name = str(path.relative_to(ROOT))
    top = {module.partition(".")[0] for module, _ in imports(path)}
    assert "ray" not in top or name.startswith(RAY_MAY_BE_IN)
    assert not top & {"torch", "torchvision"} or name.startswith(TORCH_MAY_BE_IN)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_private_names_of_others_are_used_in_one_file(path):
    """Ray's and Optuna's, that is: torch's come with the version that is tested."""
    if path == ROOT / "search" / "compat.py":
        return
    assert not [n for n, _ in imports(path) if re.search(r"^(ray|optuna)\b.*\._[a-z]", n)]
    own = {n.attr for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute) and is_self(n)}
    own |= {n.name for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr) and not is_self(node):
            public = ast.unparse(node) == "os._exit"  # Python's own, and documented
            public = public or ast.unparse(node.value) == "torch"
            known = public or node.attr in {*own, "_replace", "_asdict"}
            assert known, f"{path}:{node.lineno}: {ast.unparse(node)}"


def is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_modules_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef)]
    long = [f.name for f in functions if f.end_lineno - f.lineno >= 50]
    assert not long


OF_EVERY_KIND = {"summary", "rated", "needs_truth", "looks_at", "kind", "name"}
"""Fields that a base class explains: those of ``Noise``, of ``DataConfig``."""


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_every_field_says_what_it_holds(path):
    """In a comment at the field, or by its name in the docstring of the class or its start."""
    if path == ROOT / "trainable" / "network" / "networks.py":
        return  # layers, called what they are
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            said, fields = explained(node, lines)
            inherited = OF_EVERY_KIND if len(node.bases) else set()
            assert not fields - said - inherited, f"{path}:{node.lineno}: {node.name}"


def explained(node: ast.ClassDef, lines: list[str]) -> tuple[set[str], set[str]]:
    """The fields that something is said of, and all that a dataclass has or a method sets."""
    starts = [f for f in node.body if getattr(f, "name", "") in ("__init__", "__post_init__")]
    text = "".join(ast.get_docstring(part) or "" for part in (node, *starts))
    declared = [(n.target.id, n) for n in node.body if isinstance(n, ast.AnnAssign)]
    places = []
    for inner in [n for n in ast.walk(node) if isinstance(n, ast.Assign | ast.AnnAssign)]:
        targets = getattr(inner, "targets", [getattr(inner, "target", None)])
        each = [e for target in targets for e in getattr(target, "elts", [target])]
        places += [(e.attr, inner) for e in each if isinstance(e, ast.Attribute) and is_self(e)]
    is_dataclass = any("dataclass" in ast.unparse(d) for d in node.decorator_list)
    fields = {name for name, _ in [*places, *(declared if is_dataclass else ())]}
    said = set()
    for name, place in [*declared, *places]:
        around = lines[place.lineno - 1 : place.end_lineno]
        below = lines[place.end_lineno : place.end_lineno + 1]
        plain = name.lstrip("_")
        if (
            any("  # " in line for line in around)
            or lines[place.lineno - 2].strip().startswith("#")
            or (below and below[0].strip().startswith('"""'))
            or f"``{plain}``" in text
            or f"{plain}:" in text
            or re.search(
                r'_column\(|"meaning"', "".join(around)
            )  # columns have theirs on disk too
        ):
            said.add(name)
    return said, fields


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_importing_does_no_work(path):
    """At module level: definitions, constants and imports; no loop, no call for its effect."""
    allowed = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
    )  # fmt: skip
    for node in tree(path).body:
        if isinstance(node, allowed) or is_text(node) or is_guard(node):
            continue
        raise AssertionError(f"{path}:{node.lineno} {ast.unparse(node)[:60]}")


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_guard(node: ast.stmt) -> bool:
    """``if TYPE_CHECKING`` or ``if __name__ == "__main__"``."""
    return isinstance(node, ast.If) and ast.unparse(node.test).startswith(
        ("TYPE_CHECKING", "__name__ ==")
    )


def test_the_installed_command_is_that_of_the_search_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert resolve_name(project["scripts"]["elr-tune"]) is search.__main__.main


def test_every_package_is_installed_and_there_are_no_others():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = project["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    assert set(installed) == folders
    assert {name.partition(".")[0] for name in installed} == set(PACKAGES)


@pytest.mark.parametrize(
    ("packages", "blocked"),
    [
        (("spaces", "analysis"), ("torch", "torchvision", "ray")),
        (
            ("trainable.catalog", "trainable.config", "trainable.folder.storage"),
            ("torch", "ray", "optuna"),
        ),
    ],
)
def test_packages_import_where_others_are_not_installed(packages, blocked):
    modules = [name for name in packages if "." in name]
    code = WITHOUT.format(blocked=blocked)
    if modules:
        code += "".join(f"import {name}\n" for name in modules)
    else:
        code += IMPORT_ALL.format(packages=packages)
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_sweeps_are_checked_and_results_read_with_what_the_base_install_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {re.split("[>[]", line)[0] for line in (*extras["analysis"], *extras["search"])}
    wanted -= {project["name"]}
    names = [n for n, of in packages_distributions().items() if wanted & {d.lower() for d in of}]
    assert len(names) >= len(wanted)
    modules = ("spaces.sweep_file", "analysis.results", "analysis.best", "analysis.__main__")
    done = run(WITHOUT.format(blocked=tuple(names)) + "".join(f"import {m}\n" for m in modules))
    assert done.returncode == 0, done.stderr


def test_trainable_trains_where_ray_and_optuna_are_not_installed():
    code = WITHOUT.format(blocked=("ray", "optuna", "pandas"))
    modules = ("trainer", "prepare", "transition")
    done = run(code + "".join(f"import trainable.trial.{module}\n" for module in modules))
    assert done.returncode == 0, done.stderr


def test_command_line_checks_a_sweep_without_torch_ray_and_pandas():
    code = WITHOUT.format(blocked=("torch", "ray", "pandas", "sklearn", "scipy"))
    code += "from search.__main__ import main\nmain()\n"
    done = run(code, "presets")
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout
    done = run(code, "run", "quickstart", "--set", "losses=elrr")
    assert done.returncode == 2
    assert done.stderr.startswith("quickstart: losses: unknown loss 'elrr'")
    assert "not to be imported" in run(code, "run", "quickstart").stderr
