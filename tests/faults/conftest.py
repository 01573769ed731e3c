"""What the faults are done to: one tiny model, dataset, archive and table of each kind."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.datasets import write_textures
from tests.faults import files


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Hub does not answer, at once: what waits for it is tested in a process of its own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    assets = str(tmp_path.with_name(f"{tmp_path.name}-assets"))
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", assets)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound input of every kind: model/, dataset/, plate/, classes/, bbbc013/, tables/."""
    from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet

    root = tmp_path_factory.mktemp("sound")
    build_efficientnet(0, seed=0, width_coefficient=0.125, depth_coefficient=0.125).save_pretrained(root / "model")
    MicroscopyImageProcessor().save_pretrained(root / "model")
    write_textures(root / "dataset", per_class=8, side=40)
    rng = np.random.default_rng(0)
    for label in ("alive", "dead"):
        (root / "classes" / label).mkdir(parents=True)
        for number in range(3):
            image = rng.integers(0, 4000, (40, 40)).astype(np.uint16)
            tifffile.imwrite(root / "classes" / label / f"cell{number}.tif", image, photometric="minisblack")
    (root / "plate").mkdir()
    for name in ("a01.tif", "a02.tif"):
        (root / "plate" / name).write_bytes(files.tiff())
    (root / "kaggle" / "kinase").mkdir(parents=True)
    for number in range(4):
        (root / "kaggle" / "kinase" / f"kinase-{number:06d}.png").write_bytes(files.sound())
    _write_tables(root)
    return root


def write_lines(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


def _write_tables(root: Path) -> None:
    (root / "bbbc013").mkdir()
    rows = [f"{'abcdefgh'[n % 8].upper()},{n % 12 + 1},wortmannin,{n},treated" for n in range(12)]
    text = "row_name,column_name,compound,concentration,role\n" + "\n".join(rows) + "\n"
    (root / "bbbc013" / "BBBC013_platemap_long_nM.csv").write_text(text)
    for name in ("Channel1-01-A-01", "Channel2-01-A-01"):
        (root / "bbbc013" / f"{name}.tif").write_bytes(files.tiff())
    (root / "images.csv").write_text("id,dna\none,a01.tif\ntwo,a02.tif\n")
    ids = [f"{label}/cell{number}.tif" for label in ("alive", "dead") for number in range(3)]
    write_lines(root / "features.csv", "id,x,y", *(f"{name},{n}.0,{n % 3}.0" for n, name in enumerate(ids)))
    write_lines(root / "groups.csv", "file_name,plate", *(f"{name},{'pqq'[n % 3]}" for n, name in enumerate(ids)))
    write_lines(
        root / "kaggle" / "metadata.csv",
        "label,category,database,name,dir_name,path,filename,idx,dset",
        *(
            f"kinase,phenotype,Recursion,RxRx1,rec_rxrx1,/cytoimagenet/kinase,kinase-{n:06d}.png,rec_rxrx1-{n},train"
            for n in range(4)
        ),
    )
    (root / "bbbc021").mkdir()
    stains = ("DAPI", "Tubulin", "Actin")
    columns = [f"Image_{kind}_{stain}" for kind in ("PathName", "FileName") for stain in stains]
    write_lines(
        root / "bbbc021" / "BBBC021_v1_image.csv",
        f"TableNumber,ImageNumber,{','.join(columns)},Image_Metadata_Plate_DAPI,Image_Metadata_Well_DAPI,"
        "Image_Metadata_Compound,Image_Metadata_Concentration,Replicate",
        "1,1,Week1_1,Week1_1,Week1_1,DAPI1.tif,Tubulin1.tif,Actin1.tif,Week1_1,B02,taxol,1.0,1",
        "1,2,Week1_1,Week1_1,Week1_1,DAPI2.tif,Tubulin2.tif,Actin2.tif,Week1_1,B03,DMSO,0.0,1",
    )
    (root / "bbbc021" / "BBBC021_v1_moa.csv").write_text(
        "compound,concentration,moa\ntaxol,1.0,Microtubule stabilizers\nDMSO,0.0,DMSO\n"
    )


@pytest.fixture
def copied(sound: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one sound thing, to spoil: `copied("model")`."""

    def copy(name: str) -> Path:
        target = tmp_path / name
        if (sound / name).is_dir():
            shutil.copytree(sound / name, target)
        else:
            shutil.copyfile(sound / name, target)
        os.utime(target)
        return target

    return copy
