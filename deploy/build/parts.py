"""What is left to do with a page's code that was taken apart: `parts.py FOLDER`.

The splitter leaves names and other sections in the parts that no browser reads; they go. And `parts.txt` is written: a part a line, its name and the
files that it is in, as the server names them in the head of a page."""

import pathlib
import re
import sys


def sections(wasm):
    """The sections of a module: kind, and bytes with their head. A size is seven bits a byte, the lowest first."""
    at = 8
    while at < len(wasm):
        kind, begin, size, shift = wasm[at], at, 0, 0
        while True:
            at += 1
            size |= (wasm[at] & 127) << shift
            shift += 7
            if wasm[at] < 128:
                break
        at += 1 + size
        yield kind, wasm[begin:at]


def bare(wasm):
    """The module without its custom sections (kind 0)."""
    return wasm[:8] + b"".join(section for kind, section in sections(wasm) if kind)


def parts(joint):
    """Which files each part is in, of the script that ties them together: a chunk is what several parts share."""
    # const __chunk_1 = makeLoad(new URL("./chunk_1.wasm", import.meta.url), []);
    # export const __wasm_split_load_admin = wrapAsyncCb(makeLoad(new URL("./split_admin.wasm", import.meta.url), [__chunk_1]));
    load = r'makeLoad\((?:new URL\("\./([^"]+)", import\.meta\.url\)|undefined), \[(.*?)\]\)'
    chunks = {name: file for name, file, _ in re.findall(r"^const (\w+) = " + load, joint, re.M)}
    for name, file, shared in re.findall(r"^export const __wasm_split_load_(\w+) = wrapAsyncCb\(" + load, joint, re.M):
        yield name, [found for found in [*(chunks[chunk.strip()] for chunk in shared.split(",") if chunk.strip()), file] if found]


def main():
    folder = pathlib.Path(sys.argv[1])
    lines = [" ".join([name, *files]) for name, files in sorted(parts((folder / "__wasm_split.js").read_text()))]
    named = {file for line in lines for file in line.split()[1:]}
    found = {file.name for file in folder.glob("*.wasm")} - {"clawloops_bg.wasm"}
    if named != found:
        sys.exit(f"the parts name {sorted(named)}, and there are {sorted(found)}")
    for file in found:
        path = folder / file
        path.write_bytes(bare(path.read_bytes()))
    (folder / "parts.txt").write_text("".join(line + "\n" for line in lines))


main()
