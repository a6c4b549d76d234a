"""Makes golden/gpt2: a small GPT-2 with random weights, its tokenizer, and what transformers computes with them.

    pip install -e '.[compare]' && python tests/interop/make_golden_gpt2.py

test_gpt2_folder.py compares with it, so that this is tested where neither torch nor transformers is installed.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from tfmr.data.corpora.grammar import sentence_pairs

FOLDER = Path(__file__).resolve().parent / "golden" / "gpt2"
END = "<|endoftext|>"
NEW = 50
PROMPTS = [
    "The old woman sees the small dog.",
    "! Ünknown ¿letters? 5 ≠ 6, 漢字\t🙂",
    " two  spaces \n\n and a line's end\n",
    f"One document.{END}Another",
    "e\u0301 12345 it's we'll",
]


def main() -> None:
    """Writes the folder anew."""
    import torch

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer), tokenizer.eos_token_id)
    tokenizer.save_pretrained(FOLDER)
    model.save_pretrained(FOLDER)
    tokens = np.random.default_rng(0).integers(0, len(tokenizer), (2, 20))
    with torch.no_grad():
        np.savez(FOLDER / "logits.npz", tokens=tokens, logits=model(torch.tensor(tokens)).logits.numpy())
        cases = [continued(model, tokenizer, prompt) for prompt in PROMPTS]
        ended = [continued(model, tokenizer, END + prompt[:4]) for prompt in PROMPTS]
    (FOLDER / "continued.json").write_text(json.dumps(cases + ended, ensure_ascii=False, indent=1) + "\n")


def make_tokenizer():
    """Returns GPT-2's tokenizer with a few merges of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Tokenizer

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())  # "!" is 0, as in GPT-2
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([line for pair in sentence_pairs("train", 400) for line in pair], trainer)
    model = json.loads(backend.to_str())["model"]
    vocab = {**model["vocab"], END: len(model["vocab"])}
    return GPT2Tokenizer(vocab=vocab, merges=[tuple(merge) for merge in model["merges"]])


def make_model(vocab_size: int, end: int):
    """Returns a model whose weights are all random, biases too, and large, so that no two tokens are nearly alike."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=vocab_size, n_positions=112, n_embd=16, n_layer=2, n_head=4, bos_token_id=end, eos_token_id=end
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(torch.randn_like(weight) * (0.5 if weight.ndim > 1 else 0.2))
            if name.endswith("ln_f.weight"):
                weight.normal_()  # of either sign, or a token would be followed by itself
        model.transformer.wpe.weight.normal_()
        model.transformer.wte.weight[end] = 1.05 * model.transformer.wte.weight[37]  # so that some texts end
    return model


def continued(model, tokenizer, prompt: str) -> dict:
    """Returns a prompt's ids, and what `generate` makes of it without drawing."""
    import torch

    ids = tokenizer(prompt).input_ids
    mask = torch.ones(1, len(ids), dtype=torch.long)
    output = model.generate(torch.tensor([ids]), attention_mask=mask, max_new_tokens=NEW, do_sample=False)
    new = output[0, len(ids) :].tolist()
    text = tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    print(len(ids), len(new), len(set(new)), repr(text[:60]))
    return {"prompt": prompt, "ids": ids, "new": new, "text": text}


if __name__ == "__main__":
    main()
