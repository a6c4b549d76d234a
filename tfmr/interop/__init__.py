"""Models in and out: flat NumPy weights, safetensors, Hugging Face Marian and GPT-2, CTranslate2."""

from tfmr.interop.ctranslate2 import check_ctranslate2, save_ctranslate2
from tfmr.interop.gpt2 import from_gpt2, to_gpt2
from tfmr.interop.gpt2_config import check_gpt2
from tfmr.interop.gpt2_folder import GPT2Model, read_gpt2, write_gpt2
from tfmr.interop.marian import from_marian, to_marian
from tfmr.interop.marian_config import check_exportable
from tfmr.interop.marian_folder import MarianModel, read_marian, write_marian
from tfmr.interop.new_folder import new_folder
from tfmr.interop.tokenizer_files import own_files, vocabulary
from tfmr.interop.weight_files import load_safetensors, save_safetensors
from tfmr.interop.weights import flatten, unflatten, weight_shapes

__all__ = [
    "GPT2Model",
    "MarianModel",
    "check_ctranslate2",
    "check_exportable",
    "check_gpt2",
    "flatten",
    "from_gpt2",
    "from_marian",
    "load_safetensors",
    "new_folder",
    "own_files",
    "read_gpt2",
    "read_marian",
    "save_ctranslate2",
    "save_safetensors",
    "to_gpt2",
    "to_marian",
    "unflatten",
    "vocabulary",
    "weight_shapes",
    "write_gpt2",
    "write_marian",
]
