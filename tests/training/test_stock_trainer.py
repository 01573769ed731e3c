"""What scripts of transformers for image classification do: a stock Trainer on toy_20 with our checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, Trainer, TrainingArguments

from cytoimagenet_hf.dataset.schema import SUBSETS
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from tests.datasets import write_dataset


def test_a_stock_trainer_fine_tunes_on_toy_20_to_the_end(tmp_path: Path) -> None:
    labels = [*sorted(SUBSETS["toy_20"])[:3], "zz not in toy_20"]
    folder = write_dataset(
        tmp_path / "cytoimagenet", labels, {"train": [0, 1, 2, 3] * 3, "validation": [0, 1, 2, 3] * 2}
    )
    small = {"width_coefficient": 0.25, "depth_coefficient": 0.2, "image_size": 32}
    build_efficientnet(5, seed=0, **small).save_pretrained(tmp_path / "net")
    size = {"height": 32, "width": 32}
    MicroscopyImageProcessor(method="merge-norm", do_resize=True, size=size).save_pretrained(tmp_path / "net")

    dataset = load_dataset(str(folder), "toy_20", cache_dir=str(tmp_path / "cache"))
    names = dataset["train"].features["label"].names
    assert names == labels[:3]
    config = AutoConfig.from_pretrained(
        tmp_path / "net", num_labels=3, label2id={name: str(n) for n, name in enumerate(names)}
    )
    model = AutoModelForImageClassification.from_pretrained(
        tmp_path / "net", config=config, ignore_mismatched_sizes=True
    )
    processor = AutoImageProcessor.from_pretrained(tmp_path / "net")
    assert (processor.size["height"], len(processor.image_mean), len(processor.image_std)) == (32, 3, 3)

    def transform(batch: dict[str, Any]) -> dict[str, Any]:
        images = [image.convert("RGB") for image in batch["image"]]
        return batch | {"pixel_values": processor(images, return_tensors="pt")["pixel_values"]}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        pixels = torch.stack([torch.as_tensor(row["pixel_values"]) for row in rows])
        return {"pixel_values": pixels, "labels": torch.tensor([row["label"] for row in rows])}

    trainer = Trainer(
        model,
        TrainingArguments(
            str(tmp_path / "out"),
            num_train_epochs=1,
            per_device_train_batch_size=3,
            remove_unused_columns=False,
            report_to="none",
            use_cpu=True,
        ),
        train_dataset=dataset["train"].with_transform(transform),
        eval_dataset=dataset["validation"].with_transform(transform),
        data_collator=collate,
        processing_class=processor,
        compute_metrics=lambda scored: {
            "accuracy": float(np.mean(scored.predictions.argmax(axis=1) == scored.label_ids))
        },
    )
    result = trainer.train()
    assert result.global_step == 3
    assert np.isfinite(result.training_loss)
    assert 0 <= trainer.evaluate()["eval_accuracy"] <= 1
    trainer.save_model()
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert list(again.config.label2id) == names
    assert (tmp_path / "out" / "preprocessor_config.json").is_file()
