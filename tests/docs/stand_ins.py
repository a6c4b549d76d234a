"""Small stand-ins for what the documents speak of: recipes, corpora, runs."""

import dataclasses
import shutil
from pathlib import Path

from documented import REPOSITORY
from tiny_run import write_words

from tfmr import CausalLMConfig, Config, DataConfig
from tfmr.cli.config_file import load_config

NARROW = dict(d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8)
QUICK = dict(steps=2, warmup_steps=1, log_every=1, evaluate_every=0, bleu_sentences=2, checkpoint_every=1)
SENTENCES = ["The old woman sees the small dog.", "The dog sleeps.", "The cat runs."]
TRANSLATIONS = ["Die alte Frau sieht den kleinen Hund.", "Der Hund schläft.", "Die Katze rennt."]


def small(recipe: str) -> Config:
    """Returns a recipe with a small model, few steps and a small corpus, and all else as it is."""
    config = load_config(recipe)
    if isinstance(config.model, CausalLMConfig):
        model = dataclasses.replace(config.model, num_layers=2, **NARROW)
        data = dataclasses.replace(config.data, tokens_per_batch=4 * config.data.max_length, cache="cache")
    else:
        model = dataclasses.replace(config.model, num_encoder_layers=2, num_decoder_layers=2, **NARROW)
        data = _small_data(config.data)
        if config.data.corpus.startswith("wmt"):  # a vocabulary that divides among devices
            model = dataclasses.replace(model, vocab_size=320)
    decoding = dataclasses.replace(config.decoding, extra_length=3, batch_size=4)
    return dataclasses.replace(
        config, model=model, data=data, decoding=decoding, training=dataclasses.replace(config.training, **QUICK)
    )


def _small_data(data: DataConfig) -> DataConfig:
    sizes = dict(vocab_size=300, tokens_per_batch=256, num_buckets=1, max_length=64, cache="cache")
    if data.corpus == "grammar":
        return dataclasses.replace(data, grammar_size=300, **sizes)
    return dataclasses.replace(data, corpus="text", dir="FOLDER", **sizes)


def furnish(folder: Path) -> None:
    """Puts into a folder what the documents' commands expect where they are typed."""
    (folder / "configs").mkdir()
    for recipe in (REPOSITORY / "configs").glob("*.py"):
        lines = ["from stand_ins import small", "", "def get_config():", f"    return small({str(recipe)!r})"]
        (folder / "configs" / recipe.name).write_text("\n".join(lines))
    for name in ("launch", "tests", "docs"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "FOLDER").mkdir()
    write_words(folder / "FOLDER")
    for stem, times in (("corpus", 40), ("test", 1)):
        (folder / f"{stem}.en").write_text("".join(f"{i} {line}\n" for i in range(times) for line in SENTENCES))
        (folder / f"{stem}.de").write_text("".join(f"{i} {line}\n" for i in range(times) for line in TRANSLATIONS))
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(SENTENCES, TRANSLATIONS, strict=True)))
    (folder / "begun.de").write_text("Die\n\nEine\n")
    (folder / "input.txt").write_text("ROMEO:\nBut soft!\n\nJULIET:\nAy me!\n\n" * 60)
    shutil.copytree(REPOSITORY / "tests" / "interop" / "golden" / "marian", folder / "opus-mt-en-de")
