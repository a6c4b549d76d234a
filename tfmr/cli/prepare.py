"""`tfmr prepare CONFIG [--section.field VALUE ...]`: token arrays, once."""

from typing import Any


def main(arguments: list[str]) -> None:
    """Prepares a config's corpus and prints where it lies and what is in it."""
    from tfmr.cli.config_file import parse_config
    from tfmr.config import RunningTextConfig

    config = parse_config(arguments, "tfmr prepare")
    from tfmr.data.loader import plan_for
    from tfmr.data.prepare import prepare

    corpus = prepare(config.data)
    plan = plan_for(corpus.split("train"), config.data)
    print(corpus.directory)
    print(f"vocabulary  {corpus.tokenizer.vocab_size:,} ({corpus.tokenizer.kind})")
    if isinstance(config.data, RunningTextConfig):
        for name, counts in corpus.manifest["splits"].items():
            told = (f"{counts[what]:,} {what}" for what in ("documents", "characters", "tokens"))
            print(f"{name:11} {', '.join(told)}")
        (bucket,) = plan.buckets
        print(f"an epoch    {len(plan.epoch(0)):,} batches of {bucket.rows} x {bucket.target_length}")
        return
    for name in ("train", "validation", "test"):
        split: Any = corpus.split(name)
        tokens = f"{split.source.lengths.sum():,} source and {split.target.lengths.sum():,} target tokens"
        print(f"{name:11} {len(split):,} pairs, {tokens}")
    shapes = ", ".join(f"{bucket.rows} x {bucket.target_length}" for bucket in plan.buckets)
    print(f"an epoch    {len(plan.epoch(0)):,} batches of {shapes}: {plan.padding_share():.1%} padding")
    print(f"left out    {plan.left_out:,} pairs, longer than data.max_length = {config.data.max_length} or empty")
