"""The wheel and the source distribution, installed with and without the packages of `tfmr[train]`."""

import email
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tfmr.errors import TRAIN_PACKAGES

pytestmark = pytest.mark.slow
pytest.importorskip("setuptools", minversion="77", reason="needs setuptools 77 or newer: pip install -e '.[dev]'")

REPOSITORY = Path(__file__).resolve().parents[1]
BUILD = "import sys, setuptools.build_meta as backend; getattr(backend, sys.argv[1])(sys.argv[2])"
OF_FLAX = {"optax", "orbax", "rich"}
"""Packages of `tfmr[train]` that flax itself needs."""


def run(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    assert not check or ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, without what git ignores."""
    folder = tmp_path_factory.mktemp("source") / "tfmr"
    for name in run("git", "ls-files", "-co", "--exclude-standard", cwd=REPOSITORY).stdout.splitlines():
        if (REPOSITORY / name).is_file() and name.split("/")[0] in ("tfmr", "configs", *_files_of_the_top()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    return folder


def _files_of_the_top() -> list[str]:
    return [path.name for path in REPOSITORY.iterdir() if path.is_file()]


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-c", BUILD, "build_sdist", folder, cwd=source)
    [file] = folder.glob("tfmr-*.tar.gz")
    return file


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.iterdir()
    run(sys.executable, "-c", BUILD, "build_wheel", folder, cwd=unpacked)
    [file] = folder.glob("tfmr-*.whl")
    return file


def install(package: Path, folder: Path, blocked: set[str] = frozenset()) -> Path:
    """Installs a package in a new environment, which sees the dependencies of this one but for those blocked."""
    venv.create(folder)
    [site] = folder.glob("lib/python*/site-packages")
    paths = [sysconfig.get_path("purelib"), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "dependencies.pth").write_text("\n".join(dict.fromkeys(paths)))
    python = folder / "bin" / "python"
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, package, cwd=folder)
    if blocked:
        (site / "blocked.pth").write_text(f"import sys; sys.modules.update(dict.fromkeys({sorted(blocked)}))")
    return python


@pytest.fixture(scope="module", autouse=True)
def own_path():
    """Subprocesses find what is installed, not this repository."""
    with pytest.MonkeyPatch.context() as patch:
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        patch.setenv("PYTHONPATH", os.pathsep.join(p for p in inherited if p and Path(p).resolve() != REPOSITORY))
        yield


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with jax, flax, jaxtyping, NumPy and what flax needs."""
    return install(wheel, tmp_path_factory.mktemp("base"), set(TRAIN_PACKAGES - OF_FLAX))


def test_both_contain_the_whole_package_and_nothing_else(sdist: Path, wheel: Path):
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "tfmr").rglob("*.py")}
    page = (REPOSITORY / "tfmr" / "serving" / "page").rglob("*.*")
    modules |= {str(path.relative_to(REPOSITORY)) for path in page}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == modules
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(sdist) as archive:
        contained = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert modules | {"README.md", "LICENSE", "pyproject.toml"} <= contained


def test_the_blocks_and_models_need_four_packages(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
    required = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist")
    base = {requirement.split(">=")[0] for requirement in required if "extra ==" not in requirement}
    assert base == {"jax", "flax", "jaxtyping", "numpy"}


MODEL = """
import jax
import jax.numpy as jnp
import tfmr
from tfmr.models import Transformer, init_params, transformer_base
from tfmr.nn import MultiHeadAttention

output, _ = MultiHeadAttention(num_heads=2, d_model=8).init_with_output(jax.random.key(0), jnp.ones((1, 4, 8)))
shapes = jax.eval_shape(lambda key: init_params(Transformer(transformer_base()), key), jax.random.key(0))
print(tfmr.__file__, output.shape, sum(x.size for x in jax.tree.leaves(shapes)))
"""


def test_the_base_installation_has_blocks_and_models(base: Path, tmp_path: Path):
    file, shape = run(base, "-c", MODEL, cwd=tmp_path).stdout.split(maxsplit=1)
    assert Path(file).is_relative_to(base.parents[1])
    assert shape == "(1, 4, 8) 63045632\n"


@pytest.mark.parametrize(
    "part", ["training", "translation", "language_model", "runs", "interop", "analysis", "serving"]
)
def test_without_train_an_import_says_what_to_install(base: Path, part: str, tmp_path: Path):
    ended = run(base, "-c", f"import tfmr.{part}", cwd=tmp_path, check=False)
    last = ended.stderr.splitlines()[-1]
    assert last.endswith(': not installed, but needed to train, decode and plot: pip install "tfmr[train]"'), (
        ended.stderr
    )
    assert last.startswith("tfmr.errors.MissingPackage: ")


@pytest.mark.parametrize(
    "command", ["translate runs/x", "plot runs/x", "import a b", "inspect configs/demo.py", "train.py configs/demo.py"]
)
def test_without_train_a_command_is_one_line(base: Path, command: str, source: Path):
    program, *arguments = command.split()
    words = [base, program] if program == "train.py" else [base.with_name("tfmr"), program]
    ended = run(*words, *arguments, cwd=source, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert (
        ended.stderr == 'error: tyro: not installed, but needed to train, decode and plot: pip install "tfmr[train]"\n'
    )


def test_the_source_distribution_installs_with_everything(sdist: Path, source: Path, tmp_path: Path):
    python = install(sdist, tmp_path / "environment")
    assert run(python.with_name("tfmr"), "--version", cwd=tmp_path).stdout.startswith("tfmr ")
    assert "total" in run(python.with_name("tfmr"), "inspect", source / "configs/demo.py", cwd=tmp_path).stdout
