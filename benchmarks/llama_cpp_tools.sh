#!/usr/bin/env bash
# Build llama-server and llama-batched-bench from the llama.cpp source that lies inside the source
# distribution of the installed llama-cpp-python, so that the engine is compared with its own
# llama.cpp. Usage: llama_cpp_tools.sh FOLDER [PYTHON]; what is built already stays.
set -euo pipefail
folder=$(realpath -m "${1:?usage: llama_cpp_tools.sh FOLDER [PYTHON]}")
python=${2:-python}
version=$("$python" -c 'from importlib.metadata import version; print(version("llama-cpp-python"))')
source=$folder/llama_cpp_python-$version/vendor/llama.cpp
build=$folder/build-$version

run() { # run LOG COMMAND: its output goes into the log, whose end is shown if it fails
    local log=$folder/$1
    shift
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
}

[ ! -x "$build/bin/llama-server" ] || [ ! -x "$build/bin/llama-batched-bench" ] ||
    { echo "$build/bin"; exit; }
mkdir -p "$folder"
if [ ! -d "$source" ]; then
    "$python" -m pip download --quiet --no-deps --no-binary :all: --dest "$folder" \
        "llama-cpp-python==$version"
    tar -xzf "$folder/llama_cpp_python-$version.tar.gz" -C "$folder"
fi
# GCC before 12.4 and 13.3 compiles code for AMX wrongly without these (models/engine/llama/amx.py).
! grep -qs amx_int8 /proc/cpuinfo || export CXXFLAGS="${CXXFLAGS:-} -fno-dse -fno-tree-dse"
# shellcheck disable=SC2086 # CMAKE_ARGS are several, as llama-cpp-python takes them
run cmake.log cmake -S "$source" -B "$build" -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
    -DLLAMA_OPENSSL=OFF ${CMAKE_ARGS:-}
run build.log cmake --build "$build" --config Release -j "${JOBS:-$(nproc)}" \
    --target llama-server llama-batched-bench
echo "$build/bin"
