import base64
import dataclasses
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.frames.label_errors import doubted_pairs, label_errors, rank, write_label_errors
from analysis.printed.contact_sheet import contact_sheet
from analysis.printed.label_list import label_list
from analysis.report.doubted_page import label_page
from analysis.report.figures.labels import doubt_chart
from analysis.report.style import study_titles, titled
from analysis.results import ResultsError, ResultsWarning, load_results
from tests.own_images import some_parts, write_folders
from tests.recorded import epoch_row, record_sweep, trial_row, write_results
from trainable.config import TrialConfig, labels_name
from trainable.data import DataConfig
from trainable.data.own import read_own
from trainable.folder import layout
from trainable.noise import make_noise

STUDY = "symmetric-0.4-elr"
CONFIG = TrialConfig.build(
    data=DataConfig("digits"),
    noise=make_noise("symmetric", 0.4),
    loss="elr",
    network="tiny_cnn",
    max_epochs=3,
    seed=0,
)


def with_targets(path, targets, name=f"{STUDY}-0000"):
    trial = trial_row(config=json.dumps(CONFIG.as_dict()))
    folder = write_results(path, [trial])
    (path / "targets").mkdir()
    pd.DataFrame(targets).to_parquet(path / "targets" / f"{name}.parquet")
    return load_results(folder)


TARGETS = {
    "index": [5, 3, 8, 1, 9],
    "given": [0, 1, 2, 3, 4],
    "true": [0, 2, 3, 3, 5],
    "proposed": [0, 2, 7, 1, 4],
    "confidence": [0.9, 0.6, 0.8, 0.6, 0.5],
}


def test_label_errors_are_the_disagreements_most_confident_first(tmp_path):
    errors = label_errors(with_targets(tmp_path, TARGETS), STUDY)
    assert errors.doubted["index"].tolist() == [8, 1, 3]
    assert errors.doubted["proposed"].tolist() == [7, 1, 2]
    assert errors.examples == 5
    assert errors.wrong == 3
    assert errors.precision == pytest.approx(2 / 3)
    assert errors.recall == pytest.approx(2 / 3)
    assert errors.corrected == pytest.approx(1 / 3)
    assert "66.67% (precision)" in errors.summary()[1]


@pytest.mark.parametrize("unknown", [{}, {"true": [None] * 5}])
def test_label_errors_without_the_truth(tmp_path, unknown):
    targets = {k: v for k, v in TARGETS.items() if k != "true"} | unknown
    errors = label_errors(with_targets(tmp_path, targets), STUDY)
    assert "true" not in errors.doubted
    assert np.isnan([errors.wrong, errors.precision, errors.recall, errors.corrected]).all()
    assert errors.summary()[1] == "the true labels are unknown here"


def test_label_errors_of_labels_that_are_all_right(tmp_path):
    targets = {**TARGETS, "given": TARGETS["true"], "proposed": TARGETS["true"]}
    errors = label_errors(with_targets(tmp_path, targets), STUDY)
    assert errors.doubted.empty
    assert errors.wrong == 0
    assert np.isnan([errors.precision, errors.recall, errors.corrected]).all()


def test_label_errors_are_written_where_asked(tmp_path):
    results = with_targets(tmp_path, TARGETS)
    errors = label_errors(results, STUDY)
    folder = layout.label_errors(results.folder, STUDY)
    write_label_errors(errors, folder)
    assert str(folder) == f"{tmp_path}/label_errors/{STUDY}"
    pd.testing.assert_frame_equal(pd.read_parquet(f"{folder}/labels.parquet"), errors.ranked)


OVER_EPOCHS = {
    "index": [5, 3, 8, 1],
    "given": [0, 1, 2, 3],
    "true": [0, 2, 3, 3],
    "proposed": [None] * 4,
    "confidence": [None] * 4,
    "margin": [4.0, -1.0, -3.0, 1.0],
    "given_probability": [0.9, 0.1, 0.2, 0.5],
    "rival": [1, 2, 3, 0],
    "rival_probability": [0.1, 0.7, 0.6, 0.3],
}


@pytest.mark.parametrize(
    ("criterion", "order", "scores"),
    [
        (None, [8, 3, 1, 5], [3, 1, -1, -4]),
        ("margin", [8, 3, 1, 5], [3, 1, -1, -4]),
        ("probability", [3, 8, 1, 5], [0.6, 0.4, -0.2, -0.8]),
        ("losses", [3, 8, 1, 5], [0.6, 0.4, -0.2, -0.8]),
    ],
)
def test_criteria_rank_what_was_recorded_over_the_epochs(tmp_path, criterion, order, scores):
    errors = label_errors(with_targets(tmp_path, OVER_EPOCHS), STUDY, criterion)
    assert errors.ranked["index"].tolist() == order
    assert errors.ranked["score"].tolist() == pytest.approx(scores)
    assert errors.doubted["index"].tolist() == order[:2]
    assert errors.doubted["proposed"].tolist() == [3 if i == 8 else 2 for i in order[:2]]
    assert (errors.precision, errors.recall, errors.corrected) == (1, 1, 1)
    assert errors.precision_of(4) == 0.5
    assert errors.criterion == (criterion or "margin")


def test_criteria_that_a_trial_left_nothing_for_are_refused(tmp_path):
    results = with_targets(tmp_path / "new", OVER_EPOCHS)
    with pytest.raises(ResultsError, match="nothing for criterion target: its loss has no target"):
        label_errors(results, STUDY, "target")
    with pytest.raises(ResultsError, match="unknown criterion 'margn': did you mean 'margin'"):
        label_errors(results, STUDY, "margn")
    results = with_targets(tmp_path / "old", TARGETS)
    assert label_errors(results, STUDY).criterion == "target"
    with pytest.raises(ResultsError, match="criterion margin: it ran before that was kept"):
        label_errors(results, STUDY, "margin")


def test_trials_with_the_same_labels_judge_together(tmp_path):
    def row(number, phase="search", source=None, labels="a", loss="elr", value=0.5):
        return trial_row(
            study=f"symmetric-0.4-{loss}",
            loss=loss,
            trial_id=f"t{number}",
            number=number,
            phase=phase,
            source_trial_id=source,
            labels_fingerprint=labels,
            selection_value=value,
            val_accuracy=value,
            config=json.dumps(CONFIG.as_dict()),
        )

    rows = [
        row(0, value=0.9),
        row(1),
        row(2, "replicate", "t0"),
        row(3, "replicate", "t0", labels="b"),
        row(4, "replicate", "t1"),
        row(5, loss="ce"),
    ]
    folder = write_results(tmp_path, rows)
    (tmp_path / "targets").mkdir()
    for number in range(6):
        table = pd.DataFrame(OVER_EPOCHS).iloc[: 3 if number else 4]
        margin = table["margin"] + 10 * number
        table.assign(margin=margin).to_parquet(tmp_path / "targets" / f"t{number}.parquet")
    results = load_results(folder)
    by_margin = label_errors(results, STUDY)
    assert by_margin.trial_ids == ("t0", "t2")
    scores = by_margin.ranked.set_index("index")["score"]
    assert scores[8] == pytest.approx((3 + 3 - 20) / 2)  # both trained on it
    assert scores[1] == -1  # only the winner did
    assert "trial t0 with 1 more doubt " in by_margin.summary()[0]
    assert label_errors(results, STUDY, "losses").trial_ids == ("t0", "t5")


def test_pairs_of_classes_are_those_of_the_best_study_of_a_setting(tmp_path):
    def row(loss, value):
        return trial_row(
            study=f"symmetric-0.4-{loss}",
            loss=loss,
            trial_id=loss,
            selection_value=value,
            val_accuracy=value,
            config=json.dumps(CONFIG.as_dict()),
        )

    folder = write_results(tmp_path, [row("elr", 0.6), row("ce", 0.5), row("gce", 0.9)])
    assert doubted_pairs(load_results(folder)).empty
    (tmp_path / "targets").mkdir()
    for loss, rival in (("elr", [1, 2, 7, 0]), ("ce", [1, 9, 9, 0])):
        table = pd.DataFrame({**OVER_EPOCHS, "rival": rival})
        table.to_parquet(tmp_path / "targets" / f"{loss}.parquet")
    pairs = doubted_pairs(load_results(folder))
    assert pairs[["study", "given", "proposed", "labels", "examples"]].to_numpy().tolist() == [
        ["symmetric-0.4-elr", 2, 7, 1, 4],
        ["symmetric-0.4-elr", 1, 2, 1, 4],
    ]
    assert pairs["classes"].iloc[0] == NAMES
    table = titled(pairs, study_titles(load_results(folder).trials))
    chart = doubt_chart("Symmetric, 40%", table)
    assert chart.plot.data[0].z[2][7] == 1
    assert sum(map(sum, chart.plot.data[0].z)) == 2
    assert chart.says == "ELR doubts 2 of 4 training labels, most often 2, perhaps 7 (1)."
    assert chart.table["given"].tolist() == ["2", "1"]


def test_proposal_is_the_rival_that_the_trials_believe_in_most():
    first = pd.DataFrame(OVER_EPOCHS)
    second = first.assign(rival=[1, 5, 3, 0], rival_probability=[0.1, 0.9, 0.6, 0.3])
    ranked = rank([first, second], "probability").set_index("index")
    assert ranked.loc[3, "proposed"] == 5
    assert ranked.loc[8, "proposed"] == 3


NAMES = tuple("0123456789")


def test_list_has_every_label_and_takes_corrections(tmp_path):
    results = with_targets(tmp_path, OVER_EPOCHS)
    errors = label_errors(results, STUDY)
    (tmp_path / "labels").mkdir()
    held_out = pd.DataFrame({"index": [1, 2, 3, 5, 8], "given": [3, 7, 1, 0, 2], "true": 0})
    held_out.to_parquet(tmp_path / "labels" / f"{labels_name(CONFIG)}.parquet")
    files = tuple(f"train/{number}.png" for number in range(10))
    table = pd.read_csv(io.BytesIO(label_list(errors, results, NAMES, files)))
    assert table["file"].tolist() == [f"train/{i}.png" for i in (8, 3, 1, 5, 2)]
    assert table["given"].tolist() == [2, 1, 3, 0, 7]
    assert table["proposed"].tolist()[:2] == [3, 2]
    assert table.iloc[4][["proposed", "score"]].isna().all()
    assert table["label"].isna().all()
    nameless = pd.read_csv(io.BytesIO(label_list(errors, results, NAMES, ())))
    assert nameless["index"].tolist() == [8, 3, 1, 5, 2]


def test_mended_list_trains_on_what_somebody_wrote_into_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images, labels = some_parts(20, 0, classes=10)["train"]
    root = write_folders(tmp_path / "own", {"train": (images, labels)}, NAMES)
    own = read_own(str(root))
    errors = label_errors(with_targets(tmp_path / "results", OVER_EPOCHS), STUDY)
    given = {"given": own.train.given[errors.ranked["index"]]}
    errors = dataclasses.replace(errors, ranked=errors.ranked.assign(**given))
    results = load_results(tmp_path / "results")
    table = pd.read_csv(io.BytesIO(label_list(errors, results, own.class_names, own.train.names)))
    table.loc[:1, "label"] = table.loc[:1, "proposed"]
    table.to_csv(tmp_path / "labels.csv", index=False)
    mended = read_own(str(root), labels=str(tmp_path / "labels.csv")).train.given
    expected = own.train.given.copy()
    expected[[8, 3]] = [3, 2]
    assert mended.tolist() == expected.tolist()


def test_page_shows_the_doubted_images_by_class_pair(tmp_path):
    table = {**OVER_EPOCHS, "rival": [1, 2, 7, 0]}
    errors = label_errors(with_targets(tmp_path, table), STUDY)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 3, 9, 9), np.uint8)
    names = ("a", "b", "<i>", *NAMES[3:])
    files = tuple(f"train/{number}.png" for number in range(10))
    page = label_page(errors, images, names, files).decode()
    assert "the proposal is right" in page
    assert "b, perhaps &lt;i&gt;: 1" in page
    assert "&lt;i&gt;, perhaps 7: 1" in page
    assert "<i>" not in page
    frames = re.findall(r'title="(.*?)"><img class="(.*?)" .*?base64,(.*?)"', page)
    assert [(title, frame) for title, frame, _ in frames] == [
        ("train/8.png", ""),
        ("train/3.png", "right"),
    ]
    picture = Image.open(io.BytesIO(base64.b64decode(frames[0][2])))
    assert (np.asarray(picture) == 8).all()


def test_label_errors_ask_the_confirmed_trial(tmp_path):
    results = load_results(record_sweep(tmp_path, replicates=2))
    confirmed = label_errors(results, STUDY)
    assert confirmed.trial_ids[0].startswith(f"{STUDY}-00")
    assert (len(confirmed.doubted), confirmed.wrong) == (90, 100)
    assert (confirmed.precision, confirmed.recall) == (pytest.approx(8 / 9), 0.8)


def test_label_errors_that_cannot_be_found_say_why(tmp_path):
    results = with_targets(tmp_path, TARGETS, name="another")
    with pytest.raises(ResultsError, match="left nothing about its labels"):
        label_errors(results, STUDY)
    with pytest.raises(ResultsError, match=r"unknown study 'elr': "):
        label_errors(results, "elr")
    file = tmp_path / "targets" / f"{STUDY}-0000.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(ResultsError, match=f"{file} is damaged"):
        label_errors(results, STUDY)
    pd.DataFrame({"index": [1]}).to_parquet(file)
    with pytest.raises(ResultsError, match=f"{file} is no table of targets: no 'given'"):
        label_errors(results, STUDY)
    running = load_results(write_results(tmp_path / "b", [trial_row(status="running")]))
    with pytest.raises(ResultsError, match="no trial that used its full budget"):
        label_errors(running, STUDY)


def test_label_errors_of_epochs_without_a_table_of_trials_say_so(tmp_path):
    folder = write_results(tmp_path, [trial_row()], [epoch_row(f"{STUDY}-0000", 1)])
    folder.delete("trials")
    with pytest.raises(ResultsError, match="holds epochs, but no table of trials"):
        load_results(folder)
    with pytest.warns(ResultsWarning, match="holds epochs, but no table of trials"):
        results = load_results(folder, strict=False)
    with pytest.raises(ResultsError, match=f"study {STUDY} has epochs, but no row in the table"):
        label_errors(results, STUDY)


@pytest.mark.parametrize("shape", [(20, 1, 8, 8), (20, 3, 32, 32)])
def test_contact_sheet_shows_each_doubted_image(tmp_path, shape):
    errors = label_errors(with_targets(tmp_path, TARGETS), STUDY)
    images = np.zeros(shape, np.uint8)
    images[8] = 200
    sheet = Image.open(io.BytesIO(contact_sheet(errors, images, NAMES)))
    pixels = np.asarray(sheet)
    assert sheet.format == "PNG"
    assert (pixels[50, 20] == 200).all()
    assert (pixels[50, 20 + 116] == 0).all()


def test_contact_sheet_of_no_doubts_is_a_picture(tmp_path):
    targets = {**TARGETS, "proposed": TARGETS["given"]}
    errors = label_errors(with_targets(tmp_path, targets), STUDY)
    Image.open(
        io.BytesIO(contact_sheet(errors, np.zeros((20, 1, 8, 8), np.uint8), NAMES))
    ).verify()
