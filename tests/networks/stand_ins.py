"""Small networks with random weights under the names and in the files that each kind of encoder loads.

Width, channels and names are those of the published configurations, so that the length of the vectors is checked;
depth is one or two blocks. `make(key, folder)` gives the name that `load_encoder` takes and the options it needs.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

from cytoimagenet_hf.networks import (
    ENCODERS,
    MicroscopyImageProcessor,
    build_efficientnet,
    lite,
    reestimate_batch_norm,
)
from cytoimagenet_hf.networks.lite import LITES, imagenet_lite

Named = tuple[str, dict[str, Any]]
TINY = {"width_coefficient": 0.25, "depth_coefficient": 0.5, "image_size": 32}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_HPA = "microtubules,er,dna,protein"
_ROLES = {
    "cell-dino-hpa-vitl16": _HPA,
    "cell-dino-hpa-vitl14": _HPA,
    "dino4cells": _HPA,
    "cell-dino-cp-vits8": "dna,er,rna,agp,mito",
}


def make(key: str, folder: Path) -> Named:
    """Write the stand-in of a kind; the same weights each time."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if key in ("own", "imagenet-b0", "timm"):
            return _own(key, folder)
        if key in LITES:
            torch.save(lite_state(key), folder / "drawn.pth")
            return f"{key}:{folder / 'drawn.pth'}", {}
        if key.startswith("dinov"):
            return _stock_dino(key, folder)
        if key.startswith("subcell"):
            return _subcell(key, folder)
        return _OTHERS.get(key, _vit_file)(key, folder)


def _own(key: str, folder: Path) -> Named:
    if key == "timm":
        import timm  # noqa: F401 - skipped by the caller where it is absent
        from transformers import TimmWrapperConfig, TimmWrapperModel

        # What the Hub's repositories of timm have in their config.json.
        recorded = {"mean": IMAGENET["image_mean"], "std": IMAGENET["image_std"], "input_size": [3, 224, 224]}
        recorded |= {"fixed_input_size": True}
        config = TimmWrapperConfig(architecture="vit_tiny_patch16_224", do_pooling=True, pretrained_cfg=recorded)
        TimmWrapperModel(config).save_pretrained(folder)
        return f"timm:{folder}", {}
    size = {} if key == "imagenet-b0" else TINY
    settled(build_efficientnet(2, seed=0, **size)).save_pretrained(folder)
    MicroscopyImageProcessor(**IMAGENET).save_pretrained(folder)
    return f"{key}:{folder}", {}


def lite_state(key: str) -> dict[str, torch.Tensor]:
    """Drawn weights of an EfficientNet-Lite by the names of the reference package."""
    model = settled(imagenet_lite(key, pretrained=False, seed=0))
    outside = {ours: theirs for theirs, ours in lite._OUTSIDE.items()}
    inside = {ours: theirs for theirs, ours in lite._IN_BLOCK.items()}
    state = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    for name, value in model.state_dict().items():
        layer, _, variable = name.rpartition(".")
        if layer in outside:
            state[f"{outside[layer]}.{variable}"] = value
        elif layer.startswith("encoder.blocks.") and "squeeze_excite" not in layer:
            number, rest = layer.removeprefix("encoder.blocks.").split(".", 1)
            state[f"_blocks.{number}.{inside[rest]}.{variable}"] = value
    return state


def settled(model: Any) -> Any:
    """The network with batch-norm statistics of noise, without which its outputs would be of the order of 1e-6."""
    noise = torch.rand(8, model.config.num_channels, 64, 64, generator=torch.Generator().manual_seed(0))
    reestimate_batch_norm(model, [noise])
    return model.eval()


def _stock_dino(key: str, folder: Path) -> Named:
    dim = ENCODERS[key].dim
    if key.startswith("dinov3-convnext"):
        widths = [dim // 8, dim // 4, dim // 2, dim]
        config: Any = DINOv3ConvNextConfig(hidden_sizes=widths, depths=[1, 1, 1, 1])
        model: Any = DINOv3ConvNextModel(config)
    elif key.startswith("dinov3"):
        config = DINOv3ViTConfig(
            hidden_size=dim,
            intermediate_size=dim,
            num_hidden_layers=1,
            num_attention_heads=dim // 64,
            num_register_tokens=4,
        )
        model = DINOv3ViTModel(config)
    else:
        settings = {"hidden_size": dim, "num_hidden_layers": 1, "num_attention_heads": dim // 64, "image_size": 518}
        settings |= {"patch_size": 14, "use_swiglu_ffn": "giant" in key, "mlp_ratio": 1}
        if "registers" in key:
            model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=4, **settings))
        else:
            model = Dinov2Model(Dinov2Config(**settings))
    model.save_pretrained(folder)
    stock = {"image_processor_type": "BitImageProcessor", "do_normalize": True, "rescale_factor": 1 / 255, **IMAGENET}
    (folder / "preprocessor_config.json").write_text(json.dumps(stock))
    return f"{key}:{folder}", {}


def dino_state(width: int, channels: int, patch: int, side: int, *, scaled: bool) -> dict[str, torch.Tensor]:
    """Weights of a ViT of one block under the names of Meta's code; `scaled`: with layer scale, as DINOv2 has it."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, side * side + 1, width),
        "patch_embed.proj.weight": (width, channels, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "blocks.0.norm1.weight": (width,),
        "blocks.0.norm1.bias": (width,),
        "blocks.0.attn.qkv.weight": (3 * width, width),
        "blocks.0.attn.qkv.bias": (3 * width,),
        "blocks.0.attn.proj.weight": (width, width),
        "blocks.0.attn.proj.bias": (width,),
        "blocks.0.norm2.weight": (width,),
        "blocks.0.norm2.bias": (width,),
        "blocks.0.mlp.fc1.weight": (width, width),
        "blocks.0.mlp.fc1.bias": (width,),
        "blocks.0.mlp.fc2.weight": (width, width),
        "blocks.0.mlp.fc2.bias": (width,),
    }
    if scaled:
        shapes |= {"mask_token": (1, width), "blocks.0.ls1.gamma": (width,), "blocks.0.ls2.gamma": (width,)}
    return {key: torch.randn(shape) * 0.05 for key, shape in shapes.items()}


def _vit_file(key: str, folder: Path) -> Named:
    facts = ENCODERS[key]
    size = facts.size[0] if facts.size else 224
    roles = _ROLES.get(key)
    channels = len(roles.split(",")) if roles else 1
    first = key in ("dino4cells", "unidino")  # DINO v1
    state = dino_state(facts.dim or 384, channels, facts.multiple, size // facts.multiple, scaled=not first)
    prefix = "module.backbone" if first else "backbone"
    torch.save({"teacher": {f"{prefix}.{name}": value for name, value in state.items()}}, folder / "w.pth")
    return f"{key}:{folder / 'w.pth'}", {"roles": roles} if roles else {}


def _subcell(key: str, folder: Path) -> Named:
    width, channels = 768, len(ENCODERS[key].stains)
    block = {"attention.attention.query": (width, width), "attention.attention.key": (width, width)}
    block |= {"attention.attention.value": (width, width), "attention.output.dense": (width, width)}
    block |= {"intermediate.dense": (128, width), "output.dense": (width, 128)}
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.embeddings.cls_token": (1, 1, width),
        "encoder.embeddings.position_embeddings": (1, 28 * 28 + 1, width),
        "encoder.embeddings.patch_embeddings.projection.weight": (width, channels, 16, 16),
        "encoder.embeddings.patch_embeddings.projection.bias": (width,),
        "pool_model.attention_v.1.weight": (512, width),
        "pool_model.attention_v.1.bias": (512,),
        "pool_model.attention_u.1.weight": (512, width),
        "pool_model.attention_u.1.bias": (512,),
        "pool_model.attention.weight": (2, 512),
        "pool_model.attention.bias": (2,),
    }
    for name, shape in block.items():
        shapes[f"encoder.encoder.layer.0.{name}.weight"] = shape
        shapes[f"encoder.encoder.layer.0.{name}.bias"] = shape[:1]
    for name in ("encoder.encoder.layer.0.layernorm_before", "encoder.encoder.layer.0.layernorm_after"):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    shapes |= {"encoder.layernorm.weight": (width,), "encoder.layernorm.bias": (width,)}
    torch.save({name: torch.randn(shape) * 0.05 for name, shape in shapes.items()}, folder / "encoder.pth")
    return f"{key}:{folder / 'encoder.pth'}", {}


def _microsnoop(key: str, folder: Path) -> Named:
    widths = [1, 32, 64, 128, 256]
    state: dict[str, torch.Tensor] = {}
    for stage in range(4):
        before, after = widths[stage], widths[stage + 1]
        stem = f"encoder.downsample.down.res_down_{stage}"
        for number in range(4):
            inner = after if number else before
            state |= _norm(f"{stem}.conv.conv_{number}.0", inner)
            state |= _convolution(f"{stem}.conv.conv_{number}.2", after, inner, 3)
        state |= _norm(f"{stem}.proj.0", before) | _convolution(f"{stem}.proj.1", after, before, 1)
    state["decoder.base_conv.weight"] = torch.zeros(1, 32, 1, 1)  # the other half of the file
    torch.save({f"module.{name}": value for name, value in state.items()}, folder / "w.pth")
    return f"{key}:{folder / 'w.pth'}", {}


def _cloome(key: str, folder: Path) -> Named:
    state = {"conv1.weight": torch.randn(64, 5, 7, 7) * 0.05, **_norm("bn1", 64)}
    before = 64
    for stage in range(1, 5):
        inner = 64 * 2 ** (stage - 1)
        stem = f"layer{stage}.0"
        for number, (out, into, kernel) in enumerate(
            [(inner, before, 1), (inner, inner, 3), (4 * inner, inner, 1)], 1
        ):
            state[f"{stem}.conv{number}.weight"] = torch.randn(out, into, kernel, kernel) * 0.05
            state |= _norm(f"{stem}.bn{number}", out)
        state[f"{stem}.downsample.0.weight"] = torch.randn(4 * inner, before, 1, 1) * 0.05
        state |= _norm(f"{stem}.downsample.1", 4 * inner)
        before = 4 * inner
    state |= {"fc.weight": torch.randn(512, before) * 0.05, "fc.bias": torch.randn(512)}
    whole = {f"module.visual.{name}": value for name, value in state.items()}
    whole["module.transformer.layers.0.0.weight"] = torch.zeros(2, 2)  # the tower of molecules
    torch.save({"state_dict": whole, "epoch": 3}, folder / "cloome.pt")
    return f"{key}:{folder / 'cloome.pt'}", {}


def _cell_painting_cnn(key: str, folder: Path) -> Named:
    write_keras(settled(build_efficientnet(0, seed=0, num_channels=5)), folder / "w.hdf5")
    return f"{key}:{folder / 'w.hdf5'}", {}


def write_keras(model: Any, path: Path) -> None:
    """The layout of a Keras file, written from torch by rules of its own: order of modules, not their names."""
    counts = [int(np.ceil(model.config.depth_coefficient * count)) for count in (1, 2, 2, 3, 3, 4, 1)]
    blocks = [f"block{stage}{'abcdefghij'[item]}" for stage, count in enumerate(counts, 1) for item in range(count)]
    layers = {"stem_conv": model.embeddings.convolution, "stem_bn": model.embeddings.batchnorm}
    for name, block in zip(blocks, model.encoder.blocks, strict=True):
        convolutions = [module for module in block.modules() if isinstance(module, torch.nn.Conv2d)]
        norms = [module for module in block.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        keys = ["expand_conv", "dwconv", "se_reduce", "se_expand", "project_conv"][-len(convolutions) :]
        layers |= {f"{name}_{key}": module for key, module in zip(keys, convolutions, strict=True)}
        keys = ["expand_bn", "bn", "project_bn"][-len(norms) :]
        layers |= {f"{name}_{key}": module for key, module in zip(keys, norms, strict=True)}
    layers |= {"top_conv": model.encoder.top_conv, "top_bn": model.encoder.top_bn}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = list(layers)
        for name, module in layers.items():
            weights = {}
            if isinstance(module, torch.nn.BatchNorm2d):
                weights = {"gamma": module.weight, "beta": module.bias}
                weights |= {"moving_mean": module.running_mean, "moving_variance": module.running_var}
            elif module.groups > 1:
                weights["depthwise_kernel"] = module.weight.permute(2, 3, 0, 1)
            else:
                weights["kernel"] = module.weight.permute(2, 3, 1, 0)
            if getattr(module, "groups", 0) and module.bias is not None:
                weights["bias"] = module.bias
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0" for key in weights]
            for key, value in weights.items():
                group[f"{name}/{key}:0"] = value.detach().numpy()


_REMOTE_CODE = """
import torch
from transformers import PreTrainedConfig, PreTrainedModel


class TheirConfig(PreTrainedConfig):
    model_type = "theirs"


class TheirModel(PreTrainedModel):
    config_class = TheirConfig

    def __init__(self, config):
        super().__init__(config)
        self.patches = torch.nn.Conv2d(1, 384, 16, stride=16)
        self.post_init()

    def forward_features(self, pixels):
        return {"x_norm_clstoken": self.patches(pixels).tanh().mean((2, 3))}

    def predict(self, pixels):
        pixels = torch.nn.functional.instance_norm(pixels / 255, eps=1e-5)
        count, channels, height, width = pixels.shape
        tokens = self.patches(pixels.reshape(-1, 1, height, width)).tanh()
        return tokens.reshape(count, channels, 384, -1).mean((1, 3))
"""


def _remote(key: str, folder: Path) -> Named:
    """A repository with code of its own; OpenPhenom's weights are a pickle under the name of safetensors."""
    (folder / "theirs.py").write_text(_REMOTE_CODE)
    config = {"model_type": "theirs", "architectures": ["TheirModel"]}
    config["auto_map"] = {"AutoConfig": "theirs.TheirConfig", "AutoModel": "theirs.TheirModel"}
    (folder / "config.json").write_text(json.dumps(config))
    state = {"patches.weight": torch.randn(384, 1, 16, 16) * 0.05, "patches.bias": torch.randn(384) * 0.05}
    if key == "openphenom":
        torch.save({"state_dict": state}, folder / "model.safetensors")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return f"{key}:{folder}", {"trust_remote_code": True}


def _norm(stem: str, width: int) -> dict[str, torch.Tensor]:
    spread = {"weight": torch.rand(width) + 0.5, "bias": torch.randn(width) * 0.1}
    spread |= {"running_mean": torch.randn(width) * 0.1, "running_var": torch.rand(width) + 0.5}
    return {f"{stem}.{kind}": value for kind, value in spread.items()}


def _convolution(stem: str, after: int, before: int, kernel: int) -> dict[str, torch.Tensor]:
    weight = torch.randn(after, before, kernel, kernel) * (2 / (before * kernel * kernel)) ** 0.5
    return {f"{stem}.weight": weight, f"{stem}.bias": torch.randn(after) * 0.1}


_OTHERS = {
    "microsnoop": _microsnoop,
    "cloome": _cloome,
    "cell-painting-cnn": _cell_painting_cnn,
    "openphenom": _remote,
    "morphem": _remote,
}
