import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.frames.label_errors import label_errors, write_label_errors
from analysis.printed.contact_sheet import contact_sheet
from analysis.results import ResultsError, ResultsWarning, load_results
from tests.recorded import epoch_row, record_sweep, trial_row, write_results
from trainable.config import DataConfig, TrialConfig, make_noise

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


def test_label_errors_are_written_as_parquet_and_csv(tmp_path):
    results = with_targets(tmp_path, TARGETS)
    errors = label_errors(results, STUDY)
    folder = write_label_errors(errors, results)
    assert folder.names() == ["doubted.csv", "doubted.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(f"{folder}/doubted.parquet"), errors.doubted)
    pd.testing.assert_frame_equal(pd.read_csv(f"{folder}/doubted.csv"), errors.doubted)


def test_label_errors_ask_the_confirmed_trial(tmp_path):
    results = load_results(record_sweep(tmp_path, replicates=2))
    confirmed = label_errors(results, STUDY)
    assert confirmed.trial_id.startswith(f"{STUDY}-00")
    assert (len(confirmed.doubted), confirmed.wrong) == (90, 100)
    assert (confirmed.precision, confirmed.recall) == (pytest.approx(8 / 9), 0.8)


def test_label_errors_that_cannot_be_found_say_why(tmp_path):
    results = with_targets(tmp_path, TARGETS, name="another")
    with pytest.raises(ResultsError, match="left no targets"):
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
    sheet = Image.open(io.BytesIO(contact_sheet(errors, images, "0123456789")))
    pixels = np.asarray(sheet)
    assert sheet.format == "PNG"
    assert (pixels[50, 20] == 200).all()
    assert (pixels[50, 20 + 116] == 0).all()


def test_contact_sheet_of_no_doubts_is_a_picture(tmp_path):
    targets = {**TARGETS, "proposed": TARGETS["given"]}
    errors = label_errors(with_targets(tmp_path, targets), STUDY)
    Image.open(
        io.BytesIO(contact_sheet(errors, np.zeros((20, 1, 8, 8), np.uint8), "0123456789"))
    ).verify()
