"""The optimiser, and the schedules of its learning rate."""

from dataclasses import dataclass

from trainable.parameters import Entry, Parameter

_ELR = "Liu et al. 2020, arXiv 2007.00151, and the settings in their code"
_ETA_SEARCH = {"low": 1e-5, "high": 1e-3, "log": True}


@dataclass(frozen=True, kw_only=True)
class Schedule(Entry):
    """How lr moves over the epochs.

    ``build`` is a pure function of (lr, epochs done, max_epochs, parameters) to a learning rate.
    """

    cycle_ends: str = ""
    """``module:function`` of (max_epochs, parameters) to the epochs that end a cycle, where there
    are cycles: accuracies compare there."""


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule("lr all the way", build="trainable.network.schedules:constant"),
    "multistep": Schedule(
        "lr times gamma at each milestone",
        "ELR, GCE, SCE and forward, with a data set's milestones; gamma 0.01 is ELR's, the "
        "others' 0.1",
        {
            "milestones": Parameter(
                (40, 80),
                "epochs after which lr drops, of max_epochs",
                kind=tuple,
                in_epochs=True,
            ),
            "gamma": Parameter(
                0.01,
                "factor at each milestone",
                low=0.0,
                high=1.0,
                open_low=True,
                search={"low": 0.01, "high": 0.5, "log": True},
            ),
        },
        build="trainable.network.schedules:multistep",
    ),
    "cosine": Schedule(
        "half a cosine from lr to eta_min over the trial",
        "Loshchilov & Hutter 2017, arXiv 1608.03983",
        {"eta_min": Parameter(0.0, "learning rate at a cycle's end", low=0.0, search=_ETA_SEARCH)},
        build="trainable.network.schedules:cosine",
    ),
    "cosine_warm_restarts": Schedule(
        "cosine from lr to eta_min over a cycle, then again from lr",
        "Loshchilov & Hutter 2017, arXiv 1608.03983; t_0 and eta_min: Liu et al. 2020",
        {
            "t_0": Parameter(10, "epochs of the first cycle", kind=int, low=1),
            "t_mult": Parameter(
                1,
                "each cycle is this many times longer",
                kind=int,
                low=1,
                search={"choice": [1, 2]},
            ),
            "eta_min": Parameter(
                0.001, "learning rate at a cycle's end", low=0.0, search=_ETA_SEARCH
            ),
        },
        build="trainable.network.schedules:cosine_warm_restarts",
        cycle_ends="trainable.network.schedules:warm_restarts",
    ),
    "one_cycle": Schedule(
        "up to lr, then down to almost nothing, both along a cosine",
        "Smith & Topin 2018, arXiv 1708.07120",
        {
            "warm_up": Parameter(
                0.3,
                "share of the epochs spent going up",
                low=0.0,
                high=1.0,
                open_high=True,
                search={"low": 0.1, "high": 0.5},
            ),
            "start_factor": Parameter(
                0.04, "first learning rate over lr", low=0.0, high=1.0, open_low=True
            ),
            "end_factor": Parameter(4e-6, "last learning rate over lr", low=0.0, high=1.0),
        },
        build="trainable.network.schedules:one_cycle",
    ),
}

OPTIMISER: Entry = Entry(
    "SGD with momentum, its learning rate schedule and its batches",
    f"{_ELR}; a loss whose paper has others refers to them",
    {
        "lr": Parameter(
            0.02,
            "peak learning rate",
            low=0.0,
            open_low=True,
            search={"low": 0.005, "high": 0.1, "log": True},
        ),
        "lr_schedule": Parameter(
            "cosine_warm_restarts",
            "how lr moves over the epochs; brings its own parameters",
            kind=str,
            options=SCHEDULES,
            search={"choice": ["multistep", "cosine_warm_restarts"]},
        ),
        "momentum": Parameter(0.9, "momentum of SGD", low=0.0, high=1.0, open_high=True),
        "nesterov": Parameter(False, "whether the momentum is Nesterov's", kind=bool),
        "weight_decay": Parameter(
            1e-3,
            "L2 penalty of SGD",
            low=0.0,
            search={"low": 1e-4, "high": 5e-3, "log": True},
        ),
        "batch_size": Parameter(128, "images a step", kind=int, low=2),
        "averaging": Parameter(
            0.0,
            "decay a step of the averaged weights that are evaluated beside the raw ones; 0: none",
            low=0.0,
            high=1.0,
            open_high=True,
        ),
    },
)
