"""Sources from outside the package, and the skeleton that they start from."""

from pathlib import Path

import pandas as pd
import pytest
from archives import write_image, write_table

from builder.__main__ import main
from builder.sources import SOURCES, skeleton
from builder.sources.filter import SourceFilter, choose_sources, sources_in
from cytoimagenet_hf.core.errors import InputError

SKELETON = Path(skeleton.__file__)


def write_archive(folder: Path) -> None:
    """Two plates of two wells of two sites, as the skeleton's page says."""
    rows = []
    for plate in ("plate1", "plate2"):
        for well, compound, role in (("A1", "Taxol", ""), ("A02", "DMSO", "negative")):
            rows.append([plate, well, compound, role])
            for site in (1, 2):
                for channel in ("dapi", "actin"):
                    write_image(folder / "images" / plate / well / f"s{site}_{channel}.tif", shape=(9, 9))
    write_table(folder / "plate_map.csv", ["Plate", "Well", "Compound", "Role"], rows)


def own(folder: Path, name: str = "mine") -> Path:
    """The skeleton under another name in a folder."""
    folder.mkdir(exist_ok=True)
    text = SKELETON.read_text(encoding="utf-8").replace('dir_name="skeleton"', f'dir_name="{name}"')
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def test_a_copy_of_the_skeleton_annotates_wells_that_are_folders(tmp_path):
    write_archive(tmp_path / "raw" / "mine")
    folder = own(tmp_path / "sources")
    command = ["annotate", "--raw", tmp_path / "raw", "--output", tmp_path / "out", "--sources-from", folder]
    assert main([*map(str, command)]) == 0
    rows = pd.read_parquet(tmp_path / "out" / "annotations.parquet")
    assert len(rows) == rows["field"].nunique() == 8
    assert set(zip(rows["plate"], rows["well"], rows["site"], strict=True)) == {
        (plate, well, site) for plate in ("plate1", "plate2") for well in ("A01", "A02") for site in ("1", "2")
    }
    assert {tuple(channels) for channels in rows["channels"]} == {("nucleus", "actin")}
    assert set(rows["compound"][rows["control"] == "negative"]) == {"dmso"}
    assert set(rows["compound"][rows["control"].isna()]) == {"taxol"}
    assert main(["select", "--output", str(tmp_path / "out"), "--sources", "mine", "--set", "min_fields=2"]) == 0


def test_a_missing_channel_of_a_well_folder_has_the_name_it_would_have(tmp_path):
    write_archive(tmp_path / "raw" / "mine")
    (tmp_path / "raw" / "mine" / "images" / "plate1" / "A1" / "s2_actin.tif").unlink()
    folder = own(tmp_path / "sources")
    main(
        ["annotate", "--raw", str(tmp_path / "raw"), "--output", str(tmp_path / "out"), "--sources-from", str(folder)]
    )
    rows = pd.read_parquet(tmp_path / "out" / "annotations.parquet").set_index(["plate", "well", "site"])
    assert rows.loc[("plate1", "A01", "2"), "channel_files"].tolist() == [
        "mine/images/plate1/A1/s2_dapi.tif",
        "mine/images/plate1/A1/s2_actin.tif",
    ]


def test_own_sources_stand_beside_those_of_the_builder(tmp_path):
    folder = own(tmp_path / "sources")
    assert set(SourceFilter(sources_from=folder).registry) == {*SOURCES, "mine"}
    assert list(choose_sources(SourceFilter(only=["mine"], sources_from=folder))) == ["mine"]
    with pytest.raises(InputError, match="mine: no such source"):
        choose_sources(SourceFilter(only=["mine"]))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mine", "SOURCE = 1", "holds no SOURCE"),
        ("mine", "import nothing_of_this_name", "cannot be run: ModuleNotFoundError"),
        ("mine", "SOURCE = (", "cannot be run: SyntaxError"),
        ("mine", "raise SystemExit(3)", "cannot be run: SystemExit"),
        ("other", None, "its dir_name is 'mine'"),
        ("bbbc013", None, "is a source of the builder already"),
        ("bbbc021", None, "BBBC021 is a benchmark"),
    ],
)
def test_a_file_that_is_no_source_is_refused_by_name(tmp_path, name, content, said):
    folder = own(tmp_path / "sources", "mine" if name == "other" else name)
    if name == "other":
        (folder / "mine.py").rename(folder / "other.py")
    elif content is not None:
        (folder / f"{name}.py").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}\.py.*{said}"):
        sources_in(folder)


def test_a_folder_without_sources_says_where_to_start(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="skeleton"):
            sources_in(folder)


def test_the_skeleton_is_no_source_itself():
    assert "skeleton" not in SOURCES
    assert skeleton.SOURCE.dir_name == "skeleton"
