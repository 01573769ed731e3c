"""kag_leukemia: single white blood cells cut out of bone marrow smears, leukemia or healthy."""

import re
from collections.abc import Iterator

from cytoimagenet_hf.core.errors import InputError

from .base import Archive, Count, Field, RejectedItem, Source, keyed
from .names import matching

LABELS = "C-NMC_test_prelim_phase_data_labels.csv"
PHENOTYPES = {"all": "leukemia", "hem": "wildtype"}


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Training images carry patient and class in their names; validation images get both from their table."""
    for file, name in matching(archive, r"(?:fold_\d/)?(?:all|hem)/(?P<stem>uid_\w+_(?:all|hem))\.bmp"):
        yield _labelled(file, name["stem"])
    validation = {
        int(name["number"]): file
        for file, name in matching(
            archive, r"(?:validation_data/(?:[^/]+/)?|c-nmc_test_prelim_phase_data/)(?P<number>\d+)\.bmp"
        )
    }
    names = _validation_names(archive) if validation else {}
    for number, file in sorted(validation.items()):
        if number in names:
            yield _labelled(file, names[number])
        else:
            yield RejectedItem(file, "no_row", f"{LABELS} has no row for {number}.bmp")
    for file, name in matching(
        archive, r"(?:testing_data/(?:[^/]+/)?|c-nmc_test_final_phase_data/)(?P<number>\d+)\.bmp"
    ):
        yield Field(
            key=f"testing/{int(name['number'])}",
            files=[file],
            channels=["brightfield"],
            cell_type="white blood cell",
            site=name["number"],
        )


def _labelled(file: str, stem: str) -> Field:
    _, patient, image, *_, kind = stem.split("_")  # UID_<patient>_<image>_<cell>_<all|hem>
    return Field(
        key=stem,
        files=[file],
        channels=["brightfield"],
        cell_type="white blood cell",
        phenotype=PHENOTYPES[kind],
        physical_field=f"{patient}/{image}",
        donor=patient,
    )


def _validation_names(archive: Archive) -> dict[int, str]:
    table = archive.table(LABELS, columns=["Patient_ID", "new_names", "labels"])
    stems = [original.lower().removesuffix(".bmp") for original in table["Patient_ID"]]
    for stem, label in zip(stems, table["labels"], strict=True):
        if stem.endswith("_all") != (label == "1"):
            raise InputError(f"{LABELS} gives {stem} the label {label}, its name says otherwise")
    numbers = [re.fullmatch(r"([0-9]{1,9})\.bmp", name, re.IGNORECASE) for name in table["new_names"]]
    if None in numbers:
        strange = table["new_names"].iloc[numbers.index(None)]
        raise InputError(f"{LABELS} has the file name {strange[:40]!r}, where names are numbers such as 1.bmp")
    return keyed((int(number[1]) for number in numbers if number), stems, table=LABELS)


SOURCE = Source(
    dir_name="kag_leukemia",
    name="Leukemia Classification",
    database="Kaggle",
    link="https://www.kaggle.com/andrewmvd/leukemia-classification",
    licence="unverified",
    citation="Gupta and Gupta 2019, C-NMC 2019 dataset, The Cancer Imaging Archive, doi:10.7937/tcia.2019.dc64i46r",
    organism="human",
    microscopy="brightfield",
    stains={"": "brightfield"},
    scan=scan,
    kind="file names and metadata table",
    download="Run `kaggle datasets download -d andrewmvd/leukemia-classification` and unpack it to C-NMC_Leukemia/.",
    disk_gb=10.0,
    rows_differ_in="cell",
    expected=(
        Count("fields", 15_114, "inferred"),
        Count("phenotype=leukemia", 8_491, "reference"),
        Count("phenotype=wildtype", 4_037, "reference"),
    ),
    notes="Cells are cut out on black: the 75th percentile of a whole image is 0. Test images have no phenotype.",
)
