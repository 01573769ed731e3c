"""A plate judged by its controls and doses: Z', SSMD and dose response of each compound, from well profiles."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.profiles import screens
from cytoimagenet_hf.tables.features import FeatureTable

from .steps import batches_of
from .well_facts import WellFacts

_LEAST = 3  # controls of a kind, so that one can be left out and a spread remains
_CHANCE = 0.1  # by how much Z' of a dozen wells differs by chance alone


@dataclass(frozen=True)
class Separation:
    """How far the positive controls of one compound lie from the negative ones on one plate.

    Attributes:
        plate: plate.
        compound: what the positive controls got.
        negatives: control wells.
        positives: control wells.
        z_prime: see `screens.z_prime`, on scores that leave each well out of its own axis.
        z_prime_robust: with medians and MAD.
        ssmd: see `screens.ssmd`.
        ssmd_robust: with medians and MAD.
    """

    plate: str
    compound: str
    negatives: int
    positives: int
    z_prime: float
    z_prime_robust: float
    ssmd: float
    ssmd_robust: float


@dataclass(frozen=True)
class Response:
    """How one compound's wells follow its dose on one plate.

    Attributes:
        plate: plate.
        compound: compound.
        measured_on: what the response is: `"score"` from negative to this compound's positive controls, `"score to
            <other>"`, or `"distance"` from the negative controls.
        wells: treated wells.
        doses: different doses.
        spearman: rank correlation of response and dose over the treated wells.
        p_value: of it.
        curve: the four-parameter logistic, where it fits.
        why_no_curve: why not, in one sentence.
        dose: (wells,) in the plate map's unit.
        response: (wells,).
        wells_at: (wells,) ids.
    """

    plate: str
    compound: str
    measured_on: str
    wells: int
    doses: int
    spearman: float
    p_value: float
    curve: screens.DoseResponse | None
    why_no_curve: str
    dose: tuple[float, ...]
    response: tuple[float, ...]
    wells_at: tuple[str, ...]


@dataclass(frozen=True)
class Screen:
    """What a screen's controls and doses say of the profiles.

    Attributes:
        separations: per plate and positive compound.
        responses: per plate and compound with at least three doses.
        distance: (n,) distance of every row from its plate's negative controls, NaN where it has too few.
        scores: compound → (n,) scores from negative to its positive controls, NaN on plates without.
        unit: of the doses.
        notes: what could not be judged, a sentence each.
    """

    separations: tuple[Separation, ...]
    responses: tuple[Response, ...]
    distance: npt.NDArray[np.float64]
    scores: dict[str, npt.NDArray[np.float64]]
    unit: str
    notes: tuple[str, ...] = field(default=())

    def record(self) -> dict[str, Any]:
        """For JSON: separations, responses without their points, notes."""
        bare = ("dose", "response", "wells_at")
        rows = [{k: v for k, v in asdict(one).items() if k not in bare} for one in self.responses]
        return {
            "separations": [asdict(one) for one in self.separations],
            "dose_responses": rows,
            "dose_unit": self.unit,
            "notes": list(self.notes),
        }


def judge_screen(table: FeatureTable, facts: WellFacts) -> Screen:
    """Z', SSMD and dose response wherever the facts name controls and doses, plate by plate.

    Args:
        table: profiles of wells.
        facts: of `well_facts`, in the order of the table.
    """
    plates = batches_of(table, "plate" if "plate" in table.metadata else None).to_numpy()
    x = table.values.astype(np.float64)
    distance = np.full(len(table), np.nan)
    scores: dict[str, npt.NDArray[np.float64]] = {}
    separations: list[Separation] = []
    responses: list[Response] = []
    notes: list[str] = []
    for plate in dict.fromkeys(plates.tolist()):
        own = np.flatnonzero(plates == plate)
        negative = facts.negative[own]
        if negative.sum() < _LEAST:
            notes.append(f"{plate}: {int(negative.sum())} negative control wells; Z' and distances need {_LEAST}")
            continue
        try:
            distance[own] = screens.control_distance(x[own], negative)
        except InputError as error:
            notes.append(f"{plate}: {error}")
            continue
        role, compounds = facts.role[own], facts.compound[own]
        for compound in dict.fromkeys(compounds[role == "positive"].tolist()):
            positive = (role == "positive") & (compounds == compound)
            name = compound or "positive control"
            if positive.sum() < _LEAST:
                notes.append(f"{plate}: {int(positive.sum())} positive control wells of {name}; Z' needs {_LEAST}")
                continue
            try:
                found = screens.control_scores(x[own], negative, positive)
            except InputError as error:
                notes.append(f"{plate}, {name}: {error}")
                continue
            scores.setdefault(name, np.full(len(table), np.nan))[own] = found
            separations.append(_separation(plate, name, found[negative], found[positive]))
        responses += _responses(table, facts, own, plate, scores, distance)
    if not len(facts.role) or not (facts.role == "negative").any():
        notes = ["no negative controls are known: name them in the plate map (role), or with --controls"]
    return Screen(tuple(separations), tuple(responses), distance, scores, facts.unit, tuple(notes))


def lost_by_selection(before: Screen, after: Screen) -> tuple[str, ...]:
    """Sentences on controls that profiles could separate before a selection left some features out.

    A selection that goes by correlation alone may leave out just what a strong effect moves together.

    Args:
        before: of the profiles with all features.
        after: of the same profiles with those that were kept.

    Returns:
        One sentence per plate and positive control whose Z' fell by 0.1 or more, which is what chance does to Z' of
        the usual number of wells.
    """
    kept = {(one.plate, one.compound): one.z_prime for one in after.separations}
    return tuple(
        f"{one.plate}, {one.compound}: Z' is {kept[one.plate, one.compound]:.2f} with the features that --select "
        f"kept, and {one.z_prime:.2f} with all of them; judge the assay without --select"
        for one in before.separations
        if one.z_prime - kept.get((one.plate, one.compound), one.z_prime) >= _CHANCE
    )


def _separation(plate: str, name: str, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> Separation:
    values = (
        measure(low, high, robust=robust) for measure in (screens.z_prime, screens.ssmd) for robust in (False, True)
    )
    return Separation(plate, name, len(low), len(high), *values)


def _responses(
    table: FeatureTable,
    facts: WellFacts,
    own: npt.NDArray[np.integer],
    plate: str,
    scores: dict[str, npt.NDArray[np.float64]],
    distance: npt.NDArray[np.float64],
) -> list[Response]:
    role, compounds, doses = facts.role[own], facts.compound[own], facts.dose[own]
    treated = ~np.isin(role, ("positive", "negative", "empty")) & (compounds != "") & (doses > 0)
    here = {name: values[own] for name, values in scores.items() if np.isfinite(values[own]).all()}
    found = []
    for compound in dict.fromkeys(compounds[treated].tolist()):
        wells = treated & (compounds == compound)
        different = len(np.unique(doses[wells]))
        if different < 3:
            continue
        if compound in here:
            response, measured = here[compound], "score"
        elif len(here) == 1:
            other = next(iter(here))
            response, measured = here[other], f"score to {other}"
        else:
            response, measured = distance[own], "distance"
        dose, answer = doses[wells], response[wells]
        rho, p_value = screens.spearman(dose, answer)
        # The negative controls are the response at no dose.
        curve = screens.fit_dose_response(
            np.concatenate([np.zeros(int((role == "negative").sum())), dose]),
            np.concatenate([response[role == "negative"], answer]),
        )
        fits = isinstance(curve, screens.DoseResponse)
        found.append(
            Response(
                plate,
                compound,
                measured,
                int(wells.sum()),
                different,
                rho,
                p_value,
                curve if isinstance(curve, screens.DoseResponse) else None,
                "" if fits else str(curve),
                tuple(dose.tolist()),
                tuple(answer.tolist()),
                tuple(str(name) for name in table.ids[own][wells]),
            )
        )
    return found
