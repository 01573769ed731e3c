"""The tables of docs/columns.md: how columns are read, from the vocabulary."""

from cytoimagenet_hf.tables.cells import MISSING
from cytoimagenet_hf.tables.layouts import SHAPES
from cytoimagenet_hf.tables.vocabulary import VOCABULARY, Term, read_header, role_of

from .blocks import table

_KINDS = {"identity": "text", "measure": "number", "unit": "unit"}
_NOT_READ = "not understood; `profile` reports it"
_EXAMPLES = (
    *("Conc. [µM]", "Concentration µM", "dose_uM", "conc_pM", "dose_M", "Final conc (uM)", "Dose_ug_ml", "Dose (g/l)"),
    *("dose_%", "Dose (nM/L)", "mmoles_per_liter", "Compound [µM]", "Drug name", "Gene symbol", "SMILES"),
    *("Compound 2", "Dose 2 (nM)", "Metadata_Assay_Plate_Barcode", "Characteristics [Cell Line]", "Timepoint (h)"),
    *("Dose (log10 M)", "Amount"),
)
_ROLES = (
    *("negcon", "DMSO control", "neg ctrl", "vehicle control", "NTC", "non-targeting", "ctl_vehicle", "untreated"),
    *("poscon", "positive control", "poscon_cp", "trt", "trt_cp", "treated", "empty", "no cells", "control"),
)


def parts() -> dict[str, str]:
    """Block of the page → its content."""
    missing = ", ".join(f"`{word}`" for word in MISSING if word)
    shapes = ", ".join(f"{rows} x {columns}" for columns, rows in sorted(SHAPES.items()))
    return {
        "columns": table(("what", "kept as", "it is", "names of the column"), map(_row, VOCABULARY.values())),
        "missing": f"Among numbers, empty cells and {missing} are missing values.",
        "headers": table(("header", "read as"), ((f"`{header}`", _read(header)) for header in _EXAMPLES)),
        "roles": table(("word", "meaning"), ((f"`{word}`", role_of(word) or _NOT_READ) for word in _ROLES)),
        "shapes": f"Plates that are read so have {shapes} wells (rows x columns).",
    }


def _row(term: Term) -> tuple[str, ...]:
    names = ", ".join(f"`{spelling}`" for spelling in term.spellings)
    before = f"; with {', '.join(f'`{word}`' for word in term.before)} in front" if term.before else ""
    numbered = "; a second and third by their number" if term.numbered else ""
    return term.name, _KINDS[term.kind], term.meaning, f"{names}{before}{numbered}"


def _read(header: str) -> str:
    read = read_header(header)
    return f"{read.term}{f', in {read.unit}' if read.unit else ''}" if read.term else _NOT_READ
