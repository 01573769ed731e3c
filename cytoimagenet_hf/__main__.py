"""`python -m cytoimagenet_hf`: the same as the `cytoimagenet` command."""

from .cli import main

main()
