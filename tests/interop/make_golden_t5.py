"""Makes golden/t5, golden/mt5 and golden/madlad: small models of these families, hardly trained, and what transformers
computes with them.

    pip install -e '.[compare]' && python tests/interop/make_golden_t5.py

test_t5_folder.py compares with it, so that this is tested where neither torch nor transformers is installed.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from make_golden import translations

from tfmr.data.corpora.grammar import sentence_pairs

GOLDEN = Path(__file__).resolve().parent / "golden"
PIECES, EXTRA_IDS, SENTENCES, NEW = 120, 4, 12, 50
STEPS, BATCH = 600, 16
UNUSED_ROWS = 3
"""Rows of the embedding beyond the tokenizer's last token, as T5 has 28."""
SIZES = dict(d_model=16, d_kv=6, d_ff=32, num_heads=2, num_layers=2, num_decoder_layers=1, dropout_rate=0.0)
SIZES |= dict(relative_attention_num_buckets=8, relative_attention_max_distance=20)
MADLAD = dict(unk_id=0, bos_id=1, eos_id=2, user_defined_symbols=["<2de>", "<2pt>"])
"""In MADLAD-400 padding is called <s>, and targets start with the unknown token."""


def main() -> None:
    """Writes the folders and what belongs to them anew."""
    import torch

    for family in ("t5", "mt5", "madlad"):
        folder = GOLDEN / family
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tokenizer = make_tokenizer(family, folder)
        model = make_model(family, len(tokenizer) + UNUSED_ROWS, tokenizer.eos_token_id)
        prefix = "<2de> " if family == "madlad" else ""
        train(model, tokenizer, prefix)
        model.save_pretrained(folder)
        if family == "madlad":
            as_converted_from_t5x(folder)
        with torch.no_grad():
            write_results(folder, model, tokenizer, prefix)


def make_tokenizer(family: str, folder: Path):
    """Writes spiece.model or, for T5, tokenizer.json; returns the tokenizer."""
    import sentencepiece
    from transformers import T5Tokenizer

    lines = [line for pair in sentence_pairs("train", 300) for line in pair]
    (folder / "lines.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"),
        model_prefix=str(folder / "spiece"),
        vocab_size=PIECES,
        normalization_rule_name="identity",  # the others have large tables
        minloglevel=2,
        **(MADLAD if family == "madlad" else dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)),
    )
    for name in ("lines.txt", "spiece.vocab"):
        (folder / name).unlink()
    options = dict(extra_ids=EXTRA_IDS) | (dict(pad_token="<s>") if family == "madlad" else {})
    tokenizer = T5Tokenizer.from_pretrained(folder, **options)
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    if family == "t5":
        tokenizer.save_pretrained(folder)
        (folder / "spiece.model").unlink()
    return tokenizer


def make_model(family: str, vocab_size: int, eos_id: int):
    """Returns a model whose weights are all random, and far enough from their initial values."""
    import torch
    import transformers

    torch.manual_seed(3)
    start = dict(pad_token_id=1 if family == "madlad" else 0, eos_token_id=eos_id, decoder_start_token_id=0)
    if family == "mt5":
        config = transformers.MT5Config(vocab_size=vocab_size, **SIZES, **start)
        model = transformers.MT5ForConditionalGeneration(config)
    else:
        own = {} if family == "t5" else dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=vocab_size, **SIZES, **start, **own)
        )
    if family != "t5":
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) / 4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * (0.1 if weight.ndim > 1 else 0.2))
        for name, weight in model.named_parameters():
            if "relative_attention_bias" in name:
                weight.normal_()
    return model.eval()


def train(model, tokenizer, prefix: str) -> None:
    """Trains until the model ends its sentences, and most of them differ."""
    import torch

    pairs = sentence_pairs("train", 100 * BATCH)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for step in range(STEPS):
        sources, targets = zip(*pairs[step % 100 * BATCH :][:BATCH], strict=True)
        lines = [prefix + line for line in sources]
        batch = tokenizer(lines, text_target=list(targets), padding=True, return_tensors="pt")
        batch["labels"][batch["labels"] == model.config.pad_token_id] = -100
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(step, float(loss), flush=True)
    model.eval()


def as_converted_from_t5x(folder: Path) -> None:
    """Names the table of a folder and the scale of its output as MADLAD-400's conversion did."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["decoder.embed_tokens.weight"] = weights.pop("shared.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    del config["scale_decoder_outputs"]
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}, indent=2) + "\n")


def write_results(folder: Path, model, tokenizer, prefix: str) -> None:
    """Writes logits of a padded batch, 50 greedy tokens of it, and translations."""
    import torch

    lines = [prefix + source for source, _ in sentence_pairs("test", SENTENCES)]
    lines += [f"{prefix}the <extra_id_0> sun", f"{prefix} two  spaces "]
    # In transformers 5 the unknown token of T5Tokenizer is 2, which is </s> in MADLAD-400.
    lines = [line for line in lines if tokenizer.eos_token_id not in tokenizer(line).input_ids[:-1]]
    encoded = [tokenizer(line).input_ids for line in lines]
    pad, start = model.config.pad_token_id, model.config.decoder_start_token_id
    model.generation_config.update(bad_words_ids=[[pad]])
    source = np.full((3, max(map(len, encoded[:3]))), pad)
    for row, ids in enumerate(encoded[:3]):
        source[row, : len(ids)] = ids
    target = np.random.default_rng(0).integers(3, model.config.vocab_size, (3, 30))
    target[:, 0] = start
    inputs = dict(input_ids=torch.tensor(source), attention_mask=torch.tensor(source != pad))
    greedy = model.generate(**inputs, do_sample=False, min_new_tokens=NEW, max_new_tokens=NEW)
    logits = model(**inputs, decoder_input_ids=torch.tensor(target)).logits
    arrays = dict(source=source, target=target, logits=logits.numpy()[:, ::4], greedy=greedy[:, 1:].numpy())
    np.savez_compressed(folder / "results.npz", **arrays)
    found = [translations(model, tokenizer, ids) for ids in encoded]
    cases = [
        {"source": line, "ids": ids, **text} for line, ids, text in zip(lines, encoded, found, strict=True) if text
    ]
    print(folder.name, len(cases), cases[0], flush=True)
    assert len(cases) > SENTENCES * 2 / 3, len(cases)
    (folder / "translations.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
