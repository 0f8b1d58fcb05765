"""Make `import torch` work on the CPU without the CUDA packages.

The Linux wheel of PyTorch on the package index is the CUDA build. Its requirements are several GB of
GPU libraries, none of which is called on a machine used through the CPU alone; but the dynamic loader
insists that files of those names exist and that a few of their symbols have addresses.
`requirements.txt` is therefore installed without dependencies, and this script puts, beside torch's
own libraries, one small library for every missing one. Each defines the symbols torch imports from
it; calling one ends the process, so a stub can never give a wrong number.

Run it with the Python that has torch installed. It does nothing where torch already imports (macOS, a
CPU build, a full CUDA installation), and needs `cc` and `readelf`, which a Rust linker setup brings.
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

GPU_LIBRARY = re.compile(r"lib(cu|nv|nccl)\w*\.so\.\d+$")
GPU_SYMBOL = re.compile(r"_{0,2}(cu|nv|nccl)\w+$")


def import_error():
    """Why `import torch` fails in a fresh process: its last line of output, or "" if it works."""
    command = [sys.executable, "-c", "import torch; torch.zeros(2) + 1"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode == 0:
        return ""
    return (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]


def readelf(option, path):
    """The lines of `readelf OPTION PATH`."""
    command = ["readelf", "-W", option, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def needs(library):
    """Names of the GPU libraries that `library` links to."""
    names = (re.search(r"\(NEEDED\).*\[(.+)\]", line) for line in readelf("-d", library))
    return {m[1] for m in names if m and GPU_LIBRARY.match(m[1])}


def imports(library):
    """The GPU symbols that `library` leaves undefined, as pairs (version or "", name)."""
    rows = (line.split() for line in readelf("--dyn-syms", library))
    names = (row[7].split("@") for row in rows if len(row) > 7 and row[6] == "UND")
    return {(version[0] if version else "", name) for name, *version in names if GPU_SYMBOL.match(name)}


def exports(library):
    """The names of all symbols that `library` defines."""
    rows = (line.split() for line in readelf("--dyn-syms", library))
    return {row[7].split("@")[0] for row in rows if len(row) > 7 and row[6] not in ("UND", "Ndx")}


def versions(library):
    """Which symbol versions `library` demands of which GPU library, as pairs (library, version)."""
    pairs, file = set(), ""
    for line in readelf("-V", library):
        if found := re.search(r"File: (\S+)", line):
            file = found[1]
        elif (found := re.search(r"Name: (\S+)", line)) and GPU_LIBRARY.match(file):
            pairs.add((file, found[1]))
    return pairs


def write_stub(path, script, names):
    """Link a library `path` that defines `names`, with the symbol versions of `script`."""
    with tempfile.TemporaryDirectory() as scratch:
        source, symbols = Path(scratch, "stub.c"), Path(scratch, "stub.map")
        source.write_text("".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in names))
        symbols.write_text(script)
        options = [f"-Wl,-soname,{path.name}"] + ([f"-Wl,--version-script={symbols}"] if script else [])
        command = ["cc", "-shared", "-fPIC", "-w", "-nostdlib", str(source), *options, "-o", str(path)]
        subprocess.run(command, check=True)


def build_stubs():
    """Write a stub for every missing GPU library; returns their names."""
    package = Path(importlib.util.find_spec("torch").origin).parent
    libraries = sorted((package / "lib").glob("*.so"))
    present = sorted((package.parent / "nvidia").glob("*/lib/*.so.*"))
    missing = sorted(set().union(*map(needs, libraries)) - {path.name for path in present} - {"libcuda.so.1"})
    defined = set().union(*map(exports, libraries + present))
    wanted = {pair for pair in set().union(*map(imports, libraries)) if pair[1] not in defined}
    demands = sorted(set().union(*map(versions, libraries)))
    loose = {name for version, name in wanted if not version}
    for stub in missing:
        script, names = "", set()
        for version in (v for file, v in demands if file == stub):
            own = sorted(name for v, name in wanted if v == version)
            script += f"{version} {{ {' '.join(f'{name};' for name in own)} }};\n"
            names.update(own)
        # Symbols without a version may live in any library: the first stub takes them.
        write_stub(package / "lib" / stub, script, sorted(names | loose))
        loose = set()
    return missing


def main():
    if importlib.util.find_spec("torch") is None:
        sys.exit("torch_cpu.py: torch is not installed")
    if not import_error():
        return
    try:
        stubs = build_stubs()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"torch_cpu.py: cannot build the stand-ins for the GPU libraries: {error}")
    error = import_error()
    if error:
        sys.exit(f"torch_cpu.py: torch still does not import: {error}")
    print(f"torch_cpu.py: {len(stubs)} GPU libraries replaced by stubs; torch imports")


if __name__ == "__main__":
    main()
