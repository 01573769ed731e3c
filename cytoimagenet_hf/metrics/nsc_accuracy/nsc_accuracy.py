"""Not-same-compound accuracy of mechanisms: from features in one call, or from neighbours found elsewhere."""

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from cytoimagenet_hf.benchmarks.nsc import nsc_accuracy
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.metrics import labelled
from cytoimagenet_hf.profiles.shrinkage import standardise_by_shrunk_controls
from cytoimagenet_hf.scoring import stats

_DESCRIPTION = """
NSC accuracy (BBBC021; Ljosa et al. 2013): the share of treatments whose nearest neighbour of another compound has
their mechanism of action. Give features of wells or images with the treatment, compound and mechanism of each, or
predictions of treatments that were made elsewhere: those whose neighbour is of the same compound are refused.
Treatments that cannot be right because their compound is alone in its mechanism are counted.
"""

_KWARGS_DESCRIPTION = """
Args:
    features: of wells or images, (n, d).
    treatments: treatment (compound at a concentration) of each row of features; compounds and moas (mechanisms) too.
    batches: optional batch (week) of each row: nscb is given too, among neighbours of another batch.
    controls: optional booleans, the rows of the solvent: with `plates` (plate of each row), features are scaled by
        those of their plate, and these rows are left out then. Without, features are taken as they are.
    predictions: or the mechanism of the nearest neighbour of each treatment, text or integers.
    references: mechanism of each treatment.
    compounds: compound of each treatment.
    neighbour_compounds: compound of the neighbour; optional, checked against `compounds`.
    seed: seed of the bootstrap over compounds, 0 by default.
    confidence: coverage of the intervals, 0.95 by default.
    per_class: also give per_class, the accuracy by mechanism, and unscorable_treatments: numbers, or names with
        features.

Returns:
    nsc, n, correct, wald_low, wald_high, unscorable (how many cannot be right); with several compounds also
    cluster_low and cluster_high over compounds; with batches also nscb_n and, unless it is 0, nscb. All are numbers,
    so that a Trainer can log them.

Examples:
    >>> nsc = evaluate.load(metric_path("nsc_accuracy"))
    >>> result = nsc.compute(
    ...     predictions=["x", "x", "y"], references=["x", "x", "z"],
    ...     compounds=["a", "b", "c"], neighbour_compounds=["b", "a", "d"])
    >>> round(result["nsc"], 3), result["unscorable"]
    (0.667, 1)
    >>> result = nsc.compute(
    ...     features=[[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], treatments=["a1", "b1", "c1", "d1"],
    ...     compounds=["a", "b", "c", "d"], moas=["x", "x", "y", "y"])
    >>> result["nsc"], result["n"]
    (1.0, 4)
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


class NscAccuracy(labelled.LabelledMetric):
    """Thin over `benchmarks.nsc` and `scoring.stats`."""

    columns = ("compounds", "neighbour_compounds")

    def _info(self) -> evaluate.MetricInfo:
        return self.describe(_DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION)

    def compute(
        self,
        *,
        features: Any = None,
        treatments: Any = None,
        moas: Any = None,
        compounds: Any = None,
        batches: Any = None,
        controls: Any = None,
        plates: Any = None,
        **options: Any,
    ) -> dict[str, Any] | None:
        """Features to neighbours, and these to the result; features do not pass through the store of `evaluate`.

        Raises:
            InputError: an unknown option, features without their columns, or what the protocol finds wrong.
        """
        self.require_options(options)
        columns = {"treatments": treatments, "moas": moas, "batches": batches, "controls": controls, "plates": plates}
        if features is None:
            if given := [name for name, value in columns.items() if value is not None]:
                raise InputError(f"{', '.join(given)} go with features: pass them, too")
            return super().compute(compounds=compounds, **options)
        if options.get("predictions") is not None or options.get("references") is not None:
            raise InputError("pass features with treatments, compounds and moas, or predictions and references")
        rows = {name: labelled.as_list(values) for name, values in (columns | {"compounds": compounds}).items()}
        if missing := [name for name in ("treatments", "compounds", "moas") if rows[name] is None]:
            raise InputError(f"features need the {', '.join(missing)} of their rows")
        values = labelled.as_matrix(features, len(rows["treatments"] or []))
        if (marks := rows.pop("controls")) is not None:
            if odd := [mark for mark in marks if mark not in (True, False)]:
                raise InputError(f"controls are True or False for each row, not {odd[0]!r}")
            solvent = np.array(marks, dtype=bool)
            if rows["plates"] is None or len(solvent) != len(values) or len(rows["plates"]) != len(values):
                raise InputError("controls are scaled by plate: pass plates=, and a boolean and a plate for each row")
            plate_names = np.array(rows["plates"]).astype(str)
            values = standardise_by_shrunk_controls(values, plates=plate_names, controls=solvent)[~solvent]
            rows = {
                name: None if of is None else [value for value, left in zip(of, solvent, strict=True) if not left]
                for name, of in rows.items()
            }
        result_of_rows = nsc_accuracy(
            values,
            treatments=rows["treatments"] or [],
            compounds=rows["compounds"] or [],
            moas=rows["moas"] or [],
            batches=rows["batches"],
        )
        table = result_of_rows.predictions
        result = super().compute(
            predictions=table["predicted"], references=table["moa"], compounds=table["compound"], **options
        )
        if result is None:  # not the main process
            return None
        if "unscorable_treatments" in result:
            result["unscorable_treatments"] = list(result_of_rows.unscorable)
        if batches is not None:
            result["nscb_n"] = len(table) - len(result_of_rows.unscorable_nscb)
            result |= {} if result_of_rows.nscb is None else {"nscb": result_of_rows.nscb}
        return result

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        compounds: Sequence[str],
        neighbour_compounds: Sequence[str],
        confidence: float = 0.95,
        seed: int = 0,
        per_class: bool = False,
    ) -> dict[str, Any]:
        names = self.stored("compounds", compounds)
        neighbours = self.stored("neighbour_compounds", neighbour_compounds)
        if names is None:
            raise InputError("NSC needs the compound of each treatment: pass compounds=")
        truth, drugs = np.asarray(references), np.asarray(names)
        if neighbours is not None:
            same = (np.asarray(neighbours) == drugs).nonzero()[0].tolist()
            if same:
                raise InputError(f"treatments {same[:5]} were predicted from their own compound: that is not NSC")
        correct = np.asarray(predictions) == truth
        right, n = int(correct.sum()), len(correct)
        alone = [place for place in range(n) if not ((truth == truth[place]) & (drugs != drugs[place])).any()]
        result: dict[str, Any] = {"nsc": right / n, "n": n, "correct": right, "unscorable": len(alone)}
        result |= labelled.ends("wald", stats.wald_interval(right, n, confidence=confidence))
        if len(set(names)) > 1:
            by_compound = stats.cluster_bootstrap(correct, drugs, seed=seed, confidence=confidence)
            result |= labelled.ends("cluster", by_compound)
        if per_class:
            shares = {name.item(): float(correct[truth == name].mean()) for name in np.unique(truth)}
            result |= {"per_class": shares, "unscorable_treatments": alone}
        return result
