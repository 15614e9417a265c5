#!/usr/bin/env bash
# The engine on a CUDA GPU: llama-cpp-python built from its own source distribution, the engine's
# tests, and benchmarks/engine.py with all layers offloaded at N = 1, 16, 64 and 128.
#
#   gpu.sh fetch FOLDER          with a network: the source and what builds it, into FOLDER
#   gpu.sh build FOLDER          without one: llama.cpp and its tools for CUDA, llama-cpp-python
#   gpu.sh test FOLDER           the tests of tests/models/engine, on the GPU
#   gpu.sh bench FOLDER MODEL    rounds are added to FOLDER/engine.jsonl, the table is engine.md
#   gpu.sh all FOLDER MODEL      build, test, bench; a test that fails is told, and it goes on
#
# MODEL is a GGUF file or a catalogue name; published numbers are of a 1.5B model. FOLDER/machine.txt
# says which card, driver and toolkit. What is built stays, so that a step can be called again, and
# FOLDER can be built on one machine and moved to another.
# PYTHON (python) has thinkgraph with its dependencies; ARCHITECTURES is the card's (native);
# JOBS is how many compile at once (all cores); ROUNDS (3); CMAKE_ARGS are further options. The
# CUDA toolkit must have cuBLAS with its headers, and libcuda or -DGGML_CUDA_NO_VMM=ON.
set -euo pipefail
step=${1:?usage: gpu.sh fetch|build|test|bench|all FOLDER [MODEL]}
folder=$(realpath -m "${2:?usage: gpu.sh $step FOLDER [MODEL]}")
model=${3:-}
python=${PYTHON:-python}
here=$(cd "$(dirname "$0")" && pwd)
version=$("$python" -c 'from importlib.metadata import version; print(version("llama-cpp-python"))')
sdist=$folder/llama_cpp_python-$version.tar.gz
site=$folder/site-$version
tools=$folder/tools
cuda="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=${ARCHITECTURES:-native}"
cuda="$cuda -DCMAKE_BUILD_RPATH_USE_ORIGIN=on ${CMAKE_ARGS:-}"
jobs=${JOBS:-$(nproc)}
mkdir -p "$folder"

fetch() {
    "$python" -m pip download --quiet --no-deps --no-binary :all: --dest "$folder" \
        "llama-cpp-python==$version"
    "$python" -m pip download --quiet --dest "$folder/wheels" scikit-build-core ninja cmake
    echo "$folder is ready: copy it to a machine with a GPU"
}

machine() {
    {
        date --utc +"%F %R UTC"
        nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader ||
            echo "no GPU"
        nvcc --version | tail -n 2 || echo "no nvcc in PATH"
        echo "llama-cpp-python $version, $(nproc) cores"
    } >"$folder/machine.txt" 2>&1
    cat "$folder/machine.txt"
}

build() {
    machine
    [ -f "$sdist" ] || { echo "there is no $sdist; run: gpu.sh fetch $folder" >&2; exit 2; }
    mkdir -p "$tools"
    [ -d "$tools/llama_cpp_python-$version" ] || tar -xzf "$sdist" -C "$tools"
    CMAKE_ARGS=$cuda JOBS=$jobs bash "$here/llama_cpp_tools.sh" "$tools" "$python"
    if [ ! -d "$site/llama_cpp" ]; then
        "$python" -m pip install --quiet --no-index --find-links "$folder/wheels" --upgrade \
            --target "$folder/backend" scikit-build-core ninja cmake
        PYTHONPATH=$folder/backend PATH=$folder/backend/bin:$PATH \
            CMAKE_ARGS="-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF" "$python" -m pip install --verbose \
            --no-index --no-deps --no-build-isolation --no-cache-dir --target "$site.part" \
            "$sdist" >"$folder/build-python.log" 2>&1 ||
            { tail -n 20 "$folder/build-python.log"; exit 1; }
        # It loads the libraries that lie beside the tools: CUDA code is compiled once.
        ln -s "../../tools/build-$version/bin" "$site.part/llama_cpp/lib"
        mv "$site.part" "$site"
    fi
    echo "llama.cpp, its tools and llama-cpp-python are built"
}

offloaded() {
    # What is in PYTHONPATH comes before what is installed.
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
    "$python" - <<'PYTHON'
import sys
from llama_cpp import llama_cpp
from thinkgraph.models.engine.llama.devices import devices
print(*devices(), sep="\n")
if not any(device.is_gpu for device in devices()):
    sys.exit(f"{llama_cpp.__file__} finds no GPU; was it built for this card, with a driver?")
PYTHON
}

tests() {
    offloaded || return # "all" goes on after a failure, and so does bash
    (cd "$here/.." && "$python" -m pytest tests/models/engine -q -p no:cacheprovider) |
        tee "$folder/tests.log"
}

bench() {
    offloaded
    machine # it may not be the one that built
    : "${model:?usage: gpu.sh bench FOLDER MODEL}"
    "$python" -c '
import sys
from thinkgraph.models.catalogue import load
print(load(sys.argv[1]).engine.native.placement)' "$model" | tee -a "$folder/machine.txt"
    CMAKE_ARGS=$cuda "$python" "$here/engine.py" --model "$model" --gpu-layers 999 \
        --widths 1,16,64,128 --cells 32768 --rounds "${ROUNDS:-3}" --tools "$tools" --without-llama \
        --record "$folder/engine.jsonl" --output "$folder/engine.md"
}

case $step in
    fetch) fetch ;;
    build) build ;;
    test) tests ;;
    bench) bench ;;
    all)
        build
        tests || echo "tests failed, see $folder/tests.log; measures all the same" >&2
        bench
        ;;
    *) echo "gpu.sh knows fetch, build, test, bench and all, not $step" >&2; exit 2 ;;
esac
