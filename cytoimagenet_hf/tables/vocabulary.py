"""The one vocabulary of columns: what a header of anybody's table says, of which kind it is, and in which unit.

Plate maps, LoadData, samplesheets, CellProfiler's and other profilers' tables, wide CSV and layouts are all read by
it. An identity (a plate, a compound, a gene) is text from the file to the last output; a measure (a dose, a time) is a
number and is compared as one; an unknown column keeps its text and is reported as not used.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

Kind = Literal["identity", "measure", "unit"]


@dataclass(frozen=True)
class Term:
    """What a column can say.

    Case, spaces, points, hyphens and underscores of its spellings do not matter: `plate_id` is also `Plate ID`.
    """

    name: str  # what it is called here: `compound`
    kind: Kind  # `identity` is kept as text, `measure` is a number, `unit` is that of a measure in the same row
    meaning: str  # for the documentation
    spellings: tuple[str, ...]  # names of the column, the likeliest first
    before: tuple[str, ...] = ()  # words that may stand before a spelling: `final` of `Final conc`
    numbered: bool = False  # a second and third of it may stand in a row: `Compound 2` is `compound2`
    units: str = ""  # dimension of the units that its header may state; empty text where it takes none


def _term(name: str, kind: Kind, meaning: str, spellings: str, before: str = "", **more: Any) -> Term:
    return Term(name, kind, meaning, tuple(spellings.split()), tuple(before.split()), **more)


VOCABULARY: dict[str, Term] = {
    term.name: term
    for term in (
        _term(
            "plate",
            "identity",
            "the physical plate",
            "plate plate_id plate_name plate_barcode assay_plate_barcode barcode plate_number assay_plate "
            "assay_plate_id",
        ),
        _term(
            "plate_map",
            "identity",
            "the layout that a plate was filled by",
            "plate_map_name plate_map plate_map_id plate_layout layout_name",
        ),
        _term(
            "well",
            "identity",
            "the place on the plate, spelled `A01`",
            "well well_position well_id well_name well_coordinate well_label position_in_plate",
        ),
        _term("row", "identity", "the row of the well, a letter or a number", "row row_name well_row row_id"),
        _term(
            "column",
            "identity",
            "the column of the well, a number",
            "column col column_name well_column well_col column_id",
        ),
        _term("site", "identity", "the field of view in the well", "site field field_id fov site_id"),
        _term("z", "measure", "the number of the focal plane", "plane_id plane z"),
        _term("timepoint", "measure", "the number of the time point", "time_point t time_index time_frame tp"),
        _term(
            "time",
            "measure",
            "how long the well was treated, or when it was imaged",
            "time duration time_point hours pert_time elapsed_time hour hrs minutes days day hpi "
            "hours_post_infection hours_post_treatment",
            before="incubation treatment exposure",
            units="time",
        ),
        _term(
            "role",
            "identity",
            "control or treatment",
            "role control_type pert_type well_type type well_role sample_type control",
        ),
        _term(
            "compound",
            "identity",
            "what was given to the well",
            "compound compound_name pert_iname broad_sample jcp2022 treatment treatment_name drug drug_name "
            "perturbation perturbation_name pert_name perturbagen substance substance_name chemical "
            "chemical_name cpd cpd_name small_molecule compound_id test_compound test_substance test_item agent "
            "inhibitor ligand stimulus drug_id treatment_id cpd_id substance_id pert_id broad_id molecule "
            "molecule_name chembl_id pubchem_cid cas cas_number cas_no inchikey inchi smiles canonical_smiles "
            "compound_smiles",
            numbered=True,
        ),
        _term(
            "gene",
            "identity",
            "the gene that was targeted or expressed",
            "gene gene_symbol gene_name target_gene gene_target gene_id entrez_id ensembl_id target_gene_symbol "
            "entrez_gene_id ensembl_gene_id",
            numbered=True,
        ),
        _term(
            "sirna",
            "identity",
            "the siRNA, shRNA or guide",
            "sirna sirna_id sgrna sgrna_id grna guide guide_id shrna shrna_id crrna guide_rna sgrna_sequence "
            "guide_sequence grna_sequence",
            numbered=True,
        ),
        _term(
            "dose",
            "measure",
            "how much of the compound the well holds",
            "concentration dose conc concentrations concn dosage mmoles_per_liter mmoles_per_liter2 mg_per_ml",
            before="final nominal compound drug treatment pert cpd test assay well screening actual working "
            "perturbation applied",
            numbered=True,
            units="amount",
        ),
        _term(
            "unit",
            "unit",
            "the unit of the dose",
            "concentration_unit concentration_units dose_unit dose_units conc_unit conc_units unit units "
            "unit_of_concentration unit_of_dose",
            before="final compound drug pert",
            numbered=True,
        ),
        _term("vehicle", "identity", "what the compound was dissolved in", "solvent vehicle diluent"),
        _term(
            "cell_line",
            "identity",
            "the cells in the well",
            "cell_line cell_line_name cell_type cell_model cell_line_id genotype strain donor donor_id patient "
            "patient_id clone clone_id",
        ),
        _term("moa", "identity", "the mechanism of action", "moa mechanism_of_action mechanism mode_of_action"),
        _term("batch", "identity", "plates that were made together", "batch batch_id experiment run"),
        _term("replicate", "identity", "which repetition it is", "replicate replicate_id rep"),
        _term("count", "measure", "how many cells or images a row is made of", "count cell_count cells_count"),
    )
}
"""What a column can say, by the name it has here."""

TIMES = ("timepoint", "time", "z")
"""Terms that keep images of one well apart, or wells of one plate that were treated for different times."""


# Units

MICRO = "µ"  # U+00B5, as keyboards have it; U+03BC, the Greek letter, is written as it, too
_PREFIXES = {"f": 1e-3, "p": 1.0, "n": 1e3, "u": 1e6, "m": 1e9, "": 1e12}  # in pico, so that ratios are exact
_LITRES = {"l": 1.0, "ml": 1e3, "ul": 1e6, "dl": 1e1}
_NAMED_PREFIXES = {"femto": "f", "pico": "p", "nano": "n", "micro": "u", "milli": "m", "": ""}
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIMES = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_PERCENT = re.compile(r"(?:%|percent|pct|per_cent)(?:\(?([vw])/?([vw])\)?)?")
_COUNTS = {
    "moi": "MOI", "x": "x", "fold": "fold", "gy": "Gy", "ppm": "ppm", "u/ml": "U/mL", "iu/ml": "IU/mL",
    "units/ml": "U/mL", "pfu/ml": "PFU/mL", "cells/ml": "cells/mL", "cells/well": "cells/well", "ng/well": "ng/well",
    "mg/kg": "mg/kg", "ug/kg": f"{MICRO}g/kg", "ppb": "ppb", "particles/cell": "particles/cell",
}  # fmt: skip
_REMARKS = {"final", "nominal", "actual", "well", "in well", "numeric", "number", "value", "name", "id", "text"}


@dataclass(frozen=True)
class Unit:
    """A unit of measurement."""

    symbol: str  # `µM`, `mg/mL`, `%`, `h`; text that is no unit known here stays as it was written
    dimension: str  # `molar`, `mass`, `percent`, `time`, or the symbol itself where it compares with nothing else
    factor: float = 1.0  # what one of it is in the base of its dimension (pM; pg per L; 1 %; 1 s)


@cache
def parse_unit(text: str) -> Unit | None:
    """The unit that a word says; None for any other word.

    Molar units from pM to M in letters and in words (`uM`, `µM` with either sign, `micromolar`, `umol/l`, also `nM/L`,
    which is written for `nmol/L`), mass per volume, per cent, times, and the counts of biology (MOI, U/mL).

    Example:
        >>> [parse_unit(word).symbol for word in ("uM", "microMolar", "nmol/l", "ug_ml", "g/l", "% (v/v)", "hours")]
        ['µM', 'µM', 'nM', 'µg/mL', 'g/L', '% v/v', 'h']
        >>> parse_unit("mM").factor / parse_unit("nM").factor
        1000000.0
        >>> parse_unit("banana") is None
        True
    """
    word = unicodedata.normalize("NFKC", text).strip().strip("[]() ").replace("μ", "u").casefold().replace(" ", "_")
    word = word.replace("μ", "u").replace("_per_", "/").replace("·", "_").replace("−", "-")
    word = word.replace("litre", "liter")
    if match := _PERCENT.fullmatch(word.replace("_", "")):
        symbol = f"% {match[1]}/{match[2]}" if match[1] and match[2] else "%"
        return Unit(symbol, "percent")
    if word in _TIMES:
        return Unit(_TIMES[word], "time", _SECONDS[_TIMES[word]])
    word = re.sub(r"_?(?:\^?-1)$", "", word) if "/" not in word and re.search(r"l\^?-1$", word) else word
    word = re.sub(r"^mc(?=g)|^micro(?=m$)", "u", word)
    flat = re.sub(r"liters?$", "l", word).replace("milliliter", "ml")
    if match := re.fullmatch(r"(femto|pico|nano|micro|milli|)_?molar", word):
        return _molar(_NAMED_PREFIXES[match[1]])
    if match := re.fullmatch(r"(femto|pico|nano|micro|milli|)(?:moles?|mol)[/_]l", flat):
        return _molar(_NAMED_PREFIXES[match[1]])
    if match := re.fullmatch(r"([fpnum]?)(?:m|m[/_]l|mol[/_]l|mols?/l|moles?[/_]l)", flat):
        return _molar(match[1])
    if match := re.fullmatch(r"([fpnum]?)mol[/_]([mud]?l)", flat):
        shown = f"{match[1]}mol/{match[2][:-1]}L".replace("u", MICRO)
        return Unit(shown, "molar", _PREFIXES[match[1]] * _LITRES[match[2]])
    if match := re.fullmatch(r"(pico|nano|micro|milli|[pnum]?)_?g(?:rams?)?[/_]([mud]?l)|([pnum])g([mu]l)", flat):
        mass, litre = match[1] or match[3] or "", match[2] or match[4]  # `ugml` of a header has lost its stroke
        prefix = _NAMED_PREFIXES.get(mass, mass)
        shown = f"{MICRO if prefix == 'u' else prefix}g/{litre.replace('u', MICRO).replace('l', 'L')}"
        return Unit(shown, "mass", _PREFIXES[prefix] * _LITRES[litre])
    count = _COUNTS.get(word.replace("_", "/", 1), _COUNTS.get(word))
    return Unit(count, count) if count else None


def unit_of(text: str) -> Unit:
    """The unit that a word says, or the word itself as a unit that compares with nothing else.

    Example:
        >>> unit_of("uM").symbol, unit_of("wing beats")
        ('µM', Unit(symbol='wing beats', dimension='wing beats', factor=1.0))
    """
    return parse_unit(text) or Unit(text.strip(), text.strip())


def _molar(prefix: str) -> Unit:
    return Unit(f"{MICRO if prefix == 'u' else prefix}M", "molar", _PREFIXES[prefix])


# Headers


@dataclass(frozen=True)
class Header:
    """What the header of a column says."""

    text: str  # the header as it stands in the file
    term: str = ""  # a name of `VOCABULARY`, numbered where it is the second (`compound2`); empty text: unknown
    unit: str = ""  # symbol of the unit that the header states; empty text where it states none
    rank: int = 0  # place of its spelling among those of the term: the smallest is the likeliest

    @property
    def kind(self) -> Kind | Literal["unknown"]:
        """`identity`, `measure`, `unit`, or `unknown`: kept as text."""
        return VOCABULARY[self.term.rstrip("0123456789")].kind if self.term else "unknown"


@cache
def read_header(text: str) -> Header:
    """Read the header of a column: what it says, and the unit in brackets or at its end.

    `Image_` and `Metadata_` in front are left out, and `Characteristics [Cell Line]` of the IDR is `Cell Line`. A
    logarithm is not a dose: `Dose (log10 M)` is not read.

    Example:
        >>> [(read_header(text).term, read_header(text).unit) for text in ("Conc. [µM]", "Metadata_dose_M", "Drug 2")]
        [('dose', 'µM'), ('dose', 'M'), ('compound2', '')]
        >>> read_header("Final Concentration (ug/ml)")
        Header(text='Final Concentration (ug/ml)', term='dose', unit='µg/mL', rank=0)
        >>> read_header("Amount").kind
        'unknown'
    """
    name = unicodedata.normalize("NFKC", plain_name(text)).replace("μ", MICRO).strip()
    if match := re.fullmatch(r"(?i)(?:characteristics|comment|factor value|experimental condition)\s*\[(.+)\]", name):
        name = match[1].strip()
    name, stated = _without_brackets(name)
    if stated and parse_unit(name) and _term_of(stated)[0]:
        name, stated = stated, name  # [Drug] uM
    if stated is not None:
        term, rank = _term_of(name)
        if term and not stated:
            return Header(text, term, _unit_of_spelling(name, term), rank)
        if "log" in stated.casefold():
            return Header(text)
        unit = parse_unit(stated)
        if unit and unit.dimension in ("molar", "mass") and term and _base(term).name in _ALSO_DOSE:
            return Header(text, term.replace(_base(term).name, "dose"), unit.symbol, len(VOCABULARY["dose"].spellings))
        given = unit or unit_of(stated)
        takes = _base(term).units if term else ""
        if takes and (takes == "time") == (given.dimension == "time"):
            return Header(text, term, given.symbol, rank)
        timed, rank = _term_of(name, ("time",))
        if unit is not None and unit.dimension == "time" and timed:
            return Header(text, timed, unit.symbol, rank)
        return Header(text, term, "", rank) if term and not _base(term).units else Header(text)
    term, rank = _term_of(name) if "%" not in name else ("", 0)
    if term:
        return Header(text, term, _unit_of_spelling(name, term), rank)
    for head, tail in _splits(name):
        unit = parse_unit(tail)
        names = ("time",) if unit and unit.dimension == "time" else ("dose",)
        term, rank = _term_of(head, names) if unit else ("", 0)
        if term and unit:
            return Header(text, term, unit.symbol, rank)
    unit = parse_unit(name)  # a column that is called µM and nothing else
    if unit is not None and unit.dimension in ("molar", "mass") and re.search("[^/]M|/", name):
        return Header(text, "dose", unit.symbol, len(VOCABULARY["dose"].spellings))
    return Header(text)


def stated_unit(text: str) -> str:
    """The unit that a header states of its amounts, whether or not its name is known; empty text where none.

    Example:
        >>> stated_unit("Amount [nM]"), stated_unit("dose_uM"), stated_unit("Amount")
        ('nM', 'µM', '')
    """
    if symbol := read_header(text).unit:
        return symbol
    name, stated = _without_brackets(plain_name(text))
    tails = [stated] if stated else [tail for _, tail in _splits(name)]
    units = [unit for tail in tails if (unit := parse_unit(tail)) is not None and unit.dimension != "time"]
    return units[0].symbol if units else ""


def columns_of(columns: Iterable[object], terms: Collection[str] = ()) -> dict[str, Header]:
    """Which column says what: for each term the header of its likeliest spelling, the first of equals.

    Args:
        columns: headers of a table.
        terms: those that are asked for; by default all.

    Example:
        >>> {term: header.text for term, header in columns_of(["SMILES", "Well", "Drug name", "Dose µM"]).items()}
        {'compound': 'Drug name', 'well': 'Well', 'dose': 'Dose µM'}
    """
    best: dict[str, Header] = {}
    for header in map(read_header, map(str, columns)):
        if header.term and (not terms or header.term in terms):
            earlier = best.get(header.term)
            if earlier is None or header.rank < earlier.rank:
                best[header.term] = header
    return best


def plain_name(column: str) -> str:
    """A column without `Image_` and `Metadata_` in front.

    Example:
        >>> plain_name("Image_Metadata_Plate"), plain_name("metadata_Compound"), plain_name("well")
        ('Plate', 'Compound', 'well')
    """
    return re.sub(r"(?i)^(?:image_)?metadata_", "", column)


def key_of(text: str) -> str:
    """What of a name is compared: letters and digits, without case.

    Example:
        >>> key_of("Plate-ID"), key_of("plate_id")
        ('plateid', 'plateid')
    """
    return "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())


_ALSO_DOSE = ("compound", "gene", "sirna")
"""`Compound [µM]` says how much of it there is."""


def _base(term: str) -> Term:
    return VOCABULARY[term.rstrip("0123456789")]


def _without_brackets(name: str) -> tuple[str, str | None]:
    """A name without its brackets, and what stands in them: empty text for a remark, None where there are none."""
    brackets = re.findall(r"[(\[]\s*([^()\[\]]*(?:\([^()]*\))?)\s*[)\]]", name)
    if not brackets:
        return name, None
    rest = re.sub(r"\s*[(\[][^()\[\]]*(?:\([^()]*\))?[)\]]\s*", " ", name).strip(" _-.")
    stated = [inner.strip() for inner in brackets if inner.strip() and inner.strip().casefold() not in _REMARKS]
    if not rest and stated:  # [µM] alone, or [Compound] (µM)
        rest, *stated = stated
        return rest, stated[0] if stated else None
    return rest, stated[0] if stated else ""


def _splits(name: str) -> list[tuple[str, str]]:
    """Ways to take a unit off the end of a name: `Dose_ug_ml` gives `Dose_ug`, `ml` and `Dose`, `ug_ml`."""
    places = [match.span() for match in re.finditer(r"[\s_.\-/]+(?:in[\s_]+)?", name)]
    splits = [(name[:start], name[end:]) for start, end in places if start]
    key = name.casefold()
    glued = (word for word in ("concentration", "conc", "dose") if key.startswith(word) and len(key) > len(word) + 1)
    return splits + [(name[: len(word)], name[len(word) :]) for word in glued]


@cache
def _spelled() -> dict[str, list[tuple[str, int]]]:
    """Key of a spelling → the terms that it can be and its place among theirs."""
    spelled: dict[str, list[tuple[str, int]]] = {}
    for term in VOCABULARY.values():
        for rank, spelling in enumerate(term.spellings):
            spelled.setdefault(key_of(spelling), []).append((term.name, rank))
    return spelled


def _term_of(name: str, terms: Collection[str] = ()) -> tuple[str, int]:
    """The term that a name without a unit says and the rank of its spelling; empty text where it is unknown."""
    key = key_of(name)
    if hit := _lookup(key, terms):
        return hit
    for pattern, number in _NUMBERED:
        if match := pattern.fullmatch(key):
            term, rank = _lookup("".join(part or "" for part in match.groups()), terms) or ("", 0)
            if term and VOCABULARY[term].numbered:
                return (term if number == "1" else f"{term}{number}"), rank
    return "", 0


_NUMBERED = tuple(
    (re.compile(pattern), number)
    for number, words in (("1", "1|first|a"), ("2", "2|second|b"), ("3", "3|third|c"))
    for pattern in (rf"([a-z]+)(?:{words})([a-z]*)", rf"(?:{words.partition('|')[2].partition('|')[0]})([a-z]+)()")
)


def _lookup(key: str, terms: Collection[str]) -> tuple[str, int] | None:
    for term, rank in _spelled().get(key, ()):
        if not terms or term in terms:
            return term, rank
    for entry in VOCABULARY.values():
        if entry.before and (not terms or entry.name in terms):
            for word in entry.before:
                if key.startswith(word) and len(key) > len(word):
                    inner = _lookup(key[len(word) :], (entry.name,))
                    if inner:
                        return inner
    return None


_STATED = {
    "mmolesperliter": "mM", "mmolesperliter2": "mM", "mgperml": "mg/mL", "minutes": "min", "hours": "h", "hour": "h",
    "hrs": "h", "hpi": "h", "hourspostinfection": "h", "hoursposttreatment": "h", "days": "d", "day": "d",
}  # fmt: skip


def _unit_of_spelling(name: str, term: str) -> str:
    """The unit of a column that is called by it."""
    return _STATED.get(key_of(name), "") if _base(term).units else ""


# Roles

_CONTROL = {"control", "controls", "ctrl", "ctl", "cntrl", "cntl", "con", "well", "wells", "only", "treated"}
_CONTROL |= {"sirna", "shrna", "sgrna", "grna", "rna", "cells", "group", "guide"}
_CONTROL |= {"transfected", "infected", "transduced"}
_NEGATIVE = {
    *("negative", "neg", "negcon", "negctrl", "negcontrol", "vehicle", "veh", "solvent", "dmso", "mock", "untreated"),
    *("untrt", "ntc", "nt", "nontargeting", "nontarget", "scrambled", "scramble", "scr", "vector", "pbs", "medium"),
    *("sham", "nc", "water", "saline", "buffer", "media", "ethanol", "etoh", "methanol", "unstimulated", "unstim"),
    *("uninfected", "untransfected", "uninduced"),
}
_POSITIVE = {"positive", "pos", "poscon", "posctrl", "poscontrol", "pc"}
_POSITIVE_KINDS = {"cp", "diverse", "orf", "crispr", "compound", "trt"}
_EMPTY = {"empty", "blank", "unused", "none", "nocells", "nocell", "background"}
_TREATMENT = {
    *("treatment", "trt", "experiment", "experimental", "sample", "compound", "test", "treated", "drug", "targeting"),
    *("cp", "sh", "oe", "xpr", "lig", "si", "library", "screen", "query", "stimulated", "cpd", "compounds", "samples"),
}  # trt_cp, trt_sh, trt_oe, trt_xpr, trt_lig are the Broad's


@cache
def role_of(text: str) -> str:
    """What a word of a column of roles means: `negative`, `positive`, `empty`, `treatment`, or nothing.

    Example:
        >>> [role_of(word) for word in ("DMSO control", "neg. ctrl", "NTC", "ctl_vehicle", "poscon_cp", "trt_cp")]
        ['negative', 'negative', 'negative', 'negative', 'positive', 'treatment']
        >>> [role_of(word) for word in ("DMSO (0.1 %)", "siCtrl", "Ctrl+", "Positive control: taxol", "drug: DMSO")]
        ['negative', 'negative', 'positive', 'positive', '']
        >>> role_of("control"), role_of("plasmid 7")
        ('', '')
    """
    written = unicodedata.normalize("NFKC", text).casefold().strip()
    if role := _role_of_words(_AMOUNT.sub(" ", _CONSENSUS.sub("", written))):
        return role
    if role := _role_of_words(_LAST_NUMBER.sub("", written)):  # `NTC_1`, `Positive control 2`
        return role
    # `positive control (staurosporine)`, `Negative control: DMSO`
    head = _role_of_words(re.split(r"[(\[:;,]", written, maxsplit=1)[0])
    return head if head in ("negative", "positive", "empty") else ""


_AMOUNT = re.compile(r"\d+(?:[.,]\d+)?\s*%(?:\s*\(?[vw]\s*/\s*[vw]\)?)?")
"""How much of a vehicle there is: `DMSO (0.1 %)`."""
_LAST_NUMBER = re.compile(r"(?<=[a-z+\-)])[\s_#-]*\d+$")
_CONSENSUS = re.compile(r"(?<=[a-z])\.(?:cns|cgs|css|es)$")
"""LINCS marks signatures of several replicates so: `trt_sh.cgs`."""
_CTRL = r"(?:controls?|ctrl|ctl|con)"
_SIGNED = re.compile(rf"{_CTRL}[\s_]*\(?([+\-\u2212])\)?|\(?([+\-\u2212])\)?[\s_]*{_CTRL}")


def _role_of_words(written: str) -> str:
    if signed := _SIGNED.fullmatch(written.strip()):
        return "positive" if "+" in signed.groups() else "negative"
    words = re.sub(r"[^a-z0-9]+", " ", written).strip()
    words = re.sub(r"\bnon (target)", r"non\1", words)
    words = re.sub(r"\b(?:not|non) treated\b", "untreated", words)
    words = re.sub(r"\bsafe (?:targeting|harbou?r)\b", "nontargeting", words)
    words = re.sub(r"\bempty vector\b", "vector", words)
    words = re.sub(r"\bs[ihg](?:ctrl|ctl|control|con|ntc?|scr|scrambled?|neg|nc|nontarget(?:ing)?)\b", "ntc", words)
    words = re.sub(r"\bno (cells?)\b", r"no\1", words)
    words = re.sub(r"\bno (?:treatment|compound|drug)\b", "untreated", words)
    every = set(words.split())
    plain = every - _CONTROL
    for role, meaning in (("negative", _NEGATIVE), ("empty", _EMPTY)):
        if plain and plain <= meaning:
            return role
    if plain & _POSITIVE and plain <= _POSITIVE | _POSITIVE_KINDS:
        return "positive"
    plain = every if "treated" in every else plain
    return "treatment" if plain and plain <= _TREATMENT else ""


_VEHICLES = {"dmso", "dimethylsulfoxide", "dimethylsulphoxide", "vehicle", "untreated", "mock", "pbs", "water", "h2o"}
_VEHICLES |= {"ethanol", "etoh", "methanol", "meoh", "medium", "media", "solvent", "saline", "dmsocontrol"}


_MAY_BE_NAMES = {"nc", "nt", "scr", "neg", "veh", "vector", "sham"}
"""Short words of roles that may be names of compounds or genes."""


def is_vehicle(compound: str) -> bool:
    """Whether a compound is what others are dissolved in, or a word for a negative control, such as `NTC` for a gene.

    Example:
        >>> is_vehicle("DMSO"), is_vehicle("0.1% DMSO"), is_vehicle("non-targeting"), is_vehicle("taxol")
        (True, True, True, False)
    """
    key = key_of(_AMOUNT.sub("", compound))
    is_name = key.rstrip("0123456789") in _MAY_BE_NAMES
    return key in _VEHICLES or (not is_name and role_of(compound) == "negative")
