import pickle
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from analysis.best import best_configs, top_configs
from analysis.readable import ReadableTable
from analysis.results import load_results
from tests.recorded import record_sweep


def shown(table):
    """What a notebook shows: a DataFrame of texts."""
    root = ET.fromstring(table._repr_html_().partition("</style>")[2].partition("</div>")[0])
    names = [head.text for head in root.findall("thead//th")][1:]
    rows = [[cell.text for cell in row.iter("td")] for row in root.findall("tbody/tr")]
    return pd.DataFrame(rows, columns=names)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), replicates=2))


def test_a_notebook_shows_accuracies_and_searched_parameters_first(results):
    best = best_configs(results)
    table = shown(best)
    assert list(table)[:4] == ["study", "number", "completed", "trials"]
    assert {"test_accuracy", "replicated_test", "param_lam", "param_beta1"} <= set(table)
    assert not {"config", "seed", "param_momentum"} & set(table)
    assert [float(text) for text in table["test_accuracy"]] == pytest.approx(
        best["test_accuracy"], abs=1e-4
    )
    assert f"of which {table.shape[1]} are shown" in best._repr_html_()
    assert {"config", "seed", "param_momentum"} <= set(best)


def test_a_prompt_shows_the_same_columns(results):
    text = repr(top_configs(results, 2))
    assert "rank" in text
    assert "param_lam" in text
    assert "config" not in text


def test_what_is_made_of_it_is_a_plain_dataframe(results):
    best = best_configs(results)
    for made in (best.copy(), best[best["loss"] == "elr"], best.merge(best, on="study")):
        assert type(made) is pd.DataFrame
    pd.testing.assert_frame_equal(best.head(2), pd.DataFrame(best).head(2))


def test_columns_may_come_and_go():
    table = ReadableTable.of(pd.DataFrame({"a": [1], "b": [2], "c": [3]}), ["b", "a"])
    table["new"] = 4
    del table["b"]
    assert list(shown(table)) == ["a", "new"]
    assert repr(pickle.loads(pickle.dumps(table))) == repr(table)
