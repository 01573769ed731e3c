"""Named looks: what treatments do to adherent cells; labels of the archive and classes of the benchmarks use them."""

from .phenotypes import USUAL, Phenotype, Style

EFFECTS: dict[str, Phenotype] = {
    "none": USUAL,
    "large flat cells": USUAL.variant(radius=24, nucleus=0.42, confluence=0.5, roughness=0.07),
    "small round cells": USUAL.variant(radius=13, roughness=0.01, elongation=0.05, nucleus=0.6, confluence=0.4),
    "elongated cells": USUAL.variant(elongation=0.6, nucleus_elongation=0.4, radius=17),
    "star-shaped cells": USUAL.variant(roughness=0.2, radius=19, nucleus=0.4),
    "crowded cells": USUAL.variant(confluence=1.5, roughness=0.02, radius=15),
    "fragmented nuclei": USUAL.variant(lobes=4, nucleus=0.55, nucleus_roughness=0.05),
    "two nuclei": USUAL.variant(lobes=2, radius=21, nucleus=0.55),
    "large nuclei": USUAL.variant(
        nucleus=0.68, radius=20, nucleus_roughness=0.05, styles={"nucleus": Style(contrast=2.5)}
    ),
    "condensed chromatin": USUAL.variant(
        nucleus=0.38, styles={"nucleus": Style(contrast=4, grain=0.6, level=1.3), "nucleoli": Style(amount=0.4)}
    ),
    "collapsed er": USUAL.variant(styles={"er": Style(grain=0.8, spread=0.0, level=1.2)}),
    "dispersed golgi": USUAL.variant(styles={"golgi": Style(spread=1.0, amount=2.2, grain=0.8)}),
    "fragmented mitochondria": USUAL.variant(styles={"mitochondria": Style(grain=0.22, amount=2.2)}),
    "thick actin fibres": USUAL.variant(elongation=0.3, styles={"actin": Style(grain=1.9, contrast=1.5)}),
    "actin lost": USUAL.variant(roughness=0.12, moved={"actin": "peroxisomes"}),
    "actin at the edge": USUAL.variant(moved={"actin": "cell membrane"}, roughness=0.02),
    "microtubules lost": USUAL.variant(
        radius=15, roughness=0.02, moved={"microtubules": "cytosol"}, styles={"golgi": Style(spread=0.9)}
    ),
    "microtubule bundles": USUAL.variant(styles={"microtubules": Style(spread=0.15, amount=1.5, grain=1.6)}),
    "large endosomes": USUAL.variant(
        styles={"endosomes": Style(grain=2.0, amount=0.7), "lysosomes": Style(grain=1.8)}
    ),
    "vacuolated cells": USUAL.variant(
        radius=20, moved={"er": "vacuole membrane"}, styles={"er": Style(amount=3.5, grain=0.9)}
    ),
    "mitotic arrest": USUAL.variant(
        radius=15,
        elongation=0.05,
        roughness=0.01,
        nucleus=0.62,
        nucleus_elongation=0.3,
        moved={"microtubules": "spindle", "actin": "cell membrane"},
        styles={"nucleus": Style(contrast=3, grain=0.7)},
    ),
}
"""Full effects on adherent cells, by description; `mix` gives weaker ones."""
