"""Torch on a CPU: each thread computes units of its own."""

import threading

import pytest
import torch
from torch import nn

from cytoimagenet_hf.features.runtimes import difference, make_runner


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


class Watched(nn.Module):
    """A pixel of each unit doubled; it notes on how many units, and with how many threads, each call works."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int]] = []

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        self.calls.append((len(units), torch.get_num_threads()))
        return 2 * units[:, :, 0, 0]


@pytest.mark.parametrize(("units", "calls"), [(7, [(2, 1), (2, 1), (3, 1)]), (3, [(1, 1)] * 3), (2, [(2, 3)])])
def test_each_thread_computes_a_part_of_a_batch(three_threads, units, calls):
    network = Watched()
    run = make_runner(network, device="cpu")
    pixels = torch.arange(units * 4.0).reshape(units, 1, 2, 2)
    run(pixels)  # the first batch is also compared with the network as it was loaded
    network.calls.clear()
    assert run(pixels)[:, 0].tolist() == [8.0 * number for number in range(units)]
    assert sorted(network.calls) == calls


def test_a_convolution_on_lanes_gives_what_one_thread_gives(three_threads):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    units = torch.rand((8, 1, 9, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert difference(make_runner(network, device="cpu")(units), network(units)) < 1e-6


def test_callers_keep_their_number_of_threads(three_threads):
    make_runner(Watched(), device="cpu")(torch.ones(6, 1, 2, 2))
    seen = [torch.get_num_threads()]
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3, 3]


def test_an_error_of_the_network_reaches_the_caller(three_threads):
    class Broken(Watched):
        def forward(self, units):
            if len(self.calls) > 3:
                raise RuntimeError("size of tensor a must match")
            return super().forward(units)

    run = make_runner(Broken(), device="cpu")
    with pytest.raises(RuntimeError, match="must match"):
        for _ in range(9):
            run(torch.ones(3, 1, 2, 2))
