"""Names that lead nowhere, or somewhere else."""

DATASETS = {
    "plain": "nope",
    "dotted": "../nope",
    "deep": "no/such/folder",
    "empty": "",
    "blank": " ",
    "spaces": "my data set",
    "long": "n" * 300,
    "control": "nope\x07bell",
    "unicode": "données",
    "absolute": "/nope/nowhere",
    "url": "https://example.org/data",
    "scheme": "hf://nope",
    "glob": "nope*",
    "no_utf_8": "nope\udcff",
    "a_file": "{file}",
    "empty_folder": "{empty}",
}
"""No folder and no repository's name."""

MODELS = {
    **{name: DATASETS[name] for name in ("plain", "deep", "empty", "spaces", "absolute", "url", "no_utf_8")},
    "a_file": "{file}",
    "empty_folder": "{empty}",
    "random_text": "random:many",
    "random_negative": "random:-1",
    "pickle": "{pickle}",
    "named_nothing": "Net=",
}

REPOSITORIES = {
    "no_owner": "nope",
    "three_parts": "a/b/c",
    "empty": "",
    "spaces": "me/my data",
    "dots": "me/..",
    "url": "https://huggingface.co/me/data",
    "no_utf_8": "me/\udcff",
}
"""No name of a repository."""
