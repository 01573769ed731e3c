"""What `AutoImageProcessor.from_pretrained(..., trust_remote_code=True)` loads from a model folder.

A copy travels with every saved processor. It needs `pip install cytoimagenet-hf`; without the package, the stock
configuration beside it serves 8-bit pictures.
"""

from cytoimagenet_hf.networks.processing import MicroscopyImageProcessor as _Installed


class MicroscopyImageProcessor(_Installed):
    """The installed processor under a name of its own, so that trusting a folder changes no class of the package."""
