"""CLOOME's image tower: a ResNet-50 that averages before it strides, with a dense layer on top."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.checkpoints import fill, read_tensors, strip
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource
from cytoimagenet_hf.networks.roles import AGP, DNA, ER, MITO, RNA

_CENTRE = (47.1314, 40.8138, 53.7692, 46.2656, 28.7243)

KINDS = (
    EncoderFacts(
        name="cloome",
        title="CLOOME, ResNet-50",
        channels="joint",
        stains=(MITO, (*ER, "ersyto"), (*RNA, "ersytobleed"), (*AGP, "phgolgi"), (*DNA,)),
        scale="percentile",
        from_zero=True,
        high=99.99,
        dim=512,
        source=WeightSource(
            "anasanchezf/cloome", files={"cloome-bioactivity.pt": ""}, licence="terms of CLOOB (see its repository)"
        ),
        factor=255.0,
        mean=_CENTRE,
        sd=_CENTRE,
        size=(520, 520),
        fit="crop",
        smallest=224,
        take="dense layer",
        note="the same outputs as the published code on random weights; bytes are not rounded; "
        "the published weights were never loaded here",
    ),
)


def build(file: Path, name: str) -> nn.Module:
    """The image tower in the file of both towers; weights of another network are refused."""
    towers = strip(read_tensors(file), "module.")
    state = {key.removeprefix("visual."): value for key, value in towers.items() if key.startswith("visual.")}
    try:
        channels, width = state["conv1.weight"].shape[1], state["conv1.weight"].shape[0]
        out = state["fc.weight"].shape[0]
    except KeyError as error:
        raise InputError(f"{name}: no weights of CLOOME, whose names begin with visual. ({error})") from None
    depths = [len({key.split(".")[1] for key in state if key.startswith(f"layer{stage}.")}) for stage in (1, 2, 3, 4)]
    network = _Tower(channels, width, depths, out).eval()
    fill(network, state, name=name)
    return network


class _Tower(nn.Module):
    def __init__(self, channels: int, width: int, depths: list[int], out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for stage, depth in enumerate(depths, 1):
            inner = width * 2 ** (stage - 1)
            blocks = []
            for number in range(depth):
                blocks.append(_Block(before, inner, stride=2 if stage > 1 and number == 0 else 1))
                before = 4 * inner
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, out)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, out); h and w of 224 or more."""
        maps = functional.max_pool2d(self.bn1(self.conv1(pixels)).relu(), 3, stride=2, padding=1)
        for stage in (1, 2, 3, 4):
            maps = getattr(self, f"layer{stage}")(maps)
        # The mean over windows of 7 x 7, then over the windows: pixels at the border count less.
        return self.fc(functional.avg_pool2d(maps, 7, stride=1).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, before: int, inner: int, *, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or before != 4 * inner:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(before, 4 * inner, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(4 * inner))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.bn1(self.conv1(pixels)).relu()
        maps = self.pool(self.bn2(self.conv2(maps)).relu())
        return (self.bn3(self.conv3(maps)) + self.downsample(pixels)).relu()
