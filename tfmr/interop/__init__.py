"""Export and import of models: tfmr's own folders, NumPy, safetensors, Hugging Face folders, CTranslate2."""

from tfmr.errors import require_packages

require_packages("safetensors", "tokenizers")

from tfmr.data.files import new_folder
from tfmr.interop.bart import read_bart
from tfmr.interop.ctranslate2 import check_ctranslate2, write_ctranslate2
from tfmr.interop.ctranslate2_engine import CTranslate2Translator
from tfmr.interop.gpt2 import GPT2Model, read_gpt2, write_gpt2
from tfmr.interop.gpt2_model import check_gpt2, from_gpt2, to_gpt2
from tfmr.interop.marian import MarianModel, read_marian, write_marian
from tfmr.interop.marian_binary import read_marian_binary
from tfmr.interop.marian_model import check_marian, from_marian, to_marian
from tfmr.interop.marian_native import find_marian_binary, from_marian_native, read_marian_native
from tfmr.interop.own_folder import read_tfmr, write_tfmr
from tfmr.interop.t5 import read_t5
from tfmr.interop.weights import flatten, load_safetensors, save_safetensors, unflatten, weight_shapes

__all__ = [
    "CTranslate2Translator",
    "GPT2Model",
    "MarianModel",
    "check_ctranslate2",
    "check_gpt2",
    "check_marian",
    "find_marian_binary",
    "flatten",
    "from_gpt2",
    "from_marian",
    "from_marian_native",
    "load_safetensors",
    "new_folder",
    "read_bart",
    "read_gpt2",
    "read_marian",
    "read_marian_binary",
    "read_marian_native",
    "read_t5",
    "read_tfmr",
    "save_safetensors",
    "to_gpt2",
    "to_marian",
    "unflatten",
    "weight_shapes",
    "write_ctranslate2",
    "write_gpt2",
    "write_marian",
    "write_tfmr",
]
