"""OME-Zarr stores as others write and as attackers forge them, their metadata made by hand."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("zarr")

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_images, look
from cytoimagenet_hf.images.stores.codecs import require_plain_numbers

AXES = [{"name": name} for name in "cyx"]
SCALES = [{"version": "0.4", "axes": AXES, "datasets": [{"path": "0"}]}]


def write_image(folder, pixels, **changed):
    """An image of one chunk, Zarr 2, without compression; other metadata of the array where they are given."""
    (folder / "0").mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text(json.dumps({"multiscales": SCALES}))
    facts = {"zarr_format": 2, "shape": list(pixels.shape), "chunks": list(pixels.shape), "dtype": pixels.dtype.str}
    facts |= {"compressor": None, "fill_value": 0, "order": "C", "filters": None, "dimension_separator": "."}
    (folder / "0" / ".zarray").write_text(json.dumps(facts | changed))
    (folder / "0" / "0.0.0").write_bytes(pixels.tobytes())
    return folder


def write_plate(folder, wells):
    """A plate of {"B/03": {"0": pixels}}, acquisitions by the hundreds of an image's number."""
    listed = [{"path": well, "rowIndex": 0, "columnIndex": n} for n, well in enumerate(wells)]
    rows, columns = [{"name": "B"}], [{"name": well[2:]} for well in wells]
    folder.mkdir()
    (folder / ".zattrs").write_text(json.dumps({"plate": {"rows": rows, "columns": columns, "wells": listed}}))
    for well, images in wells.items():
        named = [
            {"path": name, "acquisition": int(name) // 100} if name.isdigit() else {"path": name} for name in images
        ]
        for name, pixels in images.items():
            write_image(folder / well / name, pixels)
        (folder / well / ".zattrs").write_text(json.dumps({"well": {"images": named}}))
    return folder


def field(value):
    return np.full((1, 4, 6), value, np.uint16)


def values(found):
    return [int(image.read()[0].max()) for image in found]


def test_originals_and_processed_copies_are_never_mixed(tmp_path) -> None:
    wells = {"B/02": {"0": field(1), "0_illum_corr": field(2)}, "B/03": {"1": field(3), "1_illum_corr": field(4)}}
    plate = write_plate(tmp_path / "p.zarr", wells)
    with pytest.raises(InputError, match=r"0_illum_corr.*--derived none.*--derived illum_corr"):
        look(plate)
    originals, copies = look(plate, derived="none"), look(plate, derived="illum_corr")
    assert (values(originals.images), values(copies.images)) == ([1, 3], [2, 4])
    assert [image.id for image in originals.images] == [image.id for image in copies.images] == ["p/B02/1", "p/B03/2"]
    assert {file.reason for file in originals.ignored} == {"a processed copy"}
    with pytest.raises(InputError, match="no copies 'flat'"):
        look(plate, derived="flat")


@pytest.mark.parametrize("omero", [None, {"channels": None}, {"channels": [{"label": None}]}])
def test_names_of_channels_may_be_null(tmp_path, omero) -> None:
    image = write_image(tmp_path / "i.zarr", field(1))
    (image / ".zattrs").write_text(json.dumps({"multiscales": SCALES, "omero": omero}))
    (found,) = look(image).images
    assert (found.channels, found.problem) == (("1",), "")


def test_names_of_fields_alone_are_no_copies(tmp_path) -> None:
    plate = write_plate(tmp_path / "p.zarr", {"B/02": {"1": field(1), "10": field(2), "A_1": field(3)}})
    assert len(find_images(plate)) == 3


def test_one_acquisition_is_taken_when_asked_for(tmp_path) -> None:
    plate = write_plate(tmp_path / "p.zarr", {"B/02": {"0": field(1), "100": field(2)}})
    assert values(find_images(plate)) == [1, 2]
    assert values(find_images(plate, acquisition=1)) == [2]
    with pytest.raises(InputError, match="no acquisition '7': it has 0, 1"):
        find_images(plate, acquisition="7")


@pytest.mark.parametrize(
    ("facts", "version", "named"),
    [
        ({"dtype": "|O"}, 2, "O"),
        ({"dtype": "<c8"}, 2, "c8"),
        ({"dtype": [["a", "<u2"]]}, 2, "a"),
        ({"dtype": "<u2", "compressor": {"id": "pickle"}}, 2, "pickle"),
        ({"dtype": "<u2", "filters": [{"id": "delta"}, {"id": "json2"}]}, 2, "json2"),
        ({"dtype": "<u2", "filters": [{"id": "delta", "name": "x", "then": {"id": "msgpack2"}}]}, 2, "x"),
        ({"dtype": "<u2", "filters": [{"id": "delta", "more": [{"id": "msgpack2"}]}]}, 2, "msgpack2"),
        ({"data_type": {"name": "numpy.datetime64"}}, 3, "datetime64"),
        ({"data_type": "string"}, 3, "string"),
        ({"data_type": "uint8", "codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}, 3, "pickle"),
        ({"data_type": "uint8", "codecs": [{"id": "zlib", "name": "numcodecs.pickle"}]}, 3, "pickle"),
        ({"data_type": "uint8", "codecs": ["vlen-bytes"]}, 3, "vlen-bytes"),
        ({"data_type": "uint8", "codecs": [{}]}, 3, "None"),
        ({"data_type": "uint8", "storage_transformers": [{"name": "x"}], "codecs": []}, 3, "transformers"),
    ],
)
def test_what_is_no_plain_number_is_refused_by_its_metadata(facts, version, named) -> None:
    with pytest.raises(InputError, match=named):
        require_plain_numbers(facts, version, "w.zarr/0")


@pytest.mark.parametrize("where", ["codecs", "index_codecs"])
def test_a_codec_within_a_shard_is_judged_as_well(where) -> None:
    inner = {"chunk_shape": [1, 2, 2], "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "crc32c"}]}
    for depth in range(3):
        bad = json.loads(json.dumps(inner))
        bad[where].append({"name": "numcodecs.pickle"})
        for _ in range(depth):
            bad = {**inner, "codecs": [{"name": "sharding_indexed", "configuration": bad}]}
        facts = {"data_type": "uint16", "codecs": [{"name": "sharding_indexed", "configuration": bad}]}
        with pytest.raises(InputError, match=r"numcodecs\.pickle"):
            require_plain_numbers(facts, 3, "w.zarr/0")
    sound = {"data_type": "uint16", "codecs": [{"name": "sharding_indexed", "configuration": inner}]}
    require_plain_numbers(sound, 3, "w.zarr/0")


def test_codecs_that_microscopy_uses_are_read() -> None:
    blosc = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    require_plain_numbers({"dtype": "<u2", "compressor": blosc, "filters": None}, 2, "w")
    require_plain_numbers({"dtype": "<u2", "compressor": {"id": "imagecodecs_jpegxl", "level": None}}, 2, "w")
    packed = [{"name": "transpose", "configuration": {"order": [0, 2, 1]}}, {"name": "bytes"}, {"name": "zstd"}]
    require_plain_numbers({"data_type": "uint16", "codecs": packed}, 3, "w")


@pytest.mark.parametrize("chunks", [[1, 5_000, 5_000], [1, 10**30, 4], [900_000, 64, 64]])
def test_chunks_far_larger_than_their_array_are_refused_before_unpacking(tmp_path, chunks) -> None:
    folder = write_image(tmp_path / "i.zarr", field(1), chunks=chunks)
    with pytest.raises(InputError, match=r"its chunks have|claims|is damaged: shape"):
        find_images(folder)


def test_a_grid_of_hundreds_of_millions_of_chunks_is_refused(tmp_path) -> None:
    folder = write_image(tmp_path / "i.zarr", field(1), shape=[1, 16_000, 16_000], chunks=[1, 1, 1])
    with pytest.raises(InputError, match="its chunks have"):
        find_images(folder)


ZSTD_OF_UNSTATED_SIZE = b"\x28\xb5\x2f\xfd\x00\x58" + (b"\x02\x00\x10" + b"\x00") * 600 + b"\x03\x00\x10\x00"
"""A frame of 601 blocks that each repeat one byte 131,072 times (RFC 8878), and no size in its header."""


@pytest.mark.parametrize("packer", ["zlib", "gzip", "bz2", "lzma", "zstd", "zstd without a size", "blosc", "lz4"])
def test_a_chunk_that_unpacks_to_more_than_it_says_is_refused(tmp_path, packer) -> None:
    """Alone, and as a further member of a sound chunk."""
    numcodecs = pytest.importorskip("numcodecs")
    codec = numcodecs.get_codec({"id": packer.partition(" ")[0]})
    folder = write_image(tmp_path / "i.zarr", field(7), compressor=codec.get_config())
    chunk, sound = folder / "0" / "0.0.0", bytes(codec.encode(field(7)))
    bomb = bytes(codec.encode(np.zeros(70_000_000, np.uint8)))
    chunk.write_bytes(sound)
    assert values(find_images(folder)) == [7]
    (image,) = find_images(folder)
    more = [sound + ZSTD_OF_UNSTATED_SIZE] if packer.endswith("size") else [bomb, sound + bomb]
    for content in more[:1] if packer in ("zlib", "blosc", "lz4") else more:  # these have one member
        chunk.write_bytes(content)
        with pytest.raises(InputError, match="unpacks to"):
            image.read()


def write_shard(folder, part, packer, *, extra=(), end="little"):
    """A Zarr 3 image whose one shard holds one packed part of (1, 4, 6) and one that is absent."""
    zarr = pytest.importorskip("zarr")
    write_image(folder, field(7))
    (folder / "0" / ".zarray").unlink()
    packed = zarr.codecs.GzipCodec() if packer == "gzip" else zarr.codecs.ZstdCodec()
    shards = {"chunks": (1, 4, 6), "shards": (2, 4, 6), "compressors": [packed], "overwrite": True}
    array = zarr.create_array(str(folder / "0"), shape=(2, 4, 6), dtype="u2", fill_value=3, zarr_format=3, **shards)
    array[0] = field(7)[0]
    file = folder / "0" / "c" / "0" / "0" / "0"
    if part is not None:
        index = np.array([[0, len(part)], [2**64 - 1, 2**64 - 1]], "<u8").tobytes()
        google = pytest.importorskip("google_crc32c")
        file.write_bytes(part + index + google.value(index).to_bytes(4, "little"))
    facts = json.loads((folder / "0" / "zarr.json").read_text())
    facts["codecs"] = [*extra, *facts["codecs"]]
    facts["codecs"][-1]["configuration"]["index_codecs"][0]["configuration"]["endian"] = end
    (folder / "0" / "zarr.json").write_text(json.dumps(facts))
    return folder


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_parts_of_a_shard_are_measured_before_they_are_unpacked(tmp_path, packer) -> None:
    numcodecs = pytest.importorskip("numcodecs")
    (image,) = find_images(write_shard(tmp_path / "sound.zarr", None, packer))
    assert [int(plane.max()) for plane in image.read()] == [7, 3]  # an absent part is the fill value
    bomb = bytes(numcodecs.get_codec({"id": packer}).encode(np.zeros(70_000_000, np.uint8)))
    (image,) = find_images(write_shard(tmp_path / "bomb.zarr", bomb, packer))
    with pytest.raises(InputError, match="unpacks to"):
        image.read()
    beyond = write_shard(tmp_path / "beyond.zarr", bomb, packer)
    shard = beyond / "0" / "c" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[1:])  # its parts are a byte further on than they are
    shard.write_bytes(shard.read_bytes()[-40:])
    with pytest.raises(InputError, match="lies beyond its end"):
        find_images(beyond)[0].read()


@pytest.mark.parametrize(
    "form", [{"end": "big"}, {"extra": [{"name": "transpose", "configuration": {"order": [0, 2, 1]}}]}]
)
def test_shards_whose_parts_cannot_be_measured_are_refused(tmp_path, form) -> None:
    with pytest.raises(InputError, match="cannot be judged before they are unpacked"):
        find_images(write_shard(tmp_path / "i.zarr", None, "gzip", **form))


@pytest.mark.parametrize("option", [{"dtype": "|S100000"}, {"dtype": "<u2", "astype": "|O"}])
def test_filters_that_hold_other_things_than_numbers_are_refused(tmp_path, option) -> None:
    folder = write_image(tmp_path / "i.zarr", field(1), filters=[{"id": "delta", **option}])
    with pytest.raises(InputError, match="numbers alone"):
        find_images(folder)


@pytest.mark.parametrize("name", ["shape", "chunks"])
def test_sizes_of_thousands_of_digits_are_refused(tmp_path, name) -> None:
    folder = write_image(tmp_path / "i.zarr", field(1), **{name: [1, int("9" * 4_000), int("9" * 4_000)]})
    with pytest.raises(InputError, match="is damaged: shape"):
        find_images(folder)


def test_pixels_that_are_no_numbers_are_refused(tmp_path) -> None:
    pixels = np.full((1, 4, 6), np.nan, np.float32)
    (image,) = find_images(write_image(tmp_path / "i.zarr", pixels))
    with pytest.raises(InputError, match="NaN"):
        image.read()


def test_a_limit_of_pixels_reaches_the_store(tmp_path) -> None:
    folder = write_image(tmp_path / "i.zarr", field(1))
    assert find_images(folder, max_pixels=24)[0].read()[0].shape == (4, 6)
    with pytest.raises(InputError, match="limit of 23"):
        find_images(folder, max_pixels=23)


@pytest.mark.parametrize("what", ["0/0.0.0", "0/.zarray", "0"])
def test_links_out_of_a_store_are_not_followed(what, tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    store = write_image(tmp_path / "a.zarr", pixels)
    (image,) = find_images(store)
    assert image.read()[0].tolist() == pixels[0].tolist()
    (store / what).rename(tmp_path / "elsewhere")
    (store / what).symlink_to(tmp_path / "elsewhere")  # swapped after it was listed
    with pytest.raises(InputError, match="leads out of the store"):
        image.read()
    (store / what).unlink()
    (tmp_path / "elsewhere").rename(store / "inside")
    (store / what).symlink_to(store / "inside")
    assert image.read()[0].tolist() == pixels[0].tolist()


def test_metadata_that_are_a_pipe_are_refused(tmp_path) -> None:
    folder = write_image(tmp_path / "i.zarr", field(1))
    (folder / "0" / ".zarray").unlink()
    os.mkfifo(folder / "0" / ".zarray")
    with pytest.raises(InputError, match="is a pipe"):
        find_images(folder)


def test_codecs_that_pack_any_bytes_under_the_name_of_pictures_are_refused() -> None:
    for name in ("imagecodecs_zlib", "imagecodecs_zstd", "imagecodecs_blosc"):
        with pytest.raises(InputError, match="needs the codec"):
            require_plain_numbers({"dtype": "<u2", "compressor": {"id": name}, "filters": None}, 2, "w")
