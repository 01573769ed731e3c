"""Stains by name: which channel of an image plays which role of a network.

Laboratories name one structure by its dye, its target or its filter. A role lists the names it accepts; letters,
digits and nothing else are compared, so `Hoechst 33342`, `hoechst_33342` and `hoechst33342` are one name.
"""

from collections.abc import Sequence

from cytoimagenet_hf.core.errors import InputError

Role = tuple[str, ...]

DNA: Role = (
    *("dna", "nucleus", "nuclei", "nuclear", "dapi", "hoechst", "hoechst33342", "hoechst33258"),
    *("draq5", "sirdna", "origdna"),
)
ER: Role = ("er", "endoplasmicreticulum", "concanavalina", "cona", "calreticulin", "origer")
RNA: Role = ("rna", "nucleoli", "syto14", "syto", "nucleolirna", "origrna")
AGP: Role = ("agp", "actin", "factin", "phalloidin", "wga", "golgi", "actingolgiplasmamembrane", "origagp")
MITO: Role = ("mito", "mitochondria", "mitotracker", "mitotrackerdeepred", "origmito")
MICROTUBULES: Role = ("microtubules", "microtubule", "tubulin", "alphatubulin", "betatubulin")
PROTEIN: Role = ("protein", "target", "gfp", "egfp")
ANY: Role = ("*",)
"""The last role of a network that looks at one free stain beside its fixed ones."""


_KNOWN = (DNA, ER, RNA, AGP, MITO, MICROTUBULES, PROTEIN)


def role_of(name: str) -> Role:
    """The role that a name stands for, with every other name of it; an unknown name is a role of its own.

    Example:
        >>> role_of("Hoechst")[:2], role_of("collagen")
        (('dna', 'nucleus'), ('collagen',))
    """
    for role in _KNOWN:
        if _plain(name) in {_plain(accepted) for accepted in role}:
            return role
    return ANY if name == "*" else (name,)


def match_roles(roles: Sequence[Role], stains: Sequence[str], *, name: str) -> list[list[int]]:
    """The channel numbers of each input of a network, in the order of its roles, by the names of the channels.

    There is one input, or one per free stain where the last role is `ANY`. A role that no channel plays, or more than
    one, is refused.
    """
    plain = [_plain(stain) for stain in stains]
    there = ", ".join(stains) or "no named channels"
    fixed = []
    for role in roles:
        if role == ANY:
            continue
        accepted = {_plain(accepted) for accepted in role}
        numbers = [number for number, stain in enumerate(plain) if stain in accepted]
        if not numbers:
            raise InputError(
                f"{name} needs the stain {role[0]} ({', '.join(role[1:5])}, …) and the image has {there}: "
                "name its channels with stains=, or choose another network"
            )
        if len(numbers) > 1:
            rivals = ", ".join(stains[number] for number in numbers)
            raise InputError(f"{name}: {rivals} all name the stain {role[0]}: leave out all but one")
        fixed.append(numbers[0])
    if ANY not in roles:
        return [fixed]
    free = [number for number in range(len(stains)) if number not in fixed]
    if not free:
        raise InputError(f"{name} looks at one stain beside its fixed ones, and the image has only {there}")
    return [[*fixed, number] for number in free]


def _plain(stain: str) -> str:
    return "".join(character for character in stain.lower() if character.isalnum())
