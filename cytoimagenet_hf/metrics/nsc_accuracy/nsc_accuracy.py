"""Not-same-compound accuracy of mechanisms of action, from the nearest neighbours that were found."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.metrics.labels import check_labels, check_names
from cytoimagenet_hf.scoring import stats

_DESCRIPTION = """
NSC accuracy (BBBC021; Ljosa et al. 2013): the share of treatments whose nearest neighbour of another compound has
their mechanism of action. The metric refuses predictions whose neighbour is of the same compound, and reports
treatments that cannot be right because their compound is alone in its mechanism. Profiles are searched by
`cytoimagenet_hf.benchmarks.nsc_accuracy`; only its predictions come here.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: mechanism of the nearest neighbour of each treatment.
    references: mechanism of each treatment.
    compounds: compound of each treatment.
    neighbour_compounds: compound of the neighbour; optional, checked against `compounds`.
    seed: seed of the bootstrap over compounds, 0 by default.

Returns:
    nsc, n, wald (low, high), cluster (low, high) over compounds, per_class, unscorable (which cannot be right).

Examples:
    >>> nsc = evaluate.load(metric_path("nsc_accuracy"))
    >>> result = nsc.compute(
    ...     predictions=["x", "x", "y"], references=["x", "x", "z"],
    ...     compounds=["a", "b", "c"], neighbour_compounds=["b", "a", "d"])
    >>> round(result["nsc"], 3), result["unscorable"]
    (0.667, [2])
"""

_CITATION = """
@article{ljosa2013comparison,
    title={Comparison of methods for image-based profiling of cellular morphological responses to small-molecule
           treatment},
    author={Ljosa, Vebjorn and Caie, Peter D. and ter Horst, Rob and others},
    journal={Journal of Biomolecular Screening},
    volume={18},
    number={10},
    pages={1321--1329},
    year={2013}
}
"""


class NscAccuracy(evaluate.Metric):
    """Thin over `cytoimagenet_hf.scoring.stats`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add predictions and references, checked before they are encoded; `compute` passes here too."""
        check_labels(predictions, references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one prediction and its reference."""
        check_labels([prediction], [reference])
        super().add(prediction=prediction, reference=reference, **kwargs)

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        compounds: Sequence[str],
        neighbour_compounds: Sequence[str] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        check_names("compounds", compounds, len(references))
        check_names("neighbour_compounds", neighbour_compounds, len(references))
        truth, own = np.asarray(references), np.asarray(compounds)
        if neighbour_compounds is not None:
            same = (np.asarray(neighbour_compounds) == own).nonzero()[0].tolist()
            if same:
                raise InputError(f"treatments {same[:5]} were predicted from their own compound: that is not NSC")
        correct = np.asarray(predictions) == truth
        right, n = int(correct.sum()), len(correct)
        alone = [place for place in range(n) if not ((truth == truth[place]) & (own != own[place])).any()]
        cluster = stats.cluster_bootstrap(correct, own, seed=seed) if len(set(compounds)) > 1 else None
        return {
            "nsc": right / n,
            "n": n,
            "wald": tuple(stats.wald_interval(right, n)),
            "cluster": None if cluster is None else tuple(cluster),
            "per_class": {str(name): float(correct[truth == name].mean()) for name in np.unique(truth)},
            "unscorable": alone,
        }
