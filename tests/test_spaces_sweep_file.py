"""Sweep files from disk and text: overrides, round trips, and what nobody should ever write."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, differences, dump_sweep, load_sweep, parse_sweep, shipped
from trainable.noise import make_noise

FULL = """
name = "full"
seed = 7
losses = ["adam_elr", "gce"]
network = ["tiny_cnn"]
[data]
name = ["digits", "cifar10"]
root = "/data"
holdout = 0.2
train_examples = 500
augment = false
[[noise]]
kind = "symmetric"
rates = [0.2, 0.4]
include_true = false
[[noise]]
kind = "none"
[budget]
trials = 12
max_epochs = 30
grace_epochs = 3
reduction_factor = 2
[search]
sampler = "tpe"
sampler_options = { n_startup_trials = 4 }
early_stopping = "asha_promotion"
metric = "averaged_val_accuracy"
[training]
precision = "float32"
compile = false
[resources]
cpus_per_trial = 2
gpus_per_trial = 0.5
max_concurrent = 8
max_failures = 1
[space]
preset = "schedules"
lam = { low = 0.5, high = 10.0, log = true }
batch_size = { low = 32, high = 128, step = 32 }
averaging = 0.99
target = { choice = ["adam", "nadam"] }
truncate_from = { choice = ["none", 10] }
[space.multistep]
milestones = { choice = [[10, 20], [15, 25]] }
"""


def set_(*overrides: str) -> SweepSpec:
    return parse_sweep(FULL, overrides)


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped())
def test_shipped_sweep_parses_under_its_own_name(name):
    spec = load_sweep(name)
    assert spec.name == name
    assert shipped()[name].startswith("# ")


def test_quickstart_is_what_the_readme_promises():
    spec = load_sweep("quickstart")
    assert spec.losses == ["ce", "elr", "adam_elr"]
    assert [noise.setting for noise in spec.noise[0]] == [
        "symmetric-0.4",
        "symmetric-0.6",
    ]
    assert (spec.budget.trials, spec.budget.max_epochs) == (12, 20)


def test_figure3_tries_every_lam_to_the_end_and_varies_nothing_else():
    spec = load_sweep("figure3")
    assert spec.search.early_stopping == "none"
    for cell in spec.cells():
        assert list(cell.space.varies) == ["lam"]
        lams = [point["lam"] for point in cell.space.grid()]
        assert cell.reference["lam"] in lams
        assert len(lams) == 7 <= spec.budget.trials


def test_load_sweep_reads_a_file_with_or_without_a_byte_order_mark(tmp_path):
    for name, encoding in (("plain.toml", "utf-8"), ("windows.toml", "utf-8-sig")):
        (tmp_path / name).write_text(FULL, encoding=encoding)
        assert load_sweep(str(tmp_path / name)) == set_()
    (tmp_path / "no_suffix").write_text(FULL)
    assert load_sweep(str(tmp_path / "no_suffix"), name="other").name == "other"


def test_memorisation_searches_nothing_and_hides_nothing():
    spec = load_sweep("memorisation")
    assert [cell.loss for cell in spec.cells()] == ["ce", "elr", "adam_elr"]
    assert [cell.space.varies for cell in spec.cells()] == [{}, {}, {}]
    assert not any(cell.data.augment for cell in spec.cells())


@pytest.mark.parametrize("text", [FULL, *shipped().values()])
def test_dump_sweep_is_undone_by_parse_sweep(text):
    spec = parse_sweep(text)
    again = parse_sweep(dump_sweep(spec))
    assert again == spec
    assert [cell.space for cell in again.cells()] == [cell.space for cell in spec.cells()]


def test_dump_sweep_writes_defaults_out():
    text = dump_sweep(parse_sweep('name = "x"\n[[noise]]\nkind = "none"'))
    assert "reduction_factor = 3" in text
    assert 'early_stopping = "asha_ties"' in text


# -- what --set takes ----------------------------------------------------------------------------


def test_overrides_take_numbers_words_lists_and_tables():
    spec = set_(
        "budget.trials=4",
        "name=other",
        "noise.0.rates=[0.3]",
        'losses=["adam_elr", "gce", "ce"]',
        "network.0 = small_cnn",
        "search.sampler=random",
        "search.sampler_options={}",
        "space.lam={low = 1, high = 2}",
        "space.multistep.gamma=0.5",
        "training.compile=true",
    )
    assert (spec.budget.trials, spec.name, spec.training.compile) == (4, "other", True)
    assert spec.noise[0] == (make_noise("symmetric", 0.3, include_true=False),)
    assert spec.losses == ["adam_elr", "gce", "ce"]
    assert spec.network == ["small_cnn"]
    assert spec.space["multistep"]["gamma"] == 0.5


def test_overrides_make_tables_that_are_not_there_and_the_last_one_wins():
    minimal = 'name = "x"\n[[noise]]\nkind = "none"'
    spec = parse_sweep(minimal, ["space.elr.lam=2", "budget.trials=1", "budget.trials=2"])
    assert spec.space == {"elr": {"lam": 2}}
    assert spec.budget.trials == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.trials", "--set budget.trials: is not key=value, such as budget.trials=4"),
        ("=4", "--set =4: is not key=value"),
        ("budget..trials=4", "is not key=value"),
        ("noise.2.kind=none", "--set noise.2.kind=none: there is no '2' to set"),
        ("noise.-1.kind=none", "there is no '-1' to set"),
        ("noise.²=1", "there is no '²' to set"),
        ("noise.first.kind=none", "there is no 'first' to set"),
        ("seed.x=1", "--set seed.x=1: seed is not a table"),
        ("seed.x.y=1", "--set seed.x.y=1: there is no 'x' to set"),
        ("losses=[ce,elr]", 'the shell needs quotes around it all: --set \'losses=["ce"'),
        ("space.lam={low=1", "is not valid TOML"),
        ('name="open', "is not valid TOML: a quote is opened and not closed (at end of document)"),
        ("name='open", "is not valid TOML: a quote is opened and not closed (at end of document)"),
    ],
)
def test_overrides_that_set_nothing_are_refused(override, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        set_(override)


# -- what is not a sweep file --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "name: is missing"),
        (b"name = ", "is not valid TOML: Invalid value (at"),
        (b'name = "x\nseed = 1', "a quote is opened and not closed (at line 1, column 10)"),
        (b"name = 'x\nseed = 1", "a quote is opened and not closed (at"),
        (b'name = """x\nseed = 1', "a quote is opened and not closed (at end of document)"),
        (b"name = '''x", "a quote is opened and not closed (at end of document)"),
        (b"just some words", "is not valid TOML: Expected '='"),
        (b"\xff\xfe\x00n", "is no text in UTF-8: byte 0"),
        (b"\x89PNG\r\n\x1a\n", "is no text in UTF-8: byte 0"),
        (b'name = "x"\x00', "is not valid TOML"),
        (b"seed = " + b"9" * 5000, "is not valid TOML"),
        (b"a = " + b"[" * 5000, "is not valid TOML"),
        (b'name = "x"\nname = "y"', "is not valid TOML: Cannot overwrite a value"),
        (b'name = "x"', "noise: is missing: write a table [[noise]] with a kind"),
        (b'name = "x"\n[noise]\nkind = "none"', "is not a list: write a table [[noise]]"),
        (b'name = "x"\ndata = "digits"\n[[noise]]\nkind = "none"', "write [data]"),
        (b'name = "x"\nnoise = ["none"]', "noise.0: 'none' is not a table: write [[noise]]"),
    ],
)
def test_load_sweep_names_the_file_and_what_is_wrong_with_it(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_sweep(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_load_sweep_of_a_folder_points_at_resume(tmp_path):
    with pytest.raises(SpecError, match=r"is a folder, not a sweep file; .* search resume"):
        load_sweep(str(tmp_path))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SpecError, match=r"folder.toml: cannot be read: Is a directory"):
        load_sweep(str(tmp_path / "folder.toml"))


@pytest.mark.parametrize("source", ["quickstat", "a" * 300, "x\0.toml", "", "no/such/file.toml"])
def test_load_sweep_of_nothing_is_refused(source):
    with pytest.raises(SpecError, match=r"did you mean 'quickstart'|unknown sweep|cannot be read"):
        load_sweep(source)


# -- two sweeps ----------------------------------------------------------------------------------


def test_differences_name_every_value_but_resources():
    other = set_("budget.trials=13", "noise.0.rates=[0.2]", "space.lam=3", "space.averaging=0.9")
    assert list(differences(set_(), other).values()) == [
        "noise.0.rates: [0.2, 0.4] there, [0.2] here",
        "budget.trials: 12 there, 13 here",
        "space.lam.low: 0.5 there, None here",
        "space.lam.high: 10.0 there, None here",
        "space.lam.log: True there, None here",
        "space.averaging: 0.99 there, 0.9 here",
        "space.lam: None there, 3 here",
    ]
    assert not differences(set_(), set_("resources.max_concurrent=1", "resources.max_failures=0"))


def test_differences_leave_out_where_files_lie():
    human = ['data.name="cifar10"', 'losses="elr"', "space={}", "search={}"]
    noise = 'noise=[{{kind = "human", labels_file = "{}/human.pt", labels_key = "{}"}}]'
    here = set_(*human, noise.format("/here", "worse_label"))
    moved = set_(*human, noise.format("/there", "worse_label"), "data.root=/elsewhere")
    assert moved != here
    assert not differences(here, moved)
    other = set_(*human, noise.format("/there", "aggre_label"))
    assert list(differences(here, other).values()) == [
        "noise.0.labels_key: 'worse_label' there, 'aggre_label' here"
    ]


# -- fuzz: whatever is in the file, a sweep or one clear error ----------------------------------

NASTY = [
    "-1", "0", "1", "1.5", "inf", "-inf", "nan", "1e308", "1e-320", "true", '""', '"elr"', "[]",
    "{}", "[[]]", "[1, 'a']", "{low = 2, high = 1}", "{low = 0, high = 1e-300, step = 1e-310}",
    "{choice = []}", "{choice = [{}, [1]]}", "1979-05-27T07:32:00Z", "0x" + "f" * 40, "9" * 400,
    "0x" + "f" * 5000, '"' + "x" * 5000 + '"', '"\\u0000"', '"../../etc"', "'none'", "[nan, inf]",
    "9007199254740993", "'''\n'''", "'adam_literal'", "{low = -1e308, high = 1e308}",
]  # fmt: skip
LINES = FULL.strip().splitlines()
TABLE = tomllib.loads(FULL)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["elr", "adam", "cosine", "grid", "none", "cifar100", "asymmetric"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["low", "high", "log", "step", "choice", "x"]), inner),
    max_leaves=4,
)  # fmt: skip
FUZZ = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def check(text: str, overrides: tuple[str, ...] = ()) -> None:
    """A sweep that can be written, read again and tried at its corners; or a line per mistake."""
    try:
        spec = parse_sweep(text, overrides, where="fuzz")
    except SpecError as error:
        lines = str(error).split("\n")
        assert all(line.startswith(("fuzz: ", "--set ")) for line in lines), lines
        assert all(line.isprintable() and len(line) < 1000 for line in lines), lines
        return
    assert parse_sweep(dump_sweep(spec)) == spec
    for cell in spec.cells():
        for fraction in (0.0, 0.5, 0.999):
            values = cell.space.at(dict.fromkeys(cell.space.varies, fraction))
            cell.trial(values, spec.seed)
            cell.space.encode(values)


@st.composite
def edited_lines(draw: st.DrawFn) -> str:
    """FULL with some lines gone, doubled, moved, or given another value."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["value", "value", "value", "drop", "double", "move", "key"])):
            case "value":
                lines[at] = f"{lines[at].partition(' = ')[0]} = {draw(st.sampled_from(NASTY))}"
            case "key":
                lines[at] = f"{draw(st.text(max_size=6))} = {lines[at].partition(' = ')[2]}"
            case "drop":
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
    return "\n".join(lines)


@FUZZ
@given(edited_lines())
def test_parse_sweep_of_edited_lines_gives_a_sweep_or_clear_errors(text):
    check(text)


@FUZZ
@given(st.integers(0, len(FULL)), st.integers(0, 40), st.text(max_size=12))
def test_parse_sweep_of_damaged_text_gives_a_sweep_or_clear_errors(start, length, instead):
    check(FULL[:start] + instead + FULL[start + length :])


@FUZZ
@given(st.data())
def test_parse_sweep_of_other_structures_gives_a_sweep_or_clear_errors(data):
    table = copy.deepcopy(TABLE)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = table
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                place[key] = data.draw(VALUES)
                break
            place = place[key]
    try:
        text = tomli_w.dumps(table)
    except TypeError:  # None has no place in TOML
        return
    check(text)


KEYS = ["seed", "losses", "data.name", "noise.0.rates", "noise.1", "budget", "search.metric"]
KEYS += ["space.lam", "space.target", "space.cosine", "space.preset", "name.x", "noise", ""]


@FUZZ
@given(st.sampled_from(KEYS), st.one_of(st.sampled_from(NASTY), st.text(max_size=12)))
def test_overrides_of_anything_give_a_sweep_or_clear_errors(key, value):
    check(FULL, (f"{key}={value}",))
    check(FULL, (f"{value}={key}",))


def test_load_sweep_never_opens_a_path_named_in_the_file(tmp_path, monkeypatch):
    """A sweep file is data: checking it reads nothing but itself."""
    opened = []
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: opened.append(path))
    parse_sweep(FULL, ["data.root=/etc/shadow"])
    assert not opened


def test_file_that_is_too_large_is_no_sweep_file():
    with pytest.raises(
        SpecError, match=r"^sweep: has 100,001 bytes, a sweep file 100,000 at most$"
    ):
        parse_sweep("#" * 100_001)


def test_many_mistakes_are_told_in_few_lines():
    text = 'name = "x"\nnoise = [{ kind = "none" }]\n' + "".join(f"k{i} = 1\n" for i in range(900))
    with pytest.raises(SpecError) as caught:
        parse_sweep(text)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "sweep: and 880 mistakes more"


def test_tables_in_tables_without_end_are_one_line():
    with pytest.raises(SpecError) as caught:
        parse_sweep('name = "x"\n', ["a." * 5000 + "b=1"])
    assert len(str(caught.value).splitlines()) == 2
    assert "unknown key 'a'" in str(caught.value)
