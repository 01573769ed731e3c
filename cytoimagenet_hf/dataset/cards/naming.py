"""The name by which a card tells its reader to load what it describes, and how a push changes it."""

import re

_CALLS = r"from_pretrained|load_dataset|load_cytoimagenet|load_encoder|load_backbone|pipeline|snapshot_download"


def rename_card(text: str, name: str) -> str:
    """A card whose title, code and commands name the repository it stands in; everything else stays as it is.

    The name it had is that of its own code: the first repository or folder that is loaded there.

    Args:
        text: of a README.md, rendered or edited by hand.
        name: of the repository, `"owner/name"`.

    Example:
        >>> code = 'model = AutoModel.from_pretrained("one")  # one network'
        >>> card = f"# one\\n\\n```python\\n{code}\\n```\\n`--model one`"
        >>> print(rename_card(card, "me/b0"))
        # me/b0
        <BLANKLINE>
        ```python
        model = AutoModel.from_pretrained("me/b0")  # one network
        ```
        `--model me/b0`
    """
    call = re.search(rf"""(?:{_CALLS})\(\s*(["'])(?P<name>[^"'\n]+)\1""", text)
    if call is None:
        return text
    old = re.escape(call["name"])
    rules = (
        (rf"""((?:{_CALLS})\(\s*|\b(?:model|repo_id)\s*=\s*)(["']){old}\2""", r"\1\2{}\2"),
        (rf"""((?:--model|--encoder|--backbone|hf download)[ =]){old}(?![\w./-])""", r"\1{}"),
        (rf"(?m)^(# ){old}$", r"\1{}"),
        (rf"(?m)^(- name: |model_name: ){old}$", r"\1{}"),
    )
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement.format(name), text)
    return text
