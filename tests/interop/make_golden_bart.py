"""Makes golden/nllb, m2m100, bart, mbart50 and mbart: small models of these families, hardly trained, and what
transformers computes with them.

    pip install -e '.[compare]' && python tests/interop/make_golden_bart.py [NAME ...]

test_bart_folder.py compares with it, so that this is tested where neither torch nor transformers is installed.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfmr.data.corpora.grammar import sentence_pairs

GOLDEN = Path(__file__).resolve().parent / "golden"
PIECES, SENTENCES, LONGEST = 120, 16, 52
STEPS, BATCH = 500, 16
EXTRA = ["Ünknown ¿letters? 5 ≠ 6", " two  spaces "]
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]


@dataclass(frozen=True)
class Recipe:
    """How to make one of the models."""

    config: str
    model: str
    tokenizer: Callable[[Path], Any]
    """Writes the tokenizer's files to a folder and returns the tokenizer."""
    languages: tuple[str, str] = ("", "")
    options: dict[str, Any] = field(default_factory=dict)
    """More values of the configuration."""


def main(names: list[str]) -> None:
    """Writes the folders of the recipes with these names, or all, anew."""
    for name in names or RECIPES:
        make(GOLDEN / name, RECIPES[name])


def make(folder: Path, recipe: Recipe) -> None:
    import torch
    import transformers

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = recipe.tokenizer(folder)
    torch.manual_seed(3)
    both = dict(attention_heads=4, ffn_dim=32)
    start = tokenizer.convert_tokens_to_ids(recipe.languages[1]) if folder.name == "mbart" else 2
    config = getattr(transformers, recipe.config)(
        vocab_size=vocab_size(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        **{f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in both.items()},
        max_position_embeddings=128,
        dropout=0.0,
        decoder_start_token_id=start,
        **recipe.options,
    )
    model = getattr(transformers, recipe.model)(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * (0.25 if weight.ndim > 1 else 0.1))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    train(model, tokenizer)
    forced = forced_token(tokenizer, recipe, folder.name)
    generation: dict[str, Any] = dict(num_beams=4, length_penalty=1.0, early_stopping=True, bad_words_ids=[[1]])
    model.generation_config.update(**generation, max_length=LONGEST, forced_eos_token_id=2, forced_bos_token_id=forced)
    model.save_pretrained(folder)
    lines = [source for source, _ in sentence_pairs("test", SENTENCES)] + EXTRA
    encoded = [tokenizer(line).input_ids for line in lines]
    with torch.no_grad():
        np.savez(folder / "logits.npz", **logits(model, encoded[:3]))
        found = [translations(model, tokenizer, ids, forced) for ids in encoded]
    cases = [{"source": line, "ids": ids, **text} for line, ids, text in zip(lines, encoded, found, strict=True)]
    rows = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (folder / "translations.json").write_text(f"[\n{rows}\n]\n")
    print(folder.name, sum("beam" in case for case in cases), len({case["text"] for case in cases}), flush=True)


def vocab_size(tokenizer) -> int:
    """Returns the number of rows of an embedding table: M2M100's has some after the tokens of its languages."""
    languages = getattr(tokenizer, "lang_token_to_id", None)
    return max(languages.values()) + 1 + tokenizer.num_madeup_words if languages else len(tokenizer)


def forced_token(tokenizer, recipe: Recipe, name: str) -> int | None:
    if name == "bart":
        return 0
    if name == "mbart":
        return None
    target = recipe.languages[1]
    return tokenizer.get_lang_id(target) if name == "m2m100" else tokenizer.convert_tokens_to_ids(target)


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
        batch.pop("token_type_ids", None)
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(loss.item(), flush=True)
    model.eval()


def logits(model, encoded: list[list[int]]) -> dict[str, np.ndarray]:
    """Returns a padded batch, some target, and the logits."""
    import torch

    source = np.full((len(encoded), max(map(len, encoded))), 1)
    for row, ids in enumerate(encoded):
        source[row, : len(ids)] = ids
    target = np.random.default_rng(0).integers(4, model.config.vocab_size, (len(encoded), 5))
    target[:, 0] = model.config.decoder_start_token_id
    output = model(
        input_ids=torch.tensor(source),
        attention_mask=torch.tensor(source != 1),
        decoder_input_ids=torch.tensor(target),
    )
    return {"source": source, "target": target, "logits": output.logits.numpy()}


def translations(model, tokenizer, ids: list[int], forced: int | None) -> dict[str, Any]:
    """Returns the greedy translation, and the beam's if its rules are the same here.

    They are not if a hypothesis was cut off, whose last token then counts for nothing in transformers; nor if the best
    one is best only because the forced token counts in the length, which it does not here.
    """
    import torch

    source: dict[str, Any] = dict(
        input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)
    )
    [greedy] = model.generate(**source, num_beams=1, do_sample=False, early_stopping=False).tolist()
    result = {"greedy": greedy, "text": text_of(tokenizer, greedy, forced)}
    beams = model.generate(**source, num_return_sequences=4, output_scores=True, return_dict_in_generate=True)
    lengths = (beams.sequences != 1).sum(dim=1).numpy() - 1
    counted = lengths - (forced is not None)
    best = int(np.argmax(beams.sequences_scores.numpy() * lengths / counted))
    if lengths.max() < LONGEST - 1 and best == 0:
        result["beam"] = text_of(tokenizer, beams.sequences[0].tolist(), forced)
    return result


def text_of(tokenizer, tokens: list[int], forced: int | None) -> str:
    """Returns the text of tokens. M2M100's tokenizer takes the token of a language as text unless it is told not to."""
    return tokenizer.decode([token for token in tokens if token != forced], skip_special_tokens=True)


def train_pieces(folder: Path, kind: str) -> Path:
    """Writes sentencepiece.bpe.model of both languages of the built-in corpus."""
    import sentencepiece

    (folder / "lines.txt").write_text("".join(f"{line}\n" for pair in sentence_pairs("train", 400) for line in pair))
    file = folder / "sentencepiece.bpe.model"
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"),
        model_prefix=str(folder / "pieces"),
        vocab_size=PIECES,
        model_type=kind,
        normalization_rule_name="identity",  # the others have large tables
        minloglevel=2,
    )
    (folder / "pieces.model").rename(file)
    (folder / "pieces.vocab").unlink()
    (folder / "lines.txt").unlink()
    return file


def m2m100_tokenizer(folder: Path):
    import sentencepiece
    from transformers import M2M100Tokenizer

    model: Any = sentencepiece.SentencePieceProcessor(model_file=str(train_pieces(folder, "bpe")))
    pieces = FAIRSEQ + [model.id_to_piece(number) for number in range(3, model.get_piece_size())]
    vocabulary = json.dumps({piece: number for number, piece in enumerate(pieces)}, ensure_ascii=False)
    (folder / "vocab.json").write_text(vocabulary)
    tokenizer = M2M100Tokenizer.from_pretrained(folder, src_lang="en", tgt_lang="de")
    tokenizer.save_pretrained(folder)
    return tokenizer


def tokenizer_of_pieces(name: str, kind: str, languages: tuple[str, str], **options: Any) -> Callable[[Path], Any]:
    """Returns a function that writes tokenizer.json, which transformers makes of a SentencePiece model."""

    def write(folder: Path):
        import transformers

        file = train_pieces(folder, kind)
        source, target = languages
        tokenizer = getattr(transformers, name).from_pretrained(folder, src_lang=source, tgt_lang=target, **options)
        tokenizer.save_pretrained(folder)
        file.unlink()
        return tokenizer

    return write


def bart_tokenizer(folder: Path):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BartTokenizer

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=FAIRSEQ, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    backend.train_from_iterator([line for pair in sentence_pairs("train", 400) for line in pair], trainer)
    backend.model.save(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "<mask>": len(vocabulary)}, ensure_ascii=False))
    tokenizer = BartTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):  # tokenizer.json has both
        (folder / name).unlink()
    return tokenizer


NLLB, MBART50, MBART = ("eng_Latn", "deu_Latn"), ("en_XX", "de_DE"), ("en_XX", "ro_RO")
RECIPES = {
    "nllb": Recipe(
        "M2M100Config",
        "M2M100ForConditionalGeneration",
        tokenizer_of_pieces("NllbTokenizer", "bpe", NLLB, extra_special_tokens=[*NLLB, "kor_Hang"]),
        NLLB,
    ),
    "m2m100": Recipe("M2M100Config", "M2M100ForConditionalGeneration", m2m100_tokenizer, ("en", "de")),
    "bart": Recipe("BartConfig", "BartForConditionalGeneration", bart_tokenizer),
    "mbart50": Recipe(
        "MBartConfig",
        "MBartForConditionalGeneration",
        tokenizer_of_pieces("MBart50Tokenizer", "unigram", MBART50),
        MBART50,
        {"scale_embedding": True},
    ),
    "mbart": Recipe(
        "MBartConfig",
        "MBartForConditionalGeneration",
        tokenizer_of_pieces("MBartTokenizer", "unigram", MBART),
        MBART,
        {"scale_embedding": True, "activation_function": "relu"},
    ),
}

if __name__ == "__main__":
    main(sys.argv[1:])
