"""Features of plates on the internet: those of the disk, whatever the network does meanwhile."""

import csv
import io
import itertools
import json
import threading

import numpy as np
import pytest
import tifffile

pytest.importorskip("obstore")

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.features.source_record import SOURCE, recorded_images, write_source
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.images.objects import Place
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.options.storage import parse_storage
from cytoimagenet_hf.tables import read_features
from scripts.simulate.object_server import ObjectServer
from tests.features.plates import PATTERN, all_bytes, interrupted, write_plate
from tests.tiny_encoder import tiny_encoder

SETTINGS = Extraction(shard_size=3, batch_size=4, workers=2)


@pytest.fixture
def plate(tmp_path):
    return write_plate(tmp_path / "plate")


def images_of(server, **storage):
    return find_images("s3://b/", pattern=PATTERN, storage=server.storage | {"backoff": "0", "retries": "3"} | storage)


def extract(images, output):
    return extract_to_folder(tiny_encoder(), images, output, settings=SETTINGS)


def test_features_are_those_of_the_disk(plate, tmp_path) -> None:
    extract(find_images(plate, pattern=PATTERN), tmp_path / "local")
    with ObjectServer.of_folder(plate, "b") as server:
        extract(images_of(server), tmp_path / "remote")
    local, remote = read_features(tmp_path / "local"), read_features(tmp_path / "remote")
    assert list(remote.ids) == list(local.ids)
    np.testing.assert_array_equal(remote.values, local.values)
    assert remote.metadata.equals(local.metadata)


def test_many_requests_are_on_their_way_at_one_time(plate, tmp_path) -> None:
    together = threading.Barrier(8)  # broken if fewer are asked for before one is answered
    order = itertools.count()
    with ObjectServer.of_folder(plate, "b") as server:
        images = images_of(server, retries="0")
        # Those after the first eight pass: they may wait for answers to these.
        server.fault = lambda key, before: None if next(order) >= 8 or together.wait(30) >= 0 else 503
        settings = Extraction(shard_size=8, workers=1, backend="torch")
        summary = extract_to_folder(tiny_encoder(), images, tmp_path / "f", settings=settings)
    assert (summary.kept, together.broken) == (8, False)


def test_killed_on_the_way_and_resumed_gives_the_same_bytes(plate, tmp_path) -> None:
    with ObjectServer.of_folder(plate, "b") as server:
        extract(images_of(server), tmp_path / "whole")
        for stop in (1, 4, 7):
            with pytest.raises(KeyboardInterrupt):
                extract(interrupted(images_of(server), at=stop), tmp_path / str(stop))
            extract(images_of(server), tmp_path / str(stop))
            assert all_bytes(tmp_path / str(stop)) == all_bytes(tmp_path / "whole")
        again = extract(images_of(server), tmp_path / "whole")
    assert again.shards_made_now == 0


def test_requests_that_fail_at_random_and_objects_gone_for_good(plate, tmp_path) -> None:
    gone = {f"b/p1_B0{well}_s1_dna.tif" for well in (1, 2, 4)}
    broken = set()

    def fault(key, before):
        if key in broken and key in gone:
            return 404
        return 503 if derive_rng(0, "fault", f"{key}/{before}").random() < 0.05 else None

    with ObjectServer.of_folder(plate, "b", fault=fault) as server:
        images = images_of(server)
        broken |= gone  # listed, and gone when they are read
        summary = extract(images, tmp_path / "features")
        assert (summary.images, summary.kept) == (8, 5)
        assert [rejection.id for rejection in summary.rejected] == ["p1/B01/1", "p1/B02/1", "p1/B04/1"]
        assert all("does not exist (404)" in rejection.reason for rejection in summary.rejected)


def test_what_was_unreachable_is_taken_up_by_a_later_run(plate, tmp_path) -> None:
    state = {"fault": 503}
    with ObjectServer.of_folder(
        plate, "b", fault=lambda key, before: state["fault"] if key == "b/p1_B02_s1_er.tif" else None
    ) as server:
        first = extract(images_of(server), tmp_path / "features")
        assert [(r.id, "503 (4 tries)" in r.reason) for r in first.rejected] == [("p1/B02/1", True)]
        assert extract(images_of(server), tmp_path / "features").shards_made_now == 1  # still not there
        state["fault"] = None
        mended = extract(images_of(server), tmp_path / "features")
        assert (mended.kept, mended.shards_made_now, mended.rejected) == (8, 1, ())
        extract(images_of(server), tmp_path / "whole")
        assert all_bytes(tmp_path / "features") == all_bytes(tmp_path / "whole")


def test_credentials_that_expire_half_way_leave_a_list_and_no_key(plate, tmp_path) -> None:
    keys = {"access_key_id": "AKIAFIRST", "secret_access_key": "S3CRET"}
    state = {"left": 6}

    def fault(key, before):
        state["left"] -= 1
        return 400 if state["left"] < 0 else None

    with ObjectServer.of_folder(plate, "b", key="AKIAFIRST") as server:
        images = images_of(server, **keys)
        server.fault = fault
        summary = extract(images, tmp_path / "features")
        write_source(tmp_path / "features", "s3://b/", SourceOptions(storage=server.storage | keys), images)
        assert 0 < summary.kept < 8
        assert all("credentials have expired" in rejection.reason for rejection in summary.rejected)
        written = b"".join(all_bytes(tmp_path / "features").values())
        assert b"S3CRET" not in written
        assert b"AKIA" not in written
        server.fault = None
        assert extract(images_of(server, **keys), tmp_path / "features").kept == 8


def test_a_report_finds_the_images_again(plate, tmp_path) -> None:
    with ObjectServer.of_folder(plate, "b") as server:
        images = images_of(server)
        extract(images, tmp_path / "features")
        write_source(tmp_path / "features", "s3://b/", SourceOptions(pattern=PATTERN, storage=server.storage), images)
        record = json.loads((tmp_path / "features" / SOURCE).read_text())
        assert (record["source"], record["options"]["storage"]["region"]) == ("s3://b/", "us-east-1")
        again, why = recorded_images(tmp_path / "features")
        assert (why, [image.id for image in again]) == ("", [image.id for image in images])
        np.testing.assert_array_equal(again[0].read(), images[0].read())


def test_a_server_that_is_gone_says_so_once(plate, tmp_path) -> None:
    with ObjectServer.of_folder(plate, "b") as server:
        storage = server.storage | {"backoff": "0", "retries": "1"}
    with pytest.raises(InputError, match=r"s3://b/.*: no connection to the server \(2 tries\)"):
        find_images("s3://b/", pattern=PATTERN, storage=storage)


def test_a_plane_without_any_difference_is_named(plate, tmp_path) -> None:
    tifffile.imwrite(plate / "p1_B02_s1_er.tif", np.zeros((20, 24), np.uint16))
    summary = extract(find_images(plate, pattern=PATTERN), tmp_path / "features")
    assert dict(summary.flat) == {"p1/B02/1": ("er",)}
    assert summary.flat_note == "1 image has a plane whose pixels are all equal, such as channel er of p1/B02/1"


def test_a_listing_that_breaks_off_goes_on_behind_its_last_page() -> None:
    keys = [f"p/{n:04d}.tif" for n in range(2500)]
    with ObjectServer({f"b/{key}": b"" for key in keys}) as server:
        place = Place("s3", "b", parse_storage(server.storage | {"backoff": "0"}))
        pages = place.pages("p")
        first = next(pages)
        server.broken_listings = 2
        rest = [key for page in pages for key, _ in page]
    assert [key for key, _ in first] + rest == keys


JUMP = (
    "FileName_IllumAGP,FileName_OrigAGP,FileName_OrigDNA,Metadata_Source,Metadata_Batch,Metadata_Plate,Metadata_Well,"
    "Metadata_Site,URL_OrigAGP,URL_OrigDNA,Metadata_Reimaged"
)  # columns of a load_data_with_illum.csv of the Cell Painting Gallery


def jump_table(images, plate):
    rows = [JUMP]
    for well in ("A01", "P24"):
        for site in (1, 2):
            names = [f"r{well}f{site}-ch{channel}.tiff" for channel in (1, 2)]
            addresses = [f"{images}/{name}" for name in names]
            rows.append(f"ill.npy,{names[0]},{names[1]},source_4,B1,{plate},{well},{site},{','.join(addresses)},No")
    return "\n".join(rows) + "\n"


def test_a_table_of_the_gallery_by_the_command_line(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("cytoimagenet_hf.networks.load_encoder", lambda name, options: tiny_encoder())
    images = "s3://cellpainting-gallery/cpg0016-jump/source_4/images/B1/images/BR1__2021-Measurement 1/Images"
    rng = np.random.default_rng(0)
    buckets = {}
    for address in csv.DictReader(jump_table(images, "BR1").splitlines()):
        for column in ("URL_OrigAGP", "URL_OrigDNA"):
            file = io.BytesIO()
            tifffile.imwrite(file, rng.integers(0, 900, (20, 24)).astype(np.uint16))
            buckets[address[column].removeprefix("s3://")] = file.getvalue()
    table = "cellpainting-gallery/cpg0016-jump/source_4/workspace/load_data_csv/B1/BR1/load_data_with_illum.csv"
    buckets[table] = jump_table(images, "BR1").encode()
    with ObjectServer(buckets) as server:
        options = ["--storage-option", f"endpoint={server.url}", "--storage-option", "region=us-east-1"]
        assert main(["extract", f"s3://{table}", "--list", "--json", *options]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert (listed["format"], listed["plates"]) == ("loaddata", {"BR1": {"images": 4, "wells": 2, "sites": 2}})
        assert [channel["stain"] for channel in listed["channels"]] == ["origagp", "origdna"]
        command = ["extract", f"s3://{table}", "--model", "tiny", "--output", str(tmp_path / "f"), "--json", *options]
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out)["kept"] == 4
        images, why = recorded_images(tmp_path / "f")
        assert (why, len(images)) == ("", 4)
    features = read_features(tmp_path / "f")
    assert list(features.ids) == ["BR1/A01/1", "BR1/A01/2", "BR1/P24/1", "BR1/P24/2"]
    assert set(features.metadata) == {"plate", "well", "site", "Source", "Batch", "Reimaged"}
    assert {file.name for file in tmp_path.iterdir()} == {"f"}
