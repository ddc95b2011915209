import json
import re
from dataclasses import asdict
from importlib.resources import files

import pandas as pd
import plotly.graph_objects as go
import pytest

from analysis.amounts import signed_points
from analysis.report.legend import SYMBOLS, legend
from analysis.report.page import Sheet, templates
from analysis.report.style import (
    CARD,
    INK,
    LOST,
    MUTED,
    PALETTE,
    SPENT,
    dark_colours,
    in_order,
    looks,
    noise_names,
    study_titles,
)
from tests.recorded import trial_row
from trainable.catalog import LOSSES, LossEntry
from trainable.noise import make_noise

CSS = files("analysis.report").joinpath("templates/page.css").read_text()


def piece(name, *arguments):
    return str(getattr(templates().get_template("pieces.html").module, name)(*arguments))


def test_words_show_code_between_backquotes():
    assert piece("words", "run `a <b>` now").strip() == "run <code>a &lt;b&gt;</code> now"


def test_table_has_a_caption_and_headings_of_both_kinds():
    frame = pd.DataFrame({"loss": ["elr"], "why": ["<b>"]})
    text = piece("table", Sheet(frame, "All & more", words=("why",)))
    assert "<caption>All &amp; more</caption>" in text
    assert '<th scope="col">loss</th><th scope="col" class="words">why</th>' in text
    assert '<th scope="row">elr</th><td class="words">&lt;b&gt;</td>' in text
    assert 'tabindex="0" role="region" aria-label="All &amp; more"' in text


def test_noise_names_are_those_of_the_configs():
    small = make_noise("symmetric", 5e-5, include_true=False)
    rows = [
        trial_row("a", 0, noise=small.setting, config=json.dumps({"noise": asdict(small)})),
        trial_row("b", 0),
        trial_row("c", 0, noise="of-a-later-version-0.1", config="{}"),
    ]
    assert noise_names(pd.DataFrame(rows)) == {
        "symmetric-exclusive-5e-05": "symmetric, exclusive, 0.005%",
        "symmetric-0.4": "symmetric, 40%",
        "of-a-later-version-0.1": "of-a-later-version-0.1",
    }


def test_study_titles_say_data_and_network_only_where_they_differ():
    rows = [
        trial_row("b", 0, loss="adam_elr", noise="symmetric-0.4"),
        trial_row("a", 0, loss="ce", noise="symmetric-0.4"),
    ]
    names = study_titles(pd.DataFrame(rows))
    assert names["study"].tolist() == ["a", "b"]
    assert set(names["title"]) == {"Symmetric, 40%"}
    rows.append(trial_row("c", 0, model="resnet34"))
    titles = study_titles(pd.DataFrame(rows))["title"]
    assert titles.tolist() == ["Symmetric, 40% · resnet34", *["Symmetric, 40% · tiny_cnn"] * 2]


def test_in_order_puts_unknown_losses_last():
    assert in_order(["new", "elr", "ce", "elr"]) == ["ce", "elr", "new"]


def test_signed_points_have_a_true_minus_and_no_negative_zero():
    fractions = (0.0123, -0.0123, -0.000001, float("nan"))
    assert [*map(signed_points, fractions)] == ["+1.23", "−1.23", "+0.00", "-"]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    low, high = sorted([luminance(one), luminance(two)])
    return (high + 0.05) / (low + 0.05)


def test_every_loss_has_a_look_of_its_own():
    assert set(looks()) == set(LOSSES)
    for name in ("light", "dark", "dash", "symbol"):
        assert len({getattr(look, name) for look in PALETTE}) == len(PALETTE)
    assert len(dark_colours()) == len(PALETTE) + 9


def test_losses_past_the_palette_have_looks_of_their_own(monkeypatch):
    first = looks()
    for i in range(2 * len(PALETTE)):
        monkeypatch.setitem(LOSSES, f"own{i}", LossEntry("one more", label=f"own {i}"))
    assert len(set(looks().values())) == len(LOSSES)
    assert {loss: look for loss, look in looks().items() if loss in first} == first


@pytest.mark.parametrize("look", [*PALETTE, INK, MUTED, SPENT, LOST])
def test_colours_stand_out_on_both_pages(look):
    assert contrast(look.light, CARD.light) >= 3
    assert contrast(look.dark, CARD.dark) >= 3


def tokens(text):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", text))


@pytest.mark.parametrize("part", [0, 1], ids=["light", "dark"])
def test_text_stands_out_on_its_ground(part):
    colours = tokens(CSS.split("@media screen and (prefers-color-scheme: dark)")[part][:1200])
    pairs = [(text, ground) for text in ("ink", "muted", "accent") for ground in ("page", "card")]
    pairs += [(name, f"{name}-back") for name in ("good", "warn", "bad")]
    for text, ground in [*pairs, ("good", "card"), ("bad", "card"), ("ink", "quiet")]:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_cards_have_the_colour_that_labels_in_figures_stand_on():
    light, dark = CSS.split("@media screen and (prefers-color-scheme: dark)")[:2]
    assert (tokens(light[:600])["card"], tokens(dark)["card"]) == (CARD.light, CARD.dark)


def test_legend_has_an_entry_for_each_named_trace():
    plot = go.Figure(
        [
            go.Scatter(mode="lines", showlegend=False, name="band"),
            go.Scatter(
                mode="lines", name="a &lt;b&gt;", line={"color": "#0072b2", "dash": "dash"}
            ),
            go.Scatter(mode="markers", marker={"color": "#5c5c5c", "symbol": "diamond-open"}),
            go.Bar(name="saved", marker={"color": "#4477aa", "pattern": {"shape": "/"}}),
        ]
    )
    plot.data[3].marker.pattern.fgcolor = "#4477aa"
    (name, dashed), (_, striped) = legend(plot)
    plot.data[3].marker.pattern.shape = "x"
    assert legend(plot)[1][1] != striped
    assert name == "a &lt;b&gt;"
    assert 'stroke-dasharray="7 4"' in dashed.shapes
    assert "light-dark(#0072b2, #59b4f0)" in piece("drawing", dashed)


def test_legend_is_left_out_where_a_figure_has_none():
    trace = go.Scatter(mode="lines", name="a")
    assert legend(go.Figure([trace], {"showlegend": False})) == []
    assert legend(go.Figure([go.Scatter(mode="lines")])) == []


def test_legend_can_draw_every_marker_in_use():
    assert {look.symbol for look in PALETTE} <= set(SYMBOLS)
