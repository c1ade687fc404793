"""Make .venv and install the package into it, everything pinned by constraints.txt. Standard library only.

Usage: python3 scripts/bootstrap.py [--venv .venv] [--extras ros,viz,fast,dev]
Environment: PERCEPTION_TORCH_INDEX, a pip index that serves CPU builds of torch, for machines where the default index
would bring gigabytes of CUDA packages.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 10), (3, 13)


def main() -> int:
    """Check this machine, make the environment, install; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--extras", default="ros,viz,fast,dev")
    args = parser.parse_args()
    venv = ROOT / args.venv

    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return fail(
            f"found Python {sys.version.split()[0]}, expected {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}; "
            "type: make setup PYTHON=python3.11"
        )
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        print(
            "note: no C compiler found: the sparse engine will run on numba, correct but slower. "
            "For the fast kernels type: sudo apt-get install gcc python3-dev, then: make clean setup"
        )
    if not (venv / "bin" / "python").exists() and not make_venv(venv):
        return fail(
            f"could not make {venv}: the venv module is incomplete. "
            f"Type: sudo apt-get install python3-venv (or python{sys.version_info[0]}.{sys.version_info[1]}-venv)"
        )
    start = time.monotonic()
    for title, arguments in install_steps(args.extras):
        if run_showing_time(f"setup: {title}", [str(venv / "bin" / "python"), "-m", "pip", *arguments]):
            return fail(f"'{title}' failed: see pip's words above; type: make setup to try again")
    activate = f"source {os.path.relpath(venv)}/bin/activate"
    print(f"setup: done in {time.monotonic() - start:.0f} s\nnext: {activate} && perception doctor")
    return 0


def run_showing_time(title: str, command: list[str]) -> int:
    """Run a command that says nothing itself; on a terminal the seconds count up beside its title. Its exit code."""
    terminal, start = sys.stdout.isatty(), time.monotonic()
    print(title, end="" if terminal else "\n", flush=True)
    with subprocess.Popen(command, cwd=ROOT, env=quiet_environment()) as child:
        while True:
            try:
                code = child.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                if terminal:
                    print(f"\r{title}: {time.monotonic() - start:.0f} s", end="", flush=True)
    if terminal:
        print()
    return code


def make_venv(venv: Path) -> bool:
    """Create the virtual environment with pip; True on success, nothing half-made left otherwise."""
    print(f"setup: making {venv}", flush=True)
    done = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True).returncode == 0
    if not done:
        shutil.rmtree(venv, ignore_errors=True)
    return done


def install_steps(extras: str) -> list[tuple[str, list[str]]]:
    """pip's arguments, step by step. torch goes first and alone, so that no other package picks its build."""
    pin = ["-c", "constraints.txt"]
    torch = ["install", "-q", *pin, "torch"]
    if os.environ.get("PERCEPTION_TORCH_INDEX"):
        torch += ["--index-url", os.environ["PERCEPTION_TORCH_INDEX"]]
    return [
        ("build tools", ["install", "-q", *pin, "setuptools", "wheel"]),
        ("torch (the largest part)", torch),
        (
            f"perception_nodes and its needs [{extras}]",
            ["install", "-q", *pin, "--no-build-isolation", "-e", f".[{extras}]"],
        ),
    ]


def quiet_environment() -> dict[str, str]:
    """The environment for pip: no version nag, no user site."""
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONNOUSERSITE": "1"}


def fail(message: str) -> int:
    """Print one sentence to stderr; returns 1."""
    print(f"setup: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
