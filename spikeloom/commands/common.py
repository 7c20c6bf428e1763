"""What several commands share: places, options, consoles, files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hw.named_configs import CONFIGS
from sw.checkout import BUILD, ROOT
from sw.errors import UserError
from sw.outputs import OUTPUT_FILE
from sw.plain_console import PlainConsole

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from hw.parts.technology import Technology

T = TypeVar("T")

MODEL = ROOT / "models" / "fashion-2-64.spikeloom"
"""The committed artifact."""

PIPE_WIDTH = 10_000
"""Columns of what goes to a file or a pipe: nothing is wrapped there."""


def _console(*, stderr: bool) -> PlainConsole:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return PlainConsole(stderr=stderr, soft_wrap=False, width=None if terminal else PIPE_WIDTH)


console = _console(stderr=False)
"""Results."""

progress_console = _console(stderr=True)
"""Progress bars and remarks; results can be piped."""


class ConfigType(click.ParamType["HardwareConfig"]):
    """A named hardware configuration, or a JSON file with the fields of `HardwareConfig`."""

    name = "config"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> HardwareConfig:
        """Look the name up, or read the file."""
        from hw.config import HardwareConfig
        from hw.user_text import quoted
        from sw.strict_json import read_json

        if isinstance(value, HardwareConfig):
            return value
        if value in CONFIGS:
            return CONFIGS[value]
        path = Path(value)
        if path.suffix != ".json":
            names = ", ".join(CONFIGS)
            raise UserError(f"unknown configuration {quoted(value)}; choose one of {names} or name a .json file")
        try:
            fields = read_json(path)
            return HardwareConfig.from_dict(fields.get("config", fields) if isinstance(fields, dict) else fields)
        except OSError as error:
            raise UserError(f"configuration {path} cannot be read ({error.strerror}); check the path") from error
        except ValueError as error:
            raise UserError(f"configuration {path}: {error}; see hw/config.py for the fields") from error


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What an option does to a command's function."""


def config_option(default: str = "base") -> Decorator:
    """The option ``--config``."""
    return click.option(
        "--config", type=ConfigType(), default=default, show_default=True, metavar="NAME|FILE.json",
        help=f"Hardware configuration: {', '.join(CONFIGS)}, or a JSON file with the fields of hw/config.py.",
    )  # fmt: skip


class TechnologyType(click.ParamType["Technology"]):
    """A form of the Verilog, by its name."""

    name = "technology"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Technology:
        """Look the name up."""
        from hw.parts.technology import Technology

        return Technology(click.Choice([one.value for one in Technology]).convert(value, param, ctx))


def technology_option(default: str = "portable") -> Decorator:
    """The option ``--technology``."""
    return click.option(
        "--technology", type=TechnologyType(), default=default, show_default=True, metavar="portable|xilinx",
        help="Verilog for any tool, or with primitives of UltraScale+ where Yosys does not find them.",
    )  # fmt: skip


def configs_option(*default: str) -> Decorator:
    """The option ``--config`` where several may be given."""
    return click.option(
        "--config", "configs", type=ConfigType(), multiple=True, default=default, metavar="NAME|FILE.json",
        help=f"Hardware configuration; may be given several times.  [default: {', '.join(default)}]",
    )  # fmt: skip


def model_option() -> Decorator:
    """The option ``--model``."""
    return click.option(
        "--model", type=click.Path(path_type=Path), default=MODEL, metavar="FILE",
        help="Artifact to run.  [default: models/fashion-2-64.spikeloom]",
    )  # fmt: skip


def data_option() -> Decorator:
    """The option ``--data-dir``."""
    return click.option(
        "--data-dir", "folder", type=click.Path(path_type=Path), metavar="DIR",
        help="Folder of yours that holds the data set's files.  [default: the cache, then the network]",
    )  # fmt: skip


def tensorboard_option() -> Decorator:
    """The option ``--tensorboard``."""
    return click.option("--tensorboard", is_flag=True, help="Log for TensorBoard into the folder of a run, too.")


def out_option(default: str, text: str) -> Decorator:
    """The option ``--out`` of a command that leaves figures in a file of `BUILD`.

    Parameters
    ----------
    default : str
        The file's name.
    text : str
        Help.
    """
    return click.option(
        "--out", type=OUTPUT_FILE, default=BUILD / default, metavar="FILE", help=f"{text}  [default: build/{default}]"
    )


def hold(resource: AbstractContextManager[T]) -> T:
    """Enter a context, such as a claim of a folder, until the command under way ends."""
    return click.get_current_context().with_resource(resource)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is whole or not there."""
    from sw.files import write_atomically

    write_atomically(path, json.dumps(content, indent=2) + "\n")


def recorded(path: Path) -> str:
    """A path as provenance keeps it: relative to the checkout if it lies there, otherwise whole."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def shown(path: Path) -> str:
    """A path relative to the current folder where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
