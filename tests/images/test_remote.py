"""The same eight fields on the disk and on the internet: equal ids, metadata and pixels; faults of networks."""

import json
from collections import Counter
from multiprocessing.reduction import ForkingPickler

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

pytest.importorskip("obstore")
pytest.importorskip("zarr")

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_cells, find_illumination, look
from cytoimagenet_hf.images.objects import UnreachableError
from cytoimagenet_hf.images.remote import RemotePath, local_file, remote_path
from cytoimagenet_hf.options.storage import Storage, parse_storage
from scripts.simulate.object_server import ObjectServer
from scripts.simulate.plate_layouts import write_jump_lite, write_loaddata, write_omezarr, write_phenix
from tests.hub import loopback
from tests.images.plates import eight_fields, values

PLATE = "P_1"
QUICK = {"backoff": "0", "retries": "2"}


def read_all(found):
    """All that an extraction takes: id, channels, metadata, pixels."""
    return {
        image.id: (image.channels, dict(image.metadata), [plane.tolist() for plane in image.read()])
        for image in found.images
    }


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """One folder with the plate in every layout."""
    folder = tmp_path_factory.mktemp("plates")
    fields = eight_fields()
    write_phenix(folder / "phenix", PLATE, fields, seed=0)
    write_loaddata(folder / "loaddata", PLATE, fields, seed=0)
    for version in ("0.4", "0.5", "0.6"):
        write_omezarr(folder / version, PLATE, fields, seed=0, version=version)
    return folder


@pytest.fixture(scope="module")
def shared(disk):
    with ObjectServer.of_folder(disk, "plates", page=7) as server:
        yield server


def png(value):
    return cv2.imencode(".png", np.full((12, 16), value, np.uint16))[1].tobytes()


def with_urls(table, address, written):
    """A load_data table that names its files by URL_ columns, as JUMP's do."""
    rows = pd.read_csv(table, dtype=str)
    for channel in [name.removeprefix("FileName_") for name in rows if name.startswith("FileName_")]:
        rows[f"URL_{channel}"] = (
            f"{address}/" + rows.pop(f"PathName_{channel}") + "/" + rows.pop(f"FileName_{channel}")
        )
    rows.to_csv(written, index=False)
    return written


@pytest.mark.parametrize(
    "layout", ["phenix", "loaddata/load_data.csv", "0.4/P_1.zarr", "0.5/P_1.zarr", "0.6/P_1.zarr"]
)
def test_through_s3_as_from_the_disk(disk, shared, layout) -> None:
    local = look(disk / layout)
    remote = look(f"s3://plates/{layout}", storage=shared.storage)
    assert remote.format == local.format
    assert read_all(remote) == read_all(local)
    assert len(remote.images) == 8
    assert not remote.rejected
    assert [ignored.path for ignored in remote.ignored] == [ignored.path for ignored in local.ignored]


@pytest.mark.parametrize(
    ("layout", "address"),
    [("0.4/P_1.zarr", "0.4/P_1.zarr"), ("0.6/P_1.zarr", "0.6/P_1.zarr"), ("loaddata/load_data.csv",) * 2],
)
def test_through_http_as_from_the_disk(disk, shared, layout, address) -> None:
    remote = look(f"{shared.url}/plates/{address}")
    assert read_all(remote) == read_all(look(disk / layout))


def test_a_harmony_measurement_over_http_by_its_index(disk, shared) -> None:
    (index,) = (key for key in shared.objects if key.endswith("Index.idx.xml"))
    remote = look(f"{shared.url}/{index.replace(' ', '%20')}")
    assert read_all(remote) == read_all(look(disk / "phenix"))


@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_a_table_here_whose_cells_are_addresses(disk, shared, tmp_path, scheme) -> None:
    local = disk / "loaddata" / "load_data.csv"
    base = "s3://plates/loaddata" if scheme == "s3" else f"{shared.url}/plates/loaddata"
    table = with_urls(local, base, tmp_path / "load_data.csv")
    remote = look(table, storage=shared.storage)
    assert read_all(remote) == read_all(look(local))
    assert len({image.stamp for image in remote.images}) == 8


def test_a_folder_is_listed_once_however_many_files_a_table_names(disk, shared, tmp_path) -> None:
    before = Counter(shared.requests)
    table = with_urls(disk / "loaddata" / "load_data.csv", "s3://plates/loaddata", tmp_path / "t.csv")
    found = look(table, storage=shared.storage)
    stamps = [image.stamp for image in found.images]
    asked = Counter(shared.requests) - before
    files = sum(len(image.planes) for image in found.images)
    assert files == 40
    assert asked["HEAD"] <= 8
    assert asked["list"] <= 7  # 40 objects, 7 a page
    assert len(set(stamps)) == 8


def test_a_glob_and_a_place_within_a_bucket(disk, shared) -> None:
    found = look("s3://plates/phenix/**/r02c02*.tiff", storage=shared.storage)
    assert {image.metadata["well"] for image in found.images} == {"B02"}
    with pytest.raises(InputError, match="no file matches"):
        look("s3://plates/phenix/**/*.png", storage=shared.storage)


def test_stamps_follow_the_content_of_objects() -> None:
    objects = {f"b/p_{well}_s1_w1.png": png(7) for well in ("B02", "B03")}
    with ObjectServer(objects) as server:

        def stamps():
            found = look("s3://b/", pattern="{plate}_{well}_s{site}_w{c}.png", storage=server.storage)
            return [image.stamp for image in found.images]

        before = stamps()
        assert stamps() == before
        server.objects["b/p_B02_s1_w1.png"] = png(8)
        after = stamps()
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_path_goes_to_another_process_with_its_facts_alone(shared) -> None:
    found = look("s3://plates/phenix", storage=shared.storage)
    sent = ForkingPickler.dumps(found.images[0])
    assert len(sent) < 5_000  # not the listing of its bucket
    before = Counter(shared.requests)
    image = ForkingPickler.loads(sent)
    assert image.stamp == found.images[0].stamp
    assert shared.requests == before
    np.testing.assert_array_equal(image.read(), found.images[0].read())


# Faults


def one_object(fault, **options):
    return ObjectServer({"b/folder/x.tif": bytes(range(200))}, fault=fault, **options)


def test_passing_faults_are_repeated_until_the_object_is_there() -> None:
    answers = [503, "cut", "short", None]
    with one_object(lambda key, before: answers[min(before, 3)]) as server:
        path = remote_path("s3://b/folder/x.tif", parse_storage(server.storage | {"backoff": "0"}))
        path.memory.facts[path.key] = path.place.facts(path.key)  # the fault of HEAD is a plain 503, then its size
        assert path.read_bytes() == bytes(range(200))


@pytest.mark.parametrize(
    ("fault", "reason", "requests"),
    [
        (503, r"the server answers 503 \(3 tries\)", 3),
        ("cut", r"the transfer broke off \(3 tries\)", 3),
        ("short", r"100 bytes came instead of 200 \(3 tries\)", 3),
        (403, "permission denied", 1),
        (400, "credentials have expired", 1),
        ("file:///etc/passwd", "sends to another place that is not followed", 1),
    ],
)
def test_faults_that_stay_name_the_object_and_the_reason(fault, reason, requests) -> None:
    with one_object(lambda key, before: fault) as server:
        storage = parse_storage(server.storage | QUICK)
        for address in ("s3://b/folder/x.tif", f"{server.url}/b/folder/x.tif"):
            server.asked.clear()
            path = remote_path(address, storage)
            with pytest.raises(UnreachableError, match=f"{address}: .*{reason}"):
                path.place.read(path.key, size=200)
            assert server.asked["b/folder/x.tif"] == requests


def test_an_absent_object_is_said_once_and_not_asked_for_again() -> None:
    with ObjectServer({"b/x.tif": b"x"}) as server:
        absent = remote_path("s3://b/y.tif", parse_storage(server.storage))
        with pytest.raises(InputError, match=r"s3://b/y\.tif does not exist \(404\)"), local_file(absent):
            pass
        assert server.asked["b/y.tif"] == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("s3://nowhere/plate/", "there is no bucket nowhere"),
        ("s3://b/folder/nothing/", "nothing lies there"),
        ("ftp://b/folder", "no address that is known here: s3://"),
        ("s3:///folder", "names no bucket"),
        ("https://me:secret@host/plate.zarr", r"https://host: no password in an address"),
        ("https://host/plate.zarr?X-Amz-Signature=secret", "https://host/plate.zarr has a query"),
    ],
)
def test_places_that_cannot_be_are_refused_in_one_line(source, reason) -> None:
    with one_object(None) as server, pytest.raises(InputError, match=reason) as refusal:
        look(source, storage=server.storage | QUICK)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_folder_of_a_web_server_is_refused_with_what_to_do() -> None:
    with one_object(None) as server, pytest.raises(InputError, match="cannot list a folder: give a plate"):
        look(f"{server.url}/b/folder")


def test_without_permission_nothing_of_the_key_is_said() -> None:
    storage = {"access_key_id": "AKIAWRONG", "secret_access_key": "SECRET"}
    with one_object(None, key="AKIARIGHT") as server:
        with pytest.raises(InputError, match="permission denied") as refusal:
            look("s3://b/folder/", storage=server.storage | QUICK | storage)
        assert "AKIA" not in str(refusal.value)
        assert "SECRET" not in str(refusal.value)
        right = parse_storage(server.storage | storage | {"access_key_id": "AKIARIGHT"})
        assert remote_path("s3://b/folder/x.tif", right).read_bytes() == bytes(range(200))
    assert "SECRET" not in repr(remote_path("s3://b/folder/x.tif", right))
    assert "AKIA" not in json.dumps(right.public)


def test_a_listing_of_too_many_says_the_count_and_asks_for_less() -> None:
    objects = {f"b/p{plate}/{number}.tif": b"" for plate in (1, 2) for number in range(30)}
    with ObjectServer(objects, page=10) as server:
        with pytest.raises(InputError, match=r"more than 20 objects .* such as s3://b/p1"):
            look("s3://b/", storage=server.storage | {"max_objects": "20"})
        assert server.requests["list"] < 8  # of which the first are looks for a store


def test_options_that_are_none() -> None:
    for given, reason in (
        (["endpoint"], "'endpoint' has no value"),
        (["retries=many"], "give a whole number"),
        (["backoff=nan"], "give seconds"),
        (["region=a", "REGION=b"], "given twice"),
    ):
        with pytest.raises(InputError, match=reason):
            parse_storage(given)
    with pytest.raises(InputError, match="storage option 'colour' is not known"):
        look("s3://b/x/", storage={"colour": "red"})


def test_nothing_leaves_its_root() -> None:
    root = remote_path("s3://b/plate", Storage())
    with pytest.raises(InputError, match="points outside s3://b/plate"):
        root / "../other/x.tif"
    assert str(root / "/etc/passwd") == "s3://b/plate/etc/passwd"


def test_objects_stay_where_asked_and_are_read_once(tmp_path) -> None:
    with ObjectServer({"b/x.npy": b"one"}) as server:

        def content():
            path = remote_path("s3://b/x.npy", Storage(parse_storage(server.storage).options, tmp_path))
            with local_file(path) as file:
                assert tmp_path in file.parents
                return file.read_bytes()

        assert (content(), content()) == (b"one", b"one")
        assert server.requests["GET"] == 1
        server.objects["b/x.npy"] = b"two"
        assert content() == b"two"


def test_a_stack_is_fetched_once_for_all_of_its_images(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("cytoimagenet_hf.images.remote._KEPT_SIZES", (100, 10_000))
    stack = np.arange(3 * 12 * 16, dtype=np.uint16).reshape(3, 12, 16)
    tifffile.imwrite(tmp_path / "s.ome.tif", stack, metadata={"axes": "TYX"})
    with ObjectServer.of_folder(tmp_path, "b") as server:
        images = look("s3://b/s.ome.tif", storage=server.storage).images
        np.testing.assert_array_equal([image.read()[0] for image in images], stack)
        assert (len(images), server.requests["GET"]) == (3, 1)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_of_a_large_stack_some_pages_are_fetched_by_ranges(tmp_path, monkeypatch, compression, tile) -> None:
    monkeypatch.setattr("cytoimagenet_hf.images.stores.files._LARGE", 10_000)
    monkeypatch.setattr("cytoimagenet_hf.imaging.ranges.BLOCK", 4096)
    stack = np.random.default_rng(0).integers(0, 60000, (12, 96, 80)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        for plane in stack:  # directories between the planes, as microscopes write them
            writer.write(plane, contiguous=False, compression=compression, tile=tile)
    with ObjectServer.of_folder(tmp_path, "b") as server:
        images = look("s3://b/s.tif", axes="TYX", storage=server.storage).images
        server.sent = 0
        np.testing.assert_array_equal(images[7].read()[0], stack[7])
        assert server.sent < len(server.objects["b/s.tif"]) / 2
        server.fault = lambda key, before: 503
        with pytest.raises(InputError, match=r"s3://b/s\.tif: the server answers 503"):
            look_again = look("s3://b/s.tif", axes="TYX", storage=server.storage | QUICK).images
            look_again[7].read()


def test_a_large_container_is_asked_to_be_kept() -> None:
    refusal = pytest.raises(InputError, match=r"s3://b/x\.czi holds a whole acquisition.*--keep FOLDER")
    with ObjectServer({"b/x.czi": b"ZISRAWFILE"}) as server, refusal:
        look("s3://b/x.czi", storage=server.storage)


def test_the_path_has_what_readers_use() -> None:
    path = remote_path("s3://b/a%20b/c?.ome.tif", Storage())
    assert isinstance(path, RemotePath)
    assert (path.name, path.suffix, str(path.parent)) == ("c?.ome.tif", ".tif", "s3://b/a%20b")
    web = remote_path("https://host:8000/a%20b/c.tif", Storage())
    assert (web.key, str(web)) == ("a b/c.tif", "https://host:8000/a%20b/c.tif")
    assert remote_path("s3://b/x", Storage()) == remote_path("s3://b/x/", Storage())


# JUMP-Lite: arrays without OME metadata


@pytest.mark.parametrize("codec", ["zstd", "jpegxl"])
def test_arrays_of_jump_lite_here_and_remote_by_their_index_and_by_themselves(tmp_path, codec) -> None:
    store, index = write_jump_lite(tmp_path, PLATE, eight_fields(), codec=codec)
    options = {"axes": "CYX", "stains": "agp,dna,er,mito,rna"}
    local = look(store, **options)
    assert (local.format, len(local.images), local.rejected) == ("arrays", 8, [])
    expected = read_all(local)
    for eight in eight_fields():
        stains, metadata, planes = expected[f"{PLATE}/{eight.well}/{eight.site}"]
        assert stains == ("agp", "dna", "er", "mito", "rna")
        facts = {"source": "source_4", "batch": "2021_04_26_Batch1"}
        assert metadata == {"plate": PLATE, "well": eight.well, "site": eight.site} | facts
        for stain, plane in zip(stains, planes, strict=True):
            np.testing.assert_array_equal(plane, eight.planes[stain])
    with ObjectServer.of_folder(tmp_path, "lite") as server:
        name = f"{codec}.zarr"
        for source, more in (
            (f"s3://lite/{name}", {}),
            (index, {"root": f"s3://lite/{name}"}),
            ("s3://lite/site_index.parquet", {"root": f"s3://lite/{name}"}),
            (index, {"root": f"{server.url}/lite/{name}"}),
        ):
            remote = look(source, **options, **more, storage=server.storage)
            assert read_all(remote) == expected


def test_a_chunk_of_all_channels_is_fetched_once(tmp_path) -> None:
    store, _ = write_jump_lite(tmp_path, PLATE, eight_fields()[:1])
    with ObjectServer.of_folder(tmp_path, "lite") as server:
        found = look(f"s3://lite/{store.name}", axes="CYX", storage=server.storage)
        server.asked.clear()
        assert len(found.images[0].read()) == 5
        assert {key.rpartition("/")[2]: count for key, count in server.asked.items()} == {"0": 1}


def test_arrays_that_are_missing_or_of_other_axes_are_refused_one_by_one(tmp_path) -> None:
    store, index = write_jump_lite(tmp_path, PLATE, eight_fields())
    with ObjectServer.of_folder(tmp_path, "lite") as server:
        root = f"s3://lite/{store.name}"
        with pytest.raises(InputError, match=r"has the shape \(5, 12, 16\), which is not CZYX"):
            look(index, axes="CZYX", root=root, storage=server.storage)
        with pytest.raises(InputError, match="do not say their axes: give --axes CYX"):
            look(index, root=root, storage=server.storage)
        for key in [key for key in server.objects if f"__{PLATE}__B02__1/" in key]:
            del server.objects[key]
        found = look(index, axes="CYX", root=root, storage=server.storage)
        (rejected,) = found.rejected
        assert rejected.id == f"{PLATE}/B02/1"
        assert "is no Zarr array" in rejected.reason


@pytest.mark.parametrize("kind", ["datasets", "buckets"])
def test_datasets_and_buckets_of_the_hub(kind) -> None:
    files = {f"plate/p_{well}_s1_w{c}.png": png(c) for well in ("B02", "B03") for c in (1, 2)} | {"README.md": b"x"}
    with loopback.serve() as hub:
        hub.repositories[kind, "me/screen"] = loopback.Repository(False, {"main": files})
        storage = {"endpoint": hub.url, "backoff": "0", "retries": "1"}
        for source in (f"hf://{kind}/me/screen/plate", f"hf://{kind}/me/screen/plate/*.png"):
            found = look(source, pattern="{plate}_{well}_s{site}_w{c}.png", storage=storage)
            assert [image.id for image in found.images] == ["p/B02/1", "p/B03/1"]
            assert values(found.images[0]) == [1, 2]
        marks = {image.stamp for image in found.images}
        assert len(marks) == 2
        one = remote_path(f"hf://{kind}/me/screen/README.md", parse_storage(storage))
        assert (one.read_bytes(), one.stat().st_size, one.exists()) == (b"x", 1, True)
        assert remote_path(f"hf://{kind}/me/screen/plate/p_B02_s1_w1.png", parse_storage(storage)).read_ranges(
            [(1, 4), (0, 1)]
        ) == [b"PNG", b"\x89"]
        with pytest.raises(InputError, match="nothing lies there"):
            look(f"hf://{kind}/me/screen/absent", storage=storage)
        with pytest.raises(InputError, match=f"hf://{kind}/me/nobody"):
            look(f"hf://{kind}/me/nobody/plate", storage=storage)


@pytest.mark.parametrize(("scheme", "more"), [("gs", {}), ("az", {"account_name": "screens"})])
def test_google_and_azure(scheme, more) -> None:
    objects = {f"b/plate/p_{well}_s1_w{c}.png": png(c) for well in ("B02", "B03") for c in (1, 2)}
    with ObjectServer(objects, page=3) as server:
        storage = {"endpoint": server.url, "backoff": "0", "retries": "1"} | more
        found = look(f"{scheme}://b/plate", pattern="{plate}_{well}_s{site}_w{c}.png", storage=storage)
        assert [image.id for image in found.images] == ["p/B02/1", "p/B03/1"]
        assert values(found.images[0]) == [1, 2]
        with pytest.raises(InputError, match=f"there is no bucket|{scheme}://absent"):
            look(f"{scheme}://absent/plate", storage=storage)


def test_a_filesystem_of_the_hub_answers_as_the_other_stores(monkeypatch, tmp_path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    for name, content in {"a.tif": b"one", "deep/b.tif": b"two!"}.items():
        files.pipe_file(f"/datasets/me/plate/{name}", content)
    monkeypatch.setattr("huggingface_hub.HfFileSystem", lambda **options: files)
    root = remote_path("hf://datasets/me/plate", parse_storage({"backoff": "0"}))
    assert sorted(root.list_below()) == ["a.tif", "deep/b.tif"]
    assert (root / "deep/b.tif").read_bytes() == b"two!"
    assert (root / "deep/b.tif").stat().st_size == 4
    assert not (root / "c.tif").exists()
    single = remote_path("hf://datasets/me/plate/a.tif", Storage())
    assert (single.exists(), single.read_bytes()) == (True, b"one")
    assert not remote_path("hf://datasets/me/plate/deep", Storage()).exists()


# What belongs to a plate: masks, centres, illumination functions


MASK = np.zeros((12, 16), np.uint16)
MASK[2:6, 3:8], MASK[7:11, 9:14] = 4, 9


def write_masks(folder, plate):
    """Label images in a folder and in the stores of a plate, a table of centres, and illumination functions."""
    import zarr

    for eight in eight_fields():
        name = f"{plate}_{eight.well}_{eight.site}_Cells.tif"
        (folder / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(folder / "masks" / name, MASK)
    store = zarr.open_group(folder / "0.4" / f"{plate}.zarr", mode="r+", zarr_format=2)
    for path, group in store.members(max_depth=None):
        if path.count("/") == 2 and isinstance(group, zarr.Group):
            labels = group.create_group("labels", attributes={"labels": ["cells"]})
            scales = [{"datasets": [{"path": "0"}]}]
            labels.create_group("cells", attributes={"multiscales": scales}).create_array("0", data=MASK)
    rows = ["Metadata_Plate,Metadata_Well,Metadata_Site,ObjectNumber,Location_Center_X,Location_Center_Y"]
    rows += [f"{plate},{eight.well},{eight.site},3,5,4" for eight in eight_fields()]
    (folder / "Nuclei.csv").write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("masks", ["masks", "0.4/P_1.zarr", "Nuclei.csv"])
@pytest.mark.parametrize("scheme", ["s3", "http"])
def test_cells_by_masks_labels_and_tables_at_addresses(tmp_path, masks, scheme) -> None:
    write_omezarr(tmp_path / "0.4", PLATE, eight_fields(), seed=0, version="0.4")
    write_masks(tmp_path, PLATE)
    expected = find_cells(
        look(tmp_path / "0.4" / f"{PLATE}.zarr"), tmp_path / masks, size=4, masked=masks != "Nuclei.csv"
    )
    with ObjectServer.of_folder(tmp_path, "b") as server:
        base = "s3://b" if scheme == "s3" else f"{server.url}/b"
        plate = look(f"{base}/0.4/{PLATE}.zarr", storage=server.storage)
        if (masks, scheme) == ("masks", "http"):
            with pytest.raises(InputError, match="a web server cannot list a folder"):
                find_cells(plate, f"{base}/{masks}", size=4)
            return
        found = find_cells(plate, f"{base}/{masks}", size=4, masked=masks != "Nuclei.csv")
        assert read_all(found) == read_all(expected)
        assert len(found.images) == (8 if masks == "Nuclei.csv" else 16)


@pytest.mark.parametrize("way", ["folder", "URL_", "PathName_"])
def test_illumination_functions_at_addresses(tmp_path, way) -> None:
    tifffile.imwrite(tmp_path / "P_B02_s1_DNA.tif", np.full((4, 4), 100, np.uint16))
    (tmp_path / "illum").mkdir()
    np.save(tmp_path / "illum" / "P_IllumDNA.npy", np.full((4, 4), 0.5))
    with ObjectServer.of_folder(tmp_path, "b") as server:
        found = look("s3://b/*.tif", pattern="{plate}_{well}_s{site}_{c}.tif", storage=server.storage)
        place = "s3://b/illum"
        if way != "folder":
            address = "s3://b/illum/P_IllumDNA.npy" if way == "URL_" else "s3://b/illum"
            row = {"Metadata_Plate": "P", "Metadata_Well": "B02", "Metadata_Site": "1"}
            row |= {"FileName_IllumDNA": "P_IllumDNA.npy", f"{way}IllumDNA": address}
            place = tmp_path / "load_data_with_illum.csv"
            pd.DataFrame([row]).to_csv(place, index=False)
        (image,) = find_illumination(found, place).images
        assert image.read()[0].tolist() == [[200] * 4] * 4


@pytest.mark.parametrize("location", ["start", "end"])
def test_of_a_large_shard_only_the_parts_of_the_planes_are_fetched(tmp_path, location, monkeypatch) -> None:
    import zarr

    monkeypatch.setattr("cytoimagenet_hf.images.stores.zarr._LARGE_SHARD", 1000)
    pixels = np.random.default_rng(0).integers(0, 60000, (6, 64, 64)).astype(np.uint16)
    array = zarr.create_array(
        tmp_path / "p.zarr" / "a",
        shape=pixels.shape,
        dtype=pixels.dtype,
        chunks=(1, 32, 32),
        shards={"shape": (6, 64, 64), "index_location": location},
    )
    array[:] = pixels
    array[4, :32, :32] = 0  # absent: the fill value
    pixels[4, :32, :32] = 0
    with ObjectServer.of_folder(tmp_path, "b") as server:
        (image,) = look("s3://b/p.zarr", axes="CYX", channels="4,5", storage=server.storage).images
        server.sent = 0
        np.testing.assert_array_equal(image.read(), pixels[[3, 4]])
        whole = len(server.objects["b/p.zarr/a/c/0/0/0"])
        assert server.sent < 0.7 * whole  # parts less than a megabyte apart are fetched together
        (image,) = look("s3://b/p.zarr", axes="CYX", storage=server.storage).images
        np.testing.assert_array_equal(image.read(), pixels)
