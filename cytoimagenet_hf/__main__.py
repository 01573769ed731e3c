"""`python -m cytoimagenet_hf`: the same as the `cytoimagenet` command."""

import sys

from .cli import main

sys.exit(main())
