"""Makes golden/marian and two files beside it: a small Marian model as OPUS-MT's are, hardly trained, and what
transformers computes with it.

    pip install -e '.[compare]' && python tests/interop/make_golden.py

test_marian_folder.py compares with it, so that this is tested where neither torch nor transformers is installed.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from tfmr.data.corpora.grammar import sentence_pairs

GOLDEN = Path(__file__).resolve().parent / "golden"
PIECES, EXTRA, SENTENCES = 150, 40, 20
STEPS, BATCH = 800, 16


def main() -> None:
    """Writes the Marian folder and what belongs to it anew."""
    import torch
    from transformers import MarianTokenizer

    folder = GOLDEN / "marian"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocabulary = make_tokenizer(folder)
    model = make_model(vocabulary)
    tokenizer = MarianTokenizer.from_pretrained(folder)
    train(model, tokenizer)
    model.save_pretrained(folder)
    lines = [source for source, _ in sentence_pairs("test", 2 * SENTENCES)]
    lines += [">>deu<< the sun", "Ünknown ¿letters? 5 ≠ 6", " two  spaces "]
    encoded = [tokenizer(line).input_ids for line in lines]
    with torch.no_grad():
        np.savez(GOLDEN / "logits.npz", **logits(model, encoded[:3]))
        texts = [translations(model, tokenizer, ids) for ids in encoded]
    cases = [
        {"source": line, "ids": ids, **text} for line, ids, text in zip(lines, encoded, texts, strict=True) if text
    ]
    assert len(cases) > SENTENCES, len(cases)
    (GOLDEN / "translations.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


def make_tokenizer(folder: Path) -> dict[str, int]:
    """Writes source.spm, target.spm and vocab.json of the built-in corpus; returns the vocabulary."""
    import sentencepiece

    pieces: dict[str, None] = {}
    for side, lines in zip(("source", "target"), zip(*sentence_pairs("train", 400), strict=True), strict=True):
        (folder / "lines.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "lines.txt"),
            model_prefix=str(folder / side),
            vocab_size=PIECES,
            normalization_rule_name="identity",  # the others have large tables
            bos_id=-1,
            minloglevel=2,
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        for line in (folder / f"{side}.vocab").read_text(encoding="utf-8").splitlines():
            pieces.setdefault(line.split("\t")[0])
        (folder / f"{side}.vocab").unlink()
        (folder / "lines.txt").unlink()
    # Some pieces are in no vocabulary, as Marian cuts rare ones off.
    kept = [piece for number, piece in enumerate(pieces) if piece not in ("<unk>", "</s>") and number % 17 != 16]
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", ">>deu<<", *kept, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    settings = {"source_lang": "eng", "target_lang": "deu", "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return vocabulary


def make_model(vocabulary: dict[str, int]):
    """Returns a model whose weights are all random, biases too."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(5)
    pad = vocabulary["<pad>"]
    both = dict(attention_heads=4, ffn_dim=32, layers=2)
    config = MarianConfig(
        vocab_size=len(vocabulary),
        d_model=16,
        **{f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in both.items()},
        activation_function="swish",
        scale_embedding=True,
        dropout=0.0,
        max_position_embeddings=256,
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=0,
        forced_eos_token_id=0,
    )
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_positions" not in name:
                weight.add_(torch.randn_like(weight) * (0.25 if weight.ndim > 1 else 0.1))
        model.model.shared.weight[pad] = 0.1
        model.final_logits_bias.normal_()
    model.generation_config.update(num_beams=4, length_penalty=1.0, bad_words_ids=[[pad]])
    return model


def train(model, tokenizer) -> None:
    """Trains until the model ends its sentences, and most of them differ."""
    import torch

    pairs = sentence_pairs("train", 100 * BATCH)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for step in range(STEPS):
        sources, targets = zip(*pairs[step % 100 * BATCH :][:BATCH], strict=True)
        batch = tokenizer(list(sources), text_target=list(targets), padding=True, return_tensors="pt")
        batch["labels"][batch["labels"] == model.config.pad_token_id] = -100
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, float(loss), flush=True)
    model.eval()


def logits(model, encoded: list[list[int]]) -> dict[str, np.ndarray]:
    """Returns a padded batch, some target, and the logits."""
    import torch

    pad = model.config.pad_token_id
    source = np.full((len(encoded), max(map(len, encoded))), pad)
    for row, ids in enumerate(encoded):
        source[row, : len(ids)] = ids
    target = np.random.default_rng(0).integers(2, pad, (len(encoded), 5))
    target[:, 0] = pad
    output = model(
        input_ids=torch.tensor(source),
        attention_mask=torch.tensor(source != pad),
        decoder_input_ids=torch.tensor(target),
    )
    return {"source": source, "target": target, "logits": output.logits.numpy()}


def translations(model, tokenizer, ids: list[int]) -> dict[str, str]:
    """Returns the greedy and the beam's translation; nothing where a hypothesis of the beam was cut off.

    Its last token then counts for nothing in transformers, but here as the model says.
    """
    import torch

    limit = 1 + len(ids) + EXTRA
    texts = {}
    for name, beams in (("greedy", 1), ("beam", 4)):
        output = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            num_beams=beams,
            do_sample=False,
            early_stopping=beams > 1,
            max_length=limit,
            num_return_sequences=beams,
        )
        if beams > 1 and (output[:, limit - 1 :] != model.config.pad_token_id).any():
            return {}
        texts[name] = tokenizer.decode(output[0], skip_special_tokens=True)
    return texts


if __name__ == "__main__":
    main()
