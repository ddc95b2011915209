"""What the READMEs say holds: code runs, sweeps parse, commands, links and names exist.

In every README fenced ```python blocks are executed, one after the other as a reader would paste
them, and fenced ```toml blocks are read as sweep files, or as parts of one.
"""

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import tomli_w
import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

import analysis.__main__
import search.__main__
from recorded import record_sweep
from spaces.presets import all_owners, reference_setting
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from spaces.sweep_file import parse_sweep
from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    NOISE_KINDS,
    OPTIMISER,
    REFINED,
    SCHEDULES,
    TARGETS,
    Entry,
)
from trainable.network.networks import build_network

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainable", "spaces", "analysis", "search")
PAGES = [
    "README.md",
    "trainable/OWN_DATA.md",
    "trainable/FINDINGS.md",
    *(f"{p}/README.md" for p in PACKAGES if (ROOT / p / "README.md").exists()),
]
TRAINABLE = "trainable/README.md"
COMMANDS = {
    "search": typer.main.get_command(search.__main__.app),
    "analysis": typer.main.get_command(analysis.__main__.app),
}
SWEEP_DEFAULTS = {
    "name": "part",
    "noise": [{"kind": "symmetric", "rates": [0.4]}],
    "budget": {"max_epochs": 120},
}


class Block(NamedTuple):
    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(language: str) -> list[Block]:
    return [
        Block(page, text.count("\n", 0, fence.start(1)) + 1, fence[1])
        for page, text in zip(PAGES, map(read, PAGES), strict=True)
        for fence in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    ]


def commands() -> dict[str, tuple[str, list[str]]]:
    """Where a command line of ours stands -> package, words after it."""
    found = {}
    for page in PAGES:
        for number, line in enumerate(read(page).splitlines(), 1):
            for match in re.finditer(r"python -m (search|analysis) ([^`]+)", line):
                words = shlex.split(match[2], comments=True)
                words = words[: words.index(">")] if ">" in words else words
                found[f"{page}:{number} {' '.join([match[1], *words])}"] = match[1], words
    return found


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def leads_somewhere(page: str, target: str) -> bool:
    name, _, anchor = target.partition("#")
    linked = (ROOT / page).parent / name if name else ROOT / page
    if not linked.exists() or not anchor:
        return linked.exists()
    headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
    return anchor in map(slug, headings)


def rows(header: str, page: str = TRAINABLE) -> dict[str, list[str]]:
    """A table of a page by the start of its header: first cell, unticked -> others."""
    _, _, after = read(page).partition(f"\n{header}")
    lines = after.partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {first.strip("` "): rest for first, *rest in cells}


def numbers(text: str) -> dict[str, float]:
    """The numbers in ``beta1 0.7, eps 1e-8``."""
    pairs = [pair.split() for pair in text.split(",") if len(pair.split()) == 2]
    return {name: float(value) for name, value in pairs if re.fullmatch(r"-?[\d.e-]+", value)}


def default_numbers(entry: Entry) -> dict[str, float]:
    defaults = {name: parameter.default for name, parameter in entry.parameters.items()}
    numeric = (int, float)
    return {n: float(v) for n, v in defaults.items() if type(v) in numeric}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results that the pages load."""
    folder = tmp_path_factory.mktemp("docs")
    record_sweep(folder / "results" / "quickstart", replicates=2)
    return folder


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}))
def test_python_blocks_of_a_page_run(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names: dict[str, object] = {"__name__": "__main__"}
    try:
        for block in blocks("python"):
            if block.page == page:
                # Empty lines before it make tracebacks point into the page.
                code = compile("\n" * (block.line - 1) + block.text, str(ROOT / page), "exec")
                exec(code, names)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_blocks_are_sweeps_or_parts_of_one(block: Block) -> None:
    table = tomllib.loads(block.text)
    parse_sweep(tomli_w.dumps({**SWEEP_DEFAULTS, **table}), where=str(block))


@pytest.mark.parametrize("page", PAGES)
def test_code_is_in_fenced_blocks(page: str) -> None:
    """Python and TOML that is merely indented would be neither run nor read."""
    unfenced = re.sub(r"^```.*?^```$", "", read(page), flags=re.M | re.S)
    assert re.findall(r"^ {4,}(?:import |from [\w.]+ import|\[\[?\w+).*", unfenced, re.M) == []


@pytest.mark.parametrize(("package", "words"), commands().values(), ids=commands())
def test_command_line_is_understood(package: str, words: list[str]) -> None:
    known: Mapping[str, typer.core.TyperCommand] = COMMANDS[package].commands
    if "|" in words:  # a synopsis: names only
        starts = [0, *(place + 1 for place, word in enumerate(words) if word == "|")]
        assert {words[start] for start in starts} <= known.keys()
    else:
        name, *arguments = words
        assert name in known
        known[name].make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", read(page))
    assert [target for target in targets if not leads_somewhere(page, target)] == []


@pytest.mark.parametrize(
    ("label", "table"),
    [
        ("losses", LOSSES),
        ("targets of `adam_elr`", TARGETS.keys() - {"ema"}),
        ("noise", NOISE_KINDS.keys() - {"none"}),
        ("data sets", DATASETS),
        ("networks", NETWORKS),
        ("LR schedules", SCHEDULES),
        ("samplers", SAMPLERS),
        ("early stopping", EARLY_STOPPING),
    ],
)
def test_readme_lists_everything_that_can_be_named(label: str, table: object) -> None:
    row = re.search(rf"^\| {re.escape(label)} \|(.*)\|$", read("README.md"), re.M)
    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) == set(table)


@pytest.mark.parametrize(
    ("header", "table"),
    [("| target | t |", TARGETS), ("| loss | definition |", LOSSES), ("| schedule |", SCHEDULES)],
)
def test_trainable_readme_has_the_defaults(header: str, table: Mapping[str, Entry]) -> None:
    found = rows(header)
    assert found.keys() == table.keys()
    for name, (_, defaults, *_) in found.items():
        assert numbers(defaults) == pytest.approx(default_numbers(table[name]), rel=1e-3)


def test_trainable_readme_has_the_optimiser_s_defaults():
    sentence = re.search(r"^SGD: (.+) by default", read(TRAINABLE), re.MULTILINE)
    assert sentence is not None
    expected = default_numbers(OPTIMISER)
    assert numbers(sentence[1]) == {n: v for n, v in expected.items() if n != "averaging"}


@pytest.mark.parametrize(
    ("column", "dataset", "noise_kind"),
    [(0, "cifar10", "symmetric"), (1, "cifar10", "asymmetric"), (2, "cifar100", "symmetric")],
)
def test_trainable_readme_has_the_reference_settings(
    column: int, dataset: str, noise_kind: str
) -> None:
    for loss, cells in rows("| loss | cifar10 symmetric |").items():
        given = numbers(cells[column])
        owners = reference_setting(
            loss, dataset, noise_kind, 150 if dataset == "cifar100" else 120
        )
        expected = {name: f.value for own in owners.values() for name, f in own.items()}
        expected |= {name: fixed.value for name, fixed in owners[loss].items()}
        assert given == {name: expected[name] for name in given}
        assert given


def test_spaces_readme_tells_what_varies_of_every_loss_and_target():
    found = rows("| loss, target |", "spaces/README.md")
    assert found.keys() == LOSSES.keys() | REFINED.keys()
    for name, (varies, stays) in found.items():
        parameters = all_owners()[name].parameters
        searched = {n for n, parameter in parameters.items() if parameter.search}
        assert set(re.findall(r"`(\w+)`", varies)) == searched
        rest = parameters.keys() - searched
        assert set(re.findall(r"`(\w+)`", stays.partition(" (")[0])) == rest


def test_trainable_readme_lists_every_kind_data_set_and_network():
    assert rows("| kind | what").keys() - {""} == NOISE_KINDS.keys()
    assert rows("| data set | images").keys() == DATASETS.keys()
    assert rows("| network | parameters").keys() == NETWORKS.keys()


def test_trainable_readme_has_the_networks_parameters_and_arithmetic():
    for label, (parameters, megaflops, *_) in {
        **rows("| network | parameters"),
        **rows("| network, parameters"),
    }.items():
        name, *options = label.replace("`", "").split(", ")
        given = {key: int(value) for key, value in map(str.split, options)}
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            network = build_network(name, channels=3, size=32, num_classes=10, **given).eval()
            network(torch.empty(1, 3, 32, 32))
        assert parameters == f"{sum(p.numel() for p in network.parameters()):,}"
        assert megaflops == f"{counter.get_total_flops() / 1e6:,.1f}"


@pytest.mark.parametrize("package", PACKAGES)
def test_readme_shows_the_package_as_a_tree(package: str) -> None:
    """Every room and file, and all files of a room of which it shows any."""
    tree = re.search(rf"^```\n{package}/.*?^```$", read(f"{package}/README.md"), re.M | re.S)
    assert tree is not None
    for shown in re.split(r"^(?=  \S)", tree[0], flags=re.MULTILINE)[1:]:
        room, *files = (
            name
            for line in shown.splitlines()
            if not line.startswith(" " * 6)
            for name in re.findall(r"(?:^ +|, )(\w+(?:\.py|/))", line)
        )
        assert not files or sorted(files) == members(ROOT / package / room), room
    assert sorted(re.findall(r"^  (\w+(?:\.py|/))", tree[0], re.M)) == members(ROOT / package)


def members(folder: Path) -> list[str]:
    """The modules and folders in a folder of code, ``name.py`` and ``name/``."""
    modules = (path.name for path in folder.glob("*.py") if path.name != "__init__.py")
    inside = (path for path in folder.iterdir() if path.is_dir())
    rooms = (f"{path.name}/" for path in inside if not path.name.startswith("_"))
    return sorted([*modules, *rooms])
