"""Small stand-ins for what the documents speak of: recipes, corpora, runs."""

import dataclasses
import shutil
from pathlib import Path

from documented import REPOSITORY
from marian_files import write_firefox_folder
from tiny_run import write_words

from tfmr import Config, DecodingConfig, PairsConfig, TrainingConfig, TransformerConfig
from tfmr.cli.config_file import load_config

NARROW = dict(d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8)
SENTENCES = ["The old woman sees the small dog.", "The dog sleeps.", "The cat runs with three dogs."]
TRANSLATIONS = ["Die alte Frau sieht den kleinen Hund.", "Der Hund schläft.", "Die Katze rennt mit drei Hunden."]

# One for all recipes of translation, so that what is compiled for one run serves the next.
TRAINING = TrainingConfig(
    steps=2, schedule="constant", warmup_steps=0, learning_rate=0.003, log_every=1, bleu_sentences=0, checkpoint_every=1
)
TRANSLATION = Config(
    # A vocabulary that divides among devices.
    model=TransformerConfig(vocab_size=512, num_encoder_layers=1, num_decoder_layers=2, **NARROW),
    data=PairsConfig(
        corpus="text",
        source_file="corpus.en",
        target_file="corpus.de",
        held_out_share=0.05,
        vocab_size=500,
        tokens_per_batch=256,
        num_buckets=1,
        max_length=64,
        cache="cache",
    ),
    training=TRAINING,
    decoding=DecodingConfig(beam_size=4, extra_length=3, batch_size=4),
)


def small(recipe: str) -> Config:
    """Returns what stands for a recipe: a narrow model of the same kind, a small corpus, two steps."""
    config = load_config(recipe)
    if recipe.endswith("fine_tune.py"):  # the model is that of the run that it starts from
        data = dataclasses.replace(TRANSLATION.data, held_out_share=0.2)
        return dataclasses.replace(TRANSLATION, model=config.model, data=data)
    if isinstance(config.model, TransformerConfig):
        return dataclasses.replace(TRANSLATION, model=dataclasses.replace(TRANSLATION.model, norm=config.model.norm))
    model = dataclasses.replace(config.model, num_layers=1, **NARROW)
    data = dataclasses.replace(config.data, tokens_per_batch=4 * config.data.max_length, cache="cache")
    return dataclasses.replace(config, model=model, data=data, training=TRAINING)


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
    for stem, times in (("corpus", 40), ("general", 40), ("medical", 9), ("test", 1)):
        (folder / f"{stem}.en").write_text("".join(f"{i} {line}\n" for i in range(times) for line in SENTENCES))
        (folder / f"{stem}.de").write_text("".join(f"{i} {line}\n" for i in range(times) for line in TRANSLATIONS))
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(SENTENCES, TRANSLATIONS, strict=True)))
    (folder / "page.md").write_text("# A dog\n\nThe *old woman* sees {name}.\n")
    (folder / "page.html").write_text("<p>The <b>dog</b> sleeps.</p>\n")
    (folder / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nThe dog sleeps.\n")
    (folder / "terms.tsv").write_text("dog\tHund\n")
    (folder / "begun.de").write_text("Die\n\nEine\n")
    (folder / "input.txt").write_text("ROMEO:\nBut soft!\n\nJULIET:\nAy me!\n\n" * 60)
    golden = REPOSITORY / "tests" / "interop" / "golden"
    shutil.copytree(golden / "marian", folder / "opus-mt-en-de")
    shutil.copytree(golden / "gpt2", folder / "gpt2")
    shutil.copytree(golden / "nllb", folder / "nllb-200-distilled-600M")
    shutil.copytree(golden / "madlad", folder / "madlad400-3b-mt")
    write_firefox_folder(folder / "enpt", [f"{i} {line}" for i in range(40) for line in SENTENCES])
