"""Which classes the doubtful labels are between."""

import pandas as pd

from analysis.report.chart import Chart
from analysis.report.figures.classes import heat, height
from analysis.report.style import loss_name


def doubt_chart(title: str, rows: pd.DataFrame) -> Chart:
    """How many labels of a class are perhaps of which other (``label_errors.doubted_pairs``)."""
    names = list(rows["classes"].iloc[0])
    counts = rows.pivot_table("labels", "given", "proposed", aggfunc="sum", fill_value=0)
    counts = counts.reindex(index=range(len(names)), columns=range(len(names)), fill_value=0)
    hover = "given %{y}, perhaps %{x}: %{z} labels<extra></extra>"
    plot = heat(names, counts, hover, "Given", "Perhaps")
    pairs = rows[rows["labels"] > 0].sort_values("labels", ascending=False, kind="stable")
    behind = pd.DataFrame(
        {
            "given": [names[label] for label in pairs["given"]],
            "perhaps": [names[label] for label in pairs["proposed"]],
            "labels": pairs["labels"].to_numpy(),
        }
    )
    first = rows.iloc[0]
    says = (
        f"{loss_name(first['loss'])} doubts {pairs['labels'].sum():,} of {first['examples']:,} "
        "training labels"
    )
    if len(behind):
        given, perhaps, labels_ = behind.iloc[0]
        says += f", most often {given}, perhaps {perhaps} ({labels_:,})"
    return Chart(title, plot, f"{says}.", behind, height(len(names)))
