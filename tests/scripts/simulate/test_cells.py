"""The generative model: cells look as their phenotype says, and a camera does what its optics say."""

import numpy as np
import pytest
from skimage.measure import label, regionprops

from scripts.simulate import EFFECTS, Optics, Phenotype, Style, batch_optics, draw_field, expose, mix
from scripts.simulate.structures import STRUCTURES

SPARSE = Phenotype(confluence=0.3, radius_cv=0.0)
IN_NUCLEUS = {"nucleus", "nucleoli", "nuclear speckles", "spindle", "spindle pole"}
OUT_OF_NUCLEUS = {"er", "mitochondria", "peroxisomes", "lysosomes", "microtubules", "actin patches"} | {
    *("focal adhesions", "cell membrane", "shell", "bud neck", "bud tip", "vacuole", "vacuole membrane")
}


def draw(phenotype, *channels, seed=0, size=160, **options):
    return draw_field(np.random.default_rng(seed), phenotype, size, channels, **options)


def nuclei(phenotype, seed=0):
    """Properties of the nuclei that touch no border."""
    regions = regionprops(label(draw(phenotype, "mask", seed=seed, size=320)["mask"] > 0))
    return [region for region in regions if min(region.bbox[:2]) > 0 and max(region.bbox[2:]) < 320]


def test_every_structure_draws_light_and_no_darkness():
    drawn = {name: draw(Phenotype(bud=0.4), name)[name] for name in STRUCTURES}
    assert len(drawn) >= 25
    for name, image in drawn.items():
        assert image.shape == (160, 160), name
        assert image.dtype == np.float32, name
        assert image.min() >= 0, name
        assert 0.2 < image.max() < 30, name
        assert image.std() > 0.01, name


def test_structures_lie_where_their_name_says():
    assert STRUCTURES.keys() >= IN_NUCLEUS | OUT_OF_NUCLEUS
    for name in sorted(IN_NUCLEUS | OUT_OF_NUCLEUS):
        image = {}
        for seed in range(3):  # one field may hold a single cell whose few particles say little
            field = draw(SPARSE, name, "mask", seed=seed)
            for side, where in (("in", field["mask"] > 0), ("out", field["mask"] == 0)):
                image.setdefault(side, []).append(np.sort(field[name][where])[-400:].sum())
        inside, outside = sum(image["in"]), sum(image["out"])
        assert (inside > outside) == (name in IN_NUCLEUS), f"{name}: {inside:.1f} inside, {outside:.1f} outside nuclei"


def test_equal_generators_draw_equal_fields_and_others_do_not():
    first, same, other = (draw(Phenotype(), "actin+golgi", seed=seed)["actin+golgi"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1


def test_several_structures_add_up_in_one_channel():
    both = draw(Phenotype(), "nucleus+er")["nucleus+er"]
    assert both.sum() > draw(Phenotype(), "nucleus")["nucleus"].sum()


def test_size_may_be_height_and_width():
    assert draw(Phenotype(), "er", size=(48, 80))["er"].shape == (48, 80)


def test_single_cells_stand_in_the_middle():
    mask = draw(Phenotype(radius=22), "mask", size=64, single=True)["mask"]
    assert mask[32, 32] == 255
    assert not mask[:4].any()


def test_unknown_structure_is_refused():
    with pytest.raises(ValueError, match=r"unknown structure 'cilia'; known: actin"):
        draw(Phenotype(), "nucleus+cilia")


def test_effects_change_nuclei_as_described():
    plain = nuclei(SPARSE)
    assert len(plain) >= 3
    large = nuclei(SPARSE.variant(nucleus=0.7))
    assert np.mean([r.area for r in large]) > 1.5 * np.mean([r.area for r in plain])
    long = nuclei(SPARSE.variant(nucleus_elongation=0.5, nucleus_roughness=0.0))
    assert np.mean([r.eccentricity for r in long]) > np.mean([r.eccentricity for r in plain]) + 0.2
    lobed = nuclei(SPARSE.variant(lobes=3))
    assert np.mean([r.solidity for r in lobed]) < np.mean([r.solidity for r in plain]) - 0.05
    assert len(nuclei(SPARSE.variant(confluence=1.2))) > 2 * len(plain)


def test_moved_protein_is_found_in_its_new_place():
    field = draw(SPARSE.variant(moved={"cytosol": "nucleus"}), "cytosol", "mask")
    mask = field["mask"] > 0
    assert field["cytosol"][mask].mean() > 20 * field["cytosol"][~mask].mean()


def test_mix_runs_from_control_to_effect():
    control, effect = Phenotype(radius=10, styles={"er": Style(grain=2)}), EFFECTS["mitotic arrest"]
    assert mix(control, effect, 0).radius == 10
    assert mix(control, effect, 0).style("er") == Style(grain=2)
    assert mix(control, effect, 0).moved == {}
    assert mix(control, effect, 1) == effect.variant(styles={"er": Style()})
    half = mix(control, effect, 0.5)
    assert half.radius == pytest.approx((10 + effect.radius) / 2)
    assert half.style("er").grain == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("depth", "dtype", "full"), [("uint8", np.uint8, 255), ("uint12", np.uint16, 4095), ("uint16", np.uint16, 65535)]
)
def test_exposure_fills_its_bit_depth(depth, dtype, full):
    image = draw(Phenotype(), "nucleus")["nucleus"]
    pixels = expose(np.random.default_rng(0), image, Optics(gain=0.5, offset=0.02), depth=depth)
    assert pixels.dtype == dtype
    assert 0.3 * full < pixels.max() <= full
    assert len(np.unique(pixels)) > (100 if depth == "uint8" else 256)


def test_float_exposure_stays_in_unit_range():
    pixels = expose(np.random.default_rng(0), np.full((64, 64), 5, np.float32), Optics(gain=0.5), depth="float32")
    assert pixels.dtype == np.float32
    assert pixels.max() == 1.0


def test_photons_and_read_noise_set_the_noise():
    flat = np.ones((128, 128), np.float32)
    still = {"blur": 0.5, "background": 0.0, "vignette": 0.0, "gain": 0.5, "offset": 0.0}

    def relative_noise(**optics):
        pixels = expose(np.random.default_rng(0), flat, Optics(**still, **optics), depth="uint16")
        return pixels.std() / pixels.mean()

    assert relative_noise(photons=400, read_noise=0) == pytest.approx(1 / 20, rel=0.05)  # sqrt(N) / N
    assert relative_noise(photons=100, read_noise=0) == pytest.approx(1 / 10, rel=0.05)
    assert relative_noise(photons=100, read_noise=10) == pytest.approx(np.sqrt(200) / 100, rel=0.05)


def test_vignette_darkens_one_side():
    optics = Optics(vignette=0.4, vignette_angle=0.0)
    pixels = expose(np.random.default_rng(0), np.ones((64, 64), np.float32), optics, depth="uint16").astype(float)
    assert pixels[:, -8:].mean() > 1.3 * pixels[:, :8].mean()


def test_batches_differ_more_with_severity():
    def spread(severity):
        optics = [batch_optics(np.random.default_rng(seed), severity=severity) for seed in range(30)]
        return np.std([np.log(o.photons) for o in optics]), np.std([o.blur for o in optics])

    assert spread(0) == pytest.approx((0, 0), abs=1e-9)
    assert spread(0.5) < spread(1.0) < spread(2.0)
