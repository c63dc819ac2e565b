"""The wheel builds, and works installed outside the tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_works_outside_the_tree(tmp_path: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    build = [uv, "build", "--wheel", "--offline", "--no-build-isolation", "--quiet"]
    build += ["--python", sys.executable]
    subprocess.run([*build, "--out-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("keystead-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert all(name.startswith(("keystead/", "keystead-")) for name in names)

    environment = tmp_path / "outside"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [uv, "pip", "install", "--offline", "--no-deps", "--quiet", "--python", str(python)]
    subprocess.run([*install, str(wheel)], check=True)
    # the dependencies are those of this environment; the package itself is the wheel's
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    where = [str(python), "-c", "import keystead; print(keystead.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=clean, check=True, capture_output=True)
    assert str(environment) in found.stdout.decode()

    command = str(environment / "bin" / "keystead")
    words = [command, "init", str(tmp_path / "prod"), "--name", "prod", "--json"]
    made = subprocess.run(words, cwd=tmp_path, env=clean, check=True, capture_output=True)
    assert json.loads(made.stdout)["name"] == "prod"
    words = [command, "census", str(tmp_path / "prod"), "--json"]
    counted = subprocess.run(words, cwd=tmp_path, env=clean, check=True, capture_output=True)
    assert json.loads(counted.stdout) == []
