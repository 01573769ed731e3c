"""Every kind of file at its native depth; every damaged one named with the reason."""

import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import ImageReadError, read_image
from tests.imaging.files import png, tiff

GRAY8 = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
GRAY16 = (np.arange(20 * 30, dtype=np.uint16) * 109).reshape(20, 30)
GRAY12 = (np.arange(20 * 30, dtype=np.uint16) * 6 % 4096).reshape(20, 30)
RGB8 = np.stack([GRAY8, GRAY8[::-1], GRAY8 // 2], axis=-1)
RGB16 = np.stack([GRAY16, GRAY16[::-1], GRAY16 // 2], axis=-1)
FLOAT = np.linspace(-3, 9, 600, dtype=np.float32).reshape(20, 30)
RAMP = np.repeat(np.arange(256, dtype=np.uint16) * 257, 3).reshape(256, 3).T
LOSSLESS_TIFF = {"contiguous": None, "lzw": "lzw", "deflate": "deflate", "packbits": "packbits"}


@pytest.mark.parametrize("suffix", ["png", "bmp", "dib", "tif", "tiff", "gif"])
def test_gray_bytes_come_back_as_they_were(tmp_path, suffix):
    path = tmp_path / f"cell.{suffix.upper()}"
    PIL.Image.fromarray(GRAY8).save(path, {"tif": "TIFF", "tiff": "TIFF"}.get(suffix, suffix))
    found = read_image(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, GRAY8)


@pytest.mark.parametrize(
    "image", [GRAY8, GRAY16, FLOAT, FLOAT.astype(np.float64), RGB8, RGB16, GRAY16.astype(np.int16)]
)
@pytest.mark.parametrize("compression", LOSSLESS_TIFF.values(), ids=LOSSLESS_TIFF)
def test_tiff_keeps_dtype_and_pixels(tmp_path, image, compression):
    path = tmp_path / "cell.tif"
    tifffile.imwrite(path, image, compression=compression, photometric="rgb" if image.ndim == 3 else "minisblack")
    found = read_image(path)
    assert found.dtype == image.dtype
    assert np.array_equal(found, image)


@pytest.mark.parametrize(
    ("written", "options", "read"),
    [
        (GRAY16, {"byteorder": ">"}, GRAY16),
        (GRAY8, {"photometric": "palette", "colormap": RAMP[:, ::-1]}, 255 - GRAY8),
        (255 - GRAY8, {"photometric": "miniswhite"}, GRAY8),
        (np.moveaxis(RGB8, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}, RGB8),
        (np.dstack([RGB8, GRAY8]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, RGB8),
    ],
    ids=["other byte order", "gray palette", "white is zero", "planes of colours", "alpha"],
)
def test_tiff_gives_values_as_they_are_meant(tmp_path, written, options, read):
    tifffile.imwrite(tmp_path / "cell.tif", written, **options)
    found = read_image(tmp_path / "cell.tif")
    assert found.dtype == read.dtype
    assert np.array_equal(found, read)


def test_packed_12_bit_tiff(tmp_path):
    # Two samples in three bytes, written by hand: no installed encoder packs 12 bits.
    flat = GRAY12.ravel().astype(np.uint32)
    first, second = flat[::2], flat[1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
    tags = {256: 30, 257: 20, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 20, 279: len(packed)}
    (tmp_path / "cell.tif").write_bytes(tiff(tags, packed + bytes(len(packed) % 2)))
    found = read_image(tmp_path / "cell.tif")
    assert found.dtype == np.uint16
    assert np.array_equal(found, GRAY12)


def test_palette_tiff_gives_the_values_of_its_palette(tmp_path):
    colours = RAMP.copy()
    colours[1] = 0
    tifffile.imwrite(tmp_path / "colour.tif", GRAY8, photometric="palette", colormap=colours)
    found = read_image(tmp_path / "colour.tif")
    assert found.shape == (20, 30, 3)
    assert np.array_equal(found[..., 0], GRAY8)
    assert not found[..., 1].any()


@pytest.mark.parametrize("suffix", ["bmp", "png"])
def test_gray_palette_of_other_files_gives_gray(tmp_path, suffix):
    image = PIL.Image.fromarray(GRAY8 // 64, mode="P")
    image.putpalette([value for gray in (0, 10, 200, 255) for value in (gray,) * 3])
    image.save(tmp_path / f"cell.{suffix}")
    assert np.array_equal(read_image(tmp_path / f"cell.{suffix}"), np.array([0, 10, 200, 255], np.uint8)[GRAY8 // 64])


def test_pages_of_tiff_and_npy(tmp_path):
    stack = np.stack([GRAY16, GRAY16 + 1, GRAY16 + 2])
    tifffile.imwrite(tmp_path / "pages.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "imagej.tif", stack, imagej=True)
    tifffile.imwrite(tmp_path / "screen.flex", stack, photometric="minisblack", metadata=None)
    np.save(tmp_path / "stack.npy", stack)
    for name in ("pages.tif", "imagej.tif", "screen.flex", "stack.npy"):
        assert np.array_equal(read_image(tmp_path / name), GRAY16), name
        assert np.array_equal(read_image(tmp_path / name, page=2), GRAY16 + 2), name
        with pytest.raises(ImageReadError, match=r"no page 3: it has 3"):
            read_image(tmp_path / name, page=3)


def test_png_depths(tmp_path):
    for name, image in {"gray16": GRAY16, "rgb8": RGB8}.items():
        PIL.Image.fromarray(image).save(tmp_path / f"{name}.png")
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), image)
        assert read_image(tmp_path / f"{name}.png").dtype == image.dtype
    cv2.imwrite(str(tmp_path / "rgb16.png"), RGB16[..., ::-1])
    assert np.array_equal(read_image(tmp_path / "rgb16.png"), RGB16)
    PIL.Image.fromarray(GRAY8 > 100).save(tmp_path / "mask.png")
    assert np.array_equal(read_image(tmp_path / "mask.png"), np.where(GRAY8 > 100, 255, 0))


@pytest.mark.parametrize("filtered", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("image", [GRAY8, GRAY16, GRAY8[:1], GRAY16[:, :1]], ids=["8", "16", "row", "column"])
def test_gray_png_of_every_row_filter_is_what_pillow_reads(tmp_path, image, filtered):
    rows = np.ascontiguousarray(image.astype(image.dtype.newbyteorder(">"))).view(np.uint8).reshape(len(image), -1)
    data = b"".join(bytes([filtered]) + row.tobytes() for row in rows)  # any bytes are valid differences
    packed, (height, width), depth = zlib.compress(data), image.shape, 8 * image.dtype.itemsize
    content = png(width, height, packed[:7], packed[7:], depth=depth, text=b"made by\0hand")
    (tmp_path / "cell.png").write_bytes(content)
    found = read_image(tmp_path / "cell.png")
    assert found.dtype == image.dtype
    assert np.array_equal(found, np.asarray(PIL.Image.open(tmp_path / "cell.png")))


def test_a_flipped_bit_of_a_png_is_found(tmp_path):
    PIL.Image.fromarray(GRAY8).save(tmp_path / "cell.png")
    content = bytearray((tmp_path / "cell.png").read_bytes())
    content[content.index(b"IDAT") + 20] ^= 1
    (tmp_path / "cell.png").write_bytes(content)
    with pytest.raises(ImageReadError, match=r"cell\.png.*IDAT"):
        read_image(tmp_path / "cell.png")


def test_alpha_is_dropped(tmp_path):
    alpha = np.full_like(GRAY8, 7)
    PIL.Image.fromarray(np.dstack([RGB8, alpha])).save(tmp_path / "rgba.png")
    PIL.Image.fromarray(np.dstack([GRAY8, alpha]), mode="LA").save(tmp_path / "la.png")
    assert np.array_equal(read_image(tmp_path / "rgba.png"), RGB8)
    assert np.array_equal(read_image(tmp_path / "la.png"), GRAY8)


def test_jpeg_and_a_wrong_suffix(tmp_path):
    smooth = np.repeat(np.arange(64, dtype=np.uint8) * 4, 64).reshape(64, 64)
    PIL.Image.fromarray(smooth).save(tmp_path / "cell.png", "JPEG", quality=95)
    found = read_image(tmp_path / "cell.png")
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - smooth).max() <= 4


def test_deltavision_is_read_as_its_own_package_does(tmp_path):
    mrc = pytest.importorskip("mrc")
    stack = np.stack([GRAY16.astype(np.int16), GRAY16.astype(np.int16) + 1])
    mrc.imsave(str(tmp_path / "cell.dv"), stack)
    assert np.array_equal(read_image(tmp_path / "cell.dv", page=1), stack[1])
    assert np.array_equal(mrc.imread(str(tmp_path / "cell.dv"))[1], stack[1])


def _write(path, kind):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60_000, (64, 64)).astype(np.uint16)
    if kind == "tif":
        tifffile.imwrite(path, noise)
    elif kind == "lzw":
        tifffile.imwrite(path, noise, compression="lzw")
    elif kind == "png16":
        cv2.imwrite(str(path), np.dstack([noise] * 3))
    elif kind == "npy":
        np.save(path, noise)
    else:
        PIL.Image.fromarray((noise >> 8).astype(np.uint8)).save(path, kind)


@pytest.mark.parametrize("kind", ["tif", "lzw", "png16", "npy", "PNG", "JPEG", "BMP"])
@pytest.mark.parametrize("part", [0.15, 0.5, 0.9])
def test_truncated_files_are_refused_by_name(tmp_path, kind, part):
    path = tmp_path / {"png16": "cell.png", "npy": "cell.npy"}.get(kind, "cell.img")
    _write(path, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ImageReadError, match=path.name):
        read_image(path)


@pytest.mark.parametrize("kind", ["tif", "PNG", "JPEG"])
def test_a_partial_read_keeps_what_is_there(tmp_path, kind):
    path = tmp_path / "cell.img"
    _write(path, kind)
    whole = read_image(path)
    content = path.read_bytes()
    if kind == "tif":  # the directory stands before the pixels
        assert content.index(b"\x01\x01") < 400
    path.write_bytes(content[: int(len(content) * 0.7)])
    found = read_image(path, partial=True)
    assert found.shape == whole.shape
    assert np.array_equal(found[:16], whole[:16])
    assert not np.array_equal(found, whole)
    assert not PIL.ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"well,compound\nA01,dmso\n" * 20, "cannot decode"),
        (b"II*\0" + bytes(60), "cell"),
        (b"\x93NUMPY", "cell"),
    ],
)
def test_files_that_are_no_images(tmp_path, content, reason):
    (tmp_path / "cell.tif").write_bytes(content)
    with pytest.raises(ImageReadError, match=reason):
        read_image(tmp_path / "cell.tif")


def test_absent_files_folders_and_arrays_that_are_no_images(tmp_path):
    with pytest.raises(ImageReadError, match=r"cannot open .*absent\.png"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(ImageReadError, match="cannot open"):
        read_image(tmp_path)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageReadError, match="objects"):
        read_image(tmp_path / "objects.npy")
    np.save(tmp_path / "line.npy", np.arange(5))
    with pytest.raises(ImageReadError, match=r"shape \(5,\)"):
        read_image(tmp_path / "line.npy")
    np.save(tmp_path / "nan.npy", np.full((4, 4), np.nan))
    with pytest.raises(ImageReadError, match="NaN"):
        read_image(tmp_path / "nan.npy")
    assert issubclass(ImageReadError, InputError)


def test_real_files(real_root):
    archives = real_root / "archives"
    palette = sorted(archives.glob("bbbc013/**/*.tif"))[0]
    deep = sorted(archives.glob("bbbc010/**/*.tif"))[0]
    colour = sorted(archives.glob("kag_leukemia/**/*.bmp"))[0]
    assert read_image(palette).shape == (640, 640)
    assert np.array_equal(read_image(palette), tifffile.imread(palette))
    assert (read_image(deep).dtype, read_image(deep).max() > 255) == (np.uint16, True)
    assert np.array_equal(read_image(colour), np.asarray(PIL.Image.open(colour)))


def test_a_png_that_claims_more_than_it_holds_takes_no_memory(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(2**31 - 1, 2**31 - 1, zlib.compress(bytes(100))))
    with pytest.raises(ImageReadError, match="it claims 2147483647 x 2147483647 pixels"):
        read_image(tmp_path / "bomb.png", max_pixels=2**63)
