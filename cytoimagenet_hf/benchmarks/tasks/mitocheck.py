"""MitoCheck nuclei: 16 phenotypes after RNA interference in HeLa cells (Neumann et al. 2010), labelled by hand.

3,277 crops of 64 pixels, H2B-GFP, from 67 plates; a plate is left out whole. Tells whether nuclear shapes are named
across plates. Classes are uneven (58 to 473 cells), some have seven plates, and one is out of focus. CC BY 4.0.
"""

from .named_cells import NamedCells

MITOCHECK = NamedCells(
    "mitocheck",
    "MitoCheck nuclei (16 phenotypes, across plates)",
    stain="h2b",
    where=(
        "clone https://github.com/WayScience/phenotypic_profiling (CC BY 4.0) and point to it, or to its folder "
        "6.single_cell_images"
    ),
    folders=(
        "6.single_cell_images/mitocheck_single_cell_sample_images/*",
        "mitocheck_single_cell_sample_images/*",
    ),
    pattern=r"PL(?P<group>LT\d+_\d+)--.+_img\.png",
    group="plate",
).benchmark()
