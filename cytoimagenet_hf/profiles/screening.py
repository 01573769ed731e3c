"""A plate judged by its controls and doses: Z', SSMD and dose response of each compound, from well profiles."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.profiles import screens
from cytoimagenet_hf.tables.features import FeatureTable

from .conditions import groups_of
from .steps import batches_of
from .well_facts import WellFacts

_LEAST = 3  # controls of a kind, so that one can be left out and a spread remains
_CHANCE = 0.1  # by how much Z' of a dozen wells differs by chance alone


@dataclass(frozen=True)
class Separation:
    """How far the positive controls of one compound lie from the negative ones on one plate.

    `setting` is what these wells have in common beside the plate, such as `cell_line U2OS, t 1`. Z' and SSMD are taken
    of scores that leave each well out of its own axis (`screens.control_scores`).
    """

    plate: str
    setting: str
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

    The response is a `"score"` from negative to this compound's positive controls, a `"score to <other>"`, or the
    `"distance"` from the negative controls.
    """

    plate: str
    setting: str
    compound: str  # with what was given beside it
    measured_on: str
    wells: int
    doses: int
    spearman: float  # rank correlation of response and dose over the treated wells
    p_value: float
    curve: screens.DoseResponse | None
    why_no_curve: str
    dose: tuple[float, ...]  # (wells,) in the plate map's unit
    response: tuple[float, ...]  # (wells,)
    wells_at: tuple[str, ...]  # (wells,) ids


@dataclass(frozen=True)
class Screen:
    """What a screen's controls and doses say of the profiles."""

    groups: dict[tuple[str, str], npt.NDArray[np.intp]]  # (plate, setting) → rows that are judged together
    separations: tuple[Separation, ...]  # per group and positive compound
    responses: tuple[Response, ...]  # per group and compound with at least three doses
    distance: npt.NDArray[np.float64]  # (n,) from the negative controls of the group, NaN where it has too few
    scores: dict[str, npt.NDArray[np.float64]]  # positive compound → (n,), NaN in groups without its controls
    unit: str  # of the doses
    notes: tuple[str, ...]  # what could not be judged, a sentence each

    def record(self) -> dict[str, Any]:
        """For JSON: separations, responses without their points, notes."""
        points = ("dose", "response", "wells_at")
        responses = [asdict(response) for response in self.responses]
        return {
            "separations": [asdict(separation) for separation in self.separations],
            "dose_responses": [{k: v for k, v in row.items() if k not in points} for row in responses],
            "dose_unit": self.unit,
            "notes": list(self.notes),
        }


def judge_screen(table: FeatureTable, facts: WellFacts) -> Screen:
    """Z', SSMD and dose response wherever the facts of wells name controls and doses, by plate and setting."""
    plates = batches_of(table, "plate" if "plate" in table.metadata else None).tolist()
    substance, setting = facts.conditions.substance, facts.conditions.setting
    groups = {(plate, text): rows for plate, text, rows in groups_of(plates, setting, facts.role)}
    x = table.values.astype(np.float64)
    distance = np.full(len(table), np.nan)
    scores: dict[str, npt.NDArray[np.float64]] = {}
    separations: list[Separation] = []
    responses: list[Response] = []
    notes: list[str] = []
    for group, rows in groups.items():
        name = group_name(*group)
        role = facts.role[rows]
        negative = role == "negative"
        if negative.sum() < _LEAST:
            notes.append(f"{name}: {int(negative.sum())} negative control wells; Z' and distances need {_LEAST}")
            continue
        try:
            distance[rows] = screens.control_distance(x[rows], negative)
        except InputError as error:
            notes.append(f"{name}: {error}")
            continue
        placed: dict[str, npt.NDArray[np.float64]] = {}
        for compound in dict.fromkeys(substance[rows][role == "positive"].tolist()):
            positive = (role == "positive") & (substance[rows] == compound)
            called = compound or "positive control"
            if positive.sum() < _LEAST:
                notes.append(f"{name}: {int(positive.sum())} positive control wells of {called}; Z' needs {_LEAST}")
                continue
            try:
                placed[called] = screens.control_scores(x[rows], negative, positive)
            except InputError as error:
                notes.append(f"{name}, {called}: {error}")
                continue
            scores.setdefault(called, np.full(len(table), np.nan))[rows] = placed[called]
            low, high = placed[called][negative], placed[called][positive]
            measures = (screens.z_prime, screens.ssmd)
            numbers = (measure(low, high, robust=robust) for measure in measures for robust in (False, True))
            separations.append(Separation(*group, called, len(low), len(high), *numbers))
        responses += _responses(table, facts, rows, group, placed, distance[rows])
    if not len(facts.role) or not (facts.role == "negative").any():
        notes = ["no negative controls are known: name them in the plate map (role), or with --controls"]
    return Screen(groups, tuple(separations), tuple(responses), distance, scores, facts.unit, tuple(notes))


def group_name(name: str, setting: str) -> str:
    """A plate or a treatment with its setting, where there is one: what wells that are judged together are called.

    Example:
        >>> group_name("P1", ""), group_name("P1", "t 1")
        ('P1', 'P1, t 1')
    """
    return f"{name}, {setting}" if setting else name


def lost_by_selection(before: Screen, after: Screen) -> tuple[str, ...]:
    """Sentences on controls that profiles could separate before a selection left some features out.

    A selection that goes by correlation alone may leave out just what a strong effect moves together. One sentence per
    group and positive control whose Z' fell by 0.1 or more, which is what chance does to Z' of a dozen wells.
    """
    left = {(row.plate, row.setting, row.compound): row.z_prime for row in after.separations}
    pairs = [(row, left.get((row.plate, row.setting, row.compound), row.z_prime)) for row in before.separations]
    return tuple(
        f"{group_name(row.plate, row.setting)}, {row.compound}: Z' is {z_prime:.2f} with the features that --select "
        f"kept, and {row.z_prime:.2f} with all of them; judge the assay without --select"
        for row, z_prime in pairs
        if row.z_prime - z_prime >= _CHANCE
    )


def _responses(
    table: FeatureTable,
    facts: WellFacts,
    rows: npt.NDArray[np.intp],
    group: tuple[str, str],
    scores: dict[str, npt.NDArray[np.float64]],
    distance: npt.NDArray[np.float64],
) -> list[Response]:
    """Of one group: its rows, their scores and distances."""
    role, compounds, doses = facts.role[rows], facts.conditions.substance[rows], facts.dose[rows]
    named = facts.compound[rows] != ""
    treated = ~np.isin(role, ("positive", "negative", "empty")) & named & (doses > 0)
    responses = []
    for compound in dict.fromkeys(compounds[treated].tolist()):
        wells = treated & (compounds == compound)
        different = len(np.unique(doses[wells]))
        if different < 3:
            continue
        if compound in scores:
            response, measured = scores[compound], "score"
        elif len(scores) == 1:
            other = next(iter(scores))
            response, measured = scores[other], f"score to {other}"
        else:
            response, measured = distance, "distance"
        dose, answer = doses[wells], response[wells]
        untreated = response[role == "negative"]  # the response at no dose
        fitted = screens.fit_dose_response(
            np.concatenate([np.zeros(len(untreated)), dose]), np.concatenate([untreated, answer])
        )
        curve, why_no_curve = (None, fitted) if isinstance(fitted, str) else (fitted, "")
        made = Response(
            *group,
            compound,
            measured,
            int(wells.sum()),
            different,
            *screens.spearman(dose, answer),
            curve,
            why_no_curve,
            dose=tuple(dose.tolist()),
            response=tuple(answer.tolist()),
            wells_at=tuple(map(str, table.ids[rows][wells])),
        )
        responses.append(made)
    return responses
