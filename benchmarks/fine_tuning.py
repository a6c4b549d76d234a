"""Fine-tunes the demonstration model on another domain, and compares ways to do it.

    python benchmarks/fine_tuning.py runs/demo build/fine_tuning

The general domain is the built-in grammar, on which the model was trained. The other domain has sentences of the same
grammar in another style and another dialect: lower case, other spelling in English, and regular sound shifts in German,
which change many of its words. Each way takes the same number of steps. BLEU is measured on held-out sentences of both
domains.
"""

import argparse
import json
import re
import time
from pathlib import Path

from tfmr import Config, FineTuningConfig, PairsConfig, TrainingConfig, TransformerConfig
from tfmr.config import DecodingConfig
from tfmr.data.corpora.grammar import sentence_pairs
from tfmr.runs import RunDirectory
from tfmr.training import fit, task_for
from tfmr.translation import Translator
from tfmr.translation.scores import corpus_scores

TRAIN, TEST = 12_000, 200
ENGLISH = {"th": "dh", "ing": "in"}
GERMAN = {"sch": "sk", "ei": "ie", "z": "t", "ss": "t", "ß": "t"}


def other_style(text: str, changes: dict[str, str]) -> str:
    """Returns a sentence in lower case, without its final mark, and with other spelling."""
    pattern = "|".join(changes)
    return re.sub(pattern, lambda match: changes[match[0]], text.lower().rstrip(".?!"))


def write_corpora(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Writes the training pairs of both domains as general.* and domain.*; returns their test pairs."""
    tests = {}
    for name, seed in (("general", 0), ("domain", 1)):
        for split, size in (("train", TRAIN), ("test", TEST)):
            pairs = sentence_pairs(split, size, seed)
            if name == "domain":
                pairs = [(other_style(source, ENGLISH), other_style(target, GERMAN)) for source, target in pairs]
            if split == "test":
                tests[name] = pairs
                continue
            for side, language in enumerate(("en", "de")):
                (folder / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    return tests


def config(folder: Path, name: str, base: str, steps: int, rate: float, mixed: bool = False, **tuning) -> Config:
    """Returns the configuration of a run."""
    names = ("domain", "general") if mixed else ("domain",)
    return Config(
        workdir=str(folder / name),
        model=TransformerConfig() if base else demo_model(),
        data=PairsConfig(
            corpus="text",
            source_file=tuple(str(folder / f"{name}.en") for name in names),
            target_file=tuple(str(folder / f"{name}.de") for name in names),
            weights=(1.0, 4.0) if mixed else (),
            cache=str(folder / "cache"),
            vocab_size=2000,
            tokens_per_batch=8192 if mixed else 2048,
            num_buckets=4,
        ),
        training=TrainingConfig(
            steps=steps,
            schedule="cosine",
            learning_rate=rate,
            warmup_steps=20,
            gradient_clip=1.0,
            evaluate_every=0,
            bleu_sentences=0,
            checkpoint_every=0,
        ),
        decoding=DecodingConfig(beam_size=4),
        fine_tuning=FineTuningConfig(base, **tuning) if base else FineTuningConfig(),
    )


def demo_model() -> TransformerConfig:
    """Returns the model of configs/demo.py."""
    return TransformerConfig(
        num_encoder_layers=2, num_decoder_layers=2, d_model=128, d_ff=512, num_heads=4, d_k=32, d_v=32
    )


def bleu(run: str, tests: dict[str, list[tuple[str, str]]]) -> dict[str, float]:
    """Returns the BLEU of a run on each domain."""
    translator = Translator.from_run(run, "last")
    scores = {}
    for name, pairs in tests.items():
        sources, references = (list(side) for side in zip(*pairs, strict=True))
        scores[name] = round(corpus_scores(translator.translate(sources), references, "13a")["bleu"], 2)
    return scores


def main() -> None:
    """Trains each run that is not there, and prints its scores as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the run of configs/demo.py")
    parser.add_argument("folder", type=Path, help="folder for the corpora and the runs")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", nargs="*", help="names of the ways to compare; default: all")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    tests = write_corpora(options.folder)
    ways = {
        "random": dict(base="", rate=3e-3),
        "full": dict(base=options.base, rate=2e-3),
        "lora": dict(base=options.base, rate=1e-2, lora_rank=16, trainable=("embedding.embedding",)),
        "mixed": dict(base=options.base, rate=1e-3, mixed=True),
    }
    if not options.only or "before" in options.only:
        print(json.dumps({"before": bleu(options.base, tests)}), flush=True)
    for name in options.only or ways:
        if name == "before":
            continue
        given = config(options.folder, name, steps=options.steps, **ways[name])
        start = time.perf_counter()
        run: RunDirectory = fit(task_for(given), given)
        seconds = round(time.perf_counter() - start)
        print(json.dumps({name: bleu(str(run.path), tests), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
