"""The explorer as a Space: set DATASET and MODEL to repositories in the Space's settings."""

import os

from cytoimagenet_hf.explore.app import launch
from cytoimagenet_hf.explore.gallery import Gallery

launch(Gallery(os.environ["DATASET"], model=os.environ.get("MODEL"), limit=2000), host="0.0.0.0", port=7860)
