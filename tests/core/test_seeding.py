from cytoimagenet_hf.core.seeding import derive_rng


def draws(*key):
    return derive_rng(*key).integers(0, 2**63, 4).tolist()


def test_equal_keys_give_equal_draws_in_any_order():
    first = {item: draws(7, "crop", item) for item in ("a", "b", "c")}
    again = {item: draws(7, "crop", item) for item in ("c", "a", "b")}
    assert first == again


def test_every_part_of_the_key_matters():
    keys = [
        (7, "crop", "a"),
        (8, "crop", "a"),
        (7, "split", "a"),
        (7, "crop", "b"),
        (7, "cropa", ""),
        (7, "", "cropa"),
    ]
    assert len({tuple(draws(*key)) for key in keys}) == len(keys)
