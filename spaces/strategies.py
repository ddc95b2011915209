"""Samplers and early-stopping rules that a sweep file can name: one entry says all of each.

A sweep file is checked against these tables without Optuna. What builds a member is named by its
entry, and imported when a study first asks for it.
"""

from dataclasses import dataclass

from trainable.catalog import Entry, Parameter


@dataclass(frozen=True, kw_only=True)
class Sampler(Entry):
    """Where suggestions come from.

    ``build`` is ``module:function``. It is called with the options, completed from
    ``parameters``, and:

    - for every suggestion ``(options, *, seed, trials)``, to give a fresh sampler of Optuna's;
      ``trials`` is the study's budget;
    - if it ``needs_history`` not, once a study ``(options, *, seed, space)``, to give an iterator
      of points, {parameter: value}.

    - if it looks ``across`` studies, once a sweep ``(options, *, seed, cells, metric)``, to give a
      ``search.studies.multitask.Surrogate``.

    ``common``, ``module:function``, is what draws for the whole sweep where the option ``common``
    is set: called with ``(options, *, seed, names)``, the sweep's seed and the qualified names of
    all parameters that vary, it gives an iterator of fractions in [0, 1) by name.
    """

    build: str
    needs_history: bool = True
    across: bool = False
    common: str = ""
    priors: bool = False
    """Whether it takes priors: what ``build`` gives from a history does, but for the state that it
    may keep in between."""
    finite: bool = False
    """Whether it deals each point of a space of choices once: no more trials than points, and the
    reference setting is one of them."""
    pruned_are_worst: bool = False
    """Whether it ranks every pruned trial below every complete one, whatever their values."""


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Entry):
    """Who goes on. ``build`` is the ``module:class`` of a ``search.studies.stopping.Rule``.

    It is called with what every rule is given, and with its options, completed from
    ``parameters``.
    """

    build: str
    stops: bool = True
    """Whether any trial ends before its full budget."""
    pauses: bool = False
    """Whether trials wait at rungs, their checkpoints kept, for what others do there."""


_COMMON = Parameter(
    False,
    "the studies of a sweep draw the same values for the parameters that they share",
    kind=bool,
)

_STARTUP = Parameter(
    None,
    "random trials at first; empty: a quarter of the budget, at most 10",
    kind=int,
    low=1,
    optional=True,
)

SAMPLERS: dict[str, Sampler] = {
    "tpe": Sampler(
        "tree-structured Parzen estimator, multivariate, grouped by branch",
        "Optuna's TPESampler",
        {
            "n_startup_trials": _STARTUP,
            "n_ei_candidates": Parameter(24, "candidates a suggestion", kind=int, low=1),
        },
        build="search.studies.samplers:tpe",
        priors=True,
        pruned_are_worst=True,
    ),
    "multitask": Sampler(
        "one model over all studies of the sweep: what is good in one is tried in the others",
        "extremely randomised trees (Geurts et al. 2006) on normal scores",
        {
            "optimism": Parameter(
                0.3, "weight of the trees' spread beside their mean", low=0.0, high=100.0
            ),
            "explore": Parameter(0.05, "share of points drawn at random", low=0.0, high=1.0),
            "shared": Parameter(
                True, "one model for all studies; false: one for each, as if alone", kind=bool
            ),
        },
        build="search.studies.multitask:Surrogate",
        across=True,
        priors=True,
    ),
    "random": Sampler(
        "independent and uniform",
        "Optuna's RandomSampler",
        {"common": _COMMON},
        build="search.studies.samplers:uniform",
        priors=True,
        common="search.studies.samplers:common_uniform",
    ),
    "gp": Sampler(
        "Gaussian process with expected improvement",
        "Optuna's GPSampler",
        {"n_startup_trials": _STARTUP},
        build="search.studies.samplers:gp",
        priors=True,
    ),
    "cmaes": Sampler(
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
        build="search.studies.samplers:cmaes",
    ),
    "qmc": Sampler(
        "quasi-random points that fill the space evenly",
        "Optuna's QMCSampler",
        {
            "sequence": Parameter(
                "sobol", "which sequence", kind=str, options=("sobol", "halton")
            ),
            "common": _COMMON,
        },
        build="search.studies.samplers:quasi_random",
        common="search.studies.samplers:common_quasi_random",
        needs_history=False,
    ),
    "grid": Sampler(
        "every point of a space of choices and stepped ranges, in a shuffled order",
        build="search.studies.samplers:grid",
        needs_history=False,
        finite=True,
    ),
}

EARLY_STOPPING: dict[str, EarlyStopping] = {
    "asha": EarlyStopping(
        "at each rung a trial goes on if it is among the best 1/reduction_factor, or next to them",
        "Li et al. 2020, arXiv 1810.05934; the stopping variant",
        build="search.studies.stopping:Asha",
    ),
    "asha_ties": EarlyStopping(
        "as asha, but a trial within some standard errors of the hold-out of the cutoff goes on",
        "Li et al. 2020, arXiv 1810.05934; the standard error of a difference of accuracies",
        {
            "errors": Parameter(
                4.0, "standard errors below the cutoff that count as a tie", low=0.0, high=1000.0
            ),
        },
        build="search.studies.stopping:AshaTies",
    ),
    "asha_promotion": EarlyStopping(
        "at each rung a trial pauses, and goes on when it enters the best 1/reduction_factor",
        "Li et al. 2020, arXiv 1810.05934, algorithm 2",
        build="search.studies.stopping:AshaPromotion",
        pauses=True,
    ),
    "one_rung": EarlyStopping(
        "all trials pause at grace_epochs; when all have, the best few get their full budget",
        "Egele et al. 2024, arXiv 2404.04111",
        {"finalists": Parameter(3, "how many get their full budget", kind=int, low=1)},
        build="search.studies.stopping:OneRung",
        pauses=True,
    ),
    "median": EarlyStopping(
        "from grace_epochs on, a trial stops whose best is below the median of the others' means",
        "Golovin et al. 2017 (Vizier), the median rule",
        build="search.studies.stopping:Median",
    ),
    "none": EarlyStopping(
        "every trial gets its full budget",
        build="search.studies.stopping:Rule",
        stops=False,
    ),
}
