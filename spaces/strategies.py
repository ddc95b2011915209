"""Samplers and early-stopping rules that a sweep file can name, with their options.

The tables are here, where the sweep file is checked; ``search`` builds the members.
"""

from trainable.catalog import Entry, Parameter

SAMPLERS: dict[str, Entry] = {
    "tpe": Entry(
        "tree-structured Parzen estimator, multivariate, grouped by branch",
        "Optuna's TPESampler",
        {
            "n_startup_trials": Parameter(
                None,
                "random trials at first; empty: a quarter of the budget, at most 10",
                kind=int,
                low=1,
                optional=True,
            ),
            "n_ei_candidates": Parameter(24, "candidates a suggestion", kind=int, low=1),
        },
    ),
    "random": Entry("independent and uniform", "Optuna's RandomSampler"),
    "gp": Entry(
        "Gaussian process with expected improvement",
        "Optuna's GPSampler",
        {
            "n_startup_trials": Parameter(
                None,
                "random trials at first; empty: a quarter of the budget, at most 10",
                kind=int,
                low=1,
                optional=True,
            ),
        },
    ),
    "cmaes": Entry(
        "covariance matrix adaptation; categorical and conditional parameters at random",
        "Optuna's CmaEsSampler",
        {
            "sigma0": Parameter(
                None,
                "first step size; empty: a sixth of the ranges",
                low=0.0,
                open_low=True,
                optional=True,
            ),
        },
    ),
    "qmc": Entry(
        "quasi-random points that fill the space evenly",
        "Optuna's QMCSampler",
        {
            "sequence": Parameter(
                "sobol", "which sequence", kind=str, options=("sobol", "halton")
            ),
        },
    ),
    "grid": Entry("every point of a space of choices and stepped ranges, in a shuffled order"),
}

EARLY_STOPPING: dict[str, Entry] = {
    "asha": Entry(
        "at each rung a trial goes on if it is among the best 1/reduction_factor, or next to them",
        "Li et al. 2020, arXiv 1810.05934; the stopping variant",
    ),
    "asha_promotion": Entry(
        "at each rung a trial pauses, and goes on when it enters the best 1/reduction_factor",
        "Li et al. 2020, arXiv 1810.05934, algorithm 2",
    ),
    "median": Entry(
        "from grace_epochs on, a trial stops whose best is below the median of the others' means",
        "Golovin et al. 2017 (Vizier), the median rule",
    ),
    "none": Entry("every trial gets its full budget"),
}
