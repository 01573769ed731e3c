"""docs/columns.md: how columns of tables are read, from the vocabulary."""

from cytoimagenet_hf.tables.cells import MISSING
from cytoimagenet_hf.tables.layouts import SHAPES
from cytoimagenet_hf.tables.vocabulary import VOCABULARY, Term, read_header, role_of

_KINDS = {"identity": "text", "measure": "number", "unit": "unit"}
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


def page() -> str:
    """The whole page."""
    terms = "\n".join(_row(term) for term in VOCABULARY.values())
    examples = "\n".join(f"| `{header}` | {_read(header)} |" for header in _EXAMPLES)
    roles = "\n".join(f"| `{word}` | {role_of(word) or 'not understood: it is said'} |" for word in _ROLES)
    shapes = ", ".join(f"{rows} x {columns}" for columns, rows in sorted(SHAPES.items()))
    missing = ", ".join(f"`{word}`" for word in MISSING if word)
    return f"""# How columns are read

One vocabulary reads every table: plate maps, LoadData, samplesheets, tables of cells, profiles of CellProfiler and
pycytominer, wide CSV. Case, spaces, points, hyphens and underscores in a header do not matter, nor do `Metadata_` and
`Image_Metadata_` in front. Where several columns say the same, the likeliest name is taken, in the order below.
This page is made by `python scripts/docs.py` from `cytoimagenet_hf.tables.vocabulary`.

| what | kept as | it is | names of the column |
|---|---|---|---|
{terms}

- **Text** stays as it stands in the file: compound `00123`, clone `1E05`, gene `NA`, barcodes of 20 digits. Blanks
  around it go, and letters are composed (ü is one letter, whether a Mac or a spreadsheet wrote it). A number column of
  a Parquet file is spelled plainly, `12` and not `12.0`.
- **Numbers** are compared as numbers: a dose of `1` and of `1.0` is one dose. {missing} and empty cells are
  missing. A column that has decimal commas throughout is read so (`0,3`); points and commas in one column are refused
  with the cell, and so are columns such as `1,000` and `3,000`, which may be thousands.
- **A column that no name above fits** keeps its text and is not used. `cytoimagenet profile` says which column each
  fact was read from and which were not used, in the summary (`columns`, `columns_not_used`) and in a note.
  `--compound-column`, `--dose-column` and `--control-column` name a column that the vocabulary does not know.
- **Wells** are spelled `A01`, from `A1`, `a01`, `A 05`, `r01c05` or columns of rows and columns, to `AF48`. A name
  that is not a well is refused with its row.
- **Features** of a wide table are the columns of numbers that say none of these. Text in one cell of such a column
  (`#DIV/0!`) is refused with the cell; `--drop-nan` leaves such columns out and lists them.

## Headers and units

Units stand in brackets or at the end of a header, or in a column of their own: pM to M in letters or words, with
either µ or u; mass per volume; per cent; MOI, U/mL. Doses are converted to `--dose-unit` where both are of one kind.

| header | read as |
|---|---|
{examples}

## Words of roles

| word | meaning |
|---|---|
{roles}

Without a column of roles, wells of DMSO or of another vehicle are the negative controls, as are wells with an empty
compound whose `solvent` is one (the maps of the Broad, of JUMP and of LINCS). What a control got, such as 0.1 % of
DMSO, is not a dose of a compound. `--controls "compound == 'X'"` names others.

## Layouts drawn as plates

A plate map may also be a grid: numbers along the top, letters down the side, {shapes} wells (rows x columns). Its
title (`compound`, `dose_uM`) stands in the corner or in the line above. Several grids stand under each other, or on
sheets of a workbook that are called after them. A grid of words without a title is read as compounds, or as roles
where every word is one, and it is said.

## Files

CSV, TSV or text with semicolons, plain or packed; Parquet; Excel (`--sheet`). Text is UTF-8, or UTF-16 with its mark;
`--encoding cp1252` reads what spreadsheets on Windows write, where it is not UTF-8.
"""


def _row(term: Term) -> str:
    names = ", ".join(f"`{spelling}`" for spelling in term.spellings)
    before = f"; with {', '.join(f'`{word}`' for word in term.before)} in front" if term.before else ""
    numbered = "; a second and third by their number" if term.numbered else ""
    return f"| {term.name} | {_KINDS[term.kind]} | {term.meaning} | {names}{before}{numbered} |"


def _read(header: str) -> str:
    read = read_header(header)
    return f"{read.term}{f', in {read.unit}' if read.unit else ''}" if read.term else "not read: it is said"
