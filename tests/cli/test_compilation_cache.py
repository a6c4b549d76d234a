"""Compiled programs are kept in tfmr's cache, unless the user has named another folder."""

import os
import subprocess
import sys

import pytest

SHOW = "from tfmr.cli import run; import os; run(lambda _: print(os.environ['JAX_COMPILATION_CACHE_DIR']), [])"


@pytest.mark.parametrize("given", ["", "/elsewhere"])
def test_compiled_programs_are_kept_in_the_cache(tmp_path, given):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"TFMR_CACHE": str(tmp_path)} | ({"JAX_COMPILATION_CACHE_DIR": given} if given else {})
    shown = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == (given or str(tmp_path / "compiled"))
