#!/usr/bin/env python3
"""Prints the license texts of everything that the released programs contain: crates, the C code in them, Rust's standard library, and the
page of `usagectl local`. Each text is printed once, with the crates that it covers.

    .deploy/licenses.py > THIRD-PARTY-LICENSES.txt

Reads the sources that Cargo has downloaded. Fails if a crate has no text, so that none is left out silently."""
import html, json, os, re, subprocess, sys
from collections import defaultdict

PROGRAMS = ["usage-aggregator", "usage-compact", "usagectl"]
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
NAMES = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense|patents)([-._ ].*)?$", re.IGNORECASE)
# Sources with one of these names are code.
CODE = re.compile(r"\.(rs|c|h|py|toml|json|html)$", re.IGNORECASE)
UPLOT = "src/usagectl/page/files/uplot/LICENSE"
# Texts for crates that are published without one, whose manifest names the license.
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def contained():
    """The names and versions of the crates in any of the programs, without those that only the build or the tests run."""
    crates = set()
    for program in PROGRAMS:
        for target in TARGETS:
            tree = output("cargo", "tree", "--locked", "--package", program, "--edges", "normal", "--target", target, "--prefix", "none", "--format", "{p}")
            for line in tree.splitlines():
                name, version = line.split()[:2]
                # A path in parentheses: a package of this workspace.
                if "(/" not in line:
                    crates.add((name, version.removeprefix("v")))
    return crates


def texts_of(package):
    """The license files of a package, also those of C code in it."""
    folder = os.path.dirname(package["manifest_path"])
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in ("tests", "target", "testdata", ".git"))
        is_license_folder = os.path.basename(path).lower() in ("license", "licenses")
        found += [os.path.join(path, name) for name in sorted(files) if (is_license_folder or NAMES.match(name)) and not CODE.search(name)]
    own = package.get("license_file")
    if own and os.path.join(folder, own) not in found:
        found.append(os.path.join(folder, own))
    texts = []
    for path in found:
        with open(path, encoding="utf-8", errors="replace") as file:
            texts.append(file.read().strip())
    return [text for text in texts if len(text) > 100]


def of_standard_library():
    """What the compiler says about its standard library, which every program contains, as text."""
    path = os.path.join(output("rustc", "--print", "sysroot").strip(), "share/doc/rust/COPYRIGHT-library.html")
    if not os.path.exists(path):
        return f"Copyright (c) The Rust Project contributors\n\n{MIT}"
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"<style.*?</style>|<[^>]*>", "", file.read(), flags=re.DOTALL)
    return re.sub(r"\n\s*\n\s*\n+", "\n\n", html.unescape(text)).strip()


def standard(package, apache):
    """The text of a license that the crate names but doesn't contain."""
    choices = re.split(r" OR |/", package["license"] or "")
    authors = ", ".join(re.sub(r" <.*?>", "", author) for author in package["authors"]) or f"the authors of {package['name']}"
    if "MIT" in choices:
        return f"Copyright (c) {authors}\n\n{MIT}"
    return apache if "Apache-2.0" in choices else None


def main():
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1"))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    apache = open("LICENSE", encoding="utf-8").read().strip()
    texts, covers, crates, missing = {}, defaultdict(list), sorted(contained()), []

    def add(who, text):
        # Copies of one text differ in spaces, punctuation, and the protocol of links.
        key = " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("https:", "http:")))
        texts.setdefault(key, text)
        if who not in covers[key]:
            covers[key].append(who)

    for name, version in crates:
        package = packages[name, version]
        found = texts_of(package) or list(filter(None, [standard(package, apache)]))
        if not found:
            missing.append(f"{name} {version} ({package['license']})")
        for text in found:
            # Copies of the Apache License differ in the appendix, which may name who has the copyright.
            for part in re.split(r"(?<=END OF TERMS AND CONDITIONS)\s+", text):
                add(f"{name} {version}", part)
    if missing:
        sys.exit(f"licenses.py: no license text for {', '.join(missing)}: add the text of this license to standard()")
    add("Rust's standard library", of_standard_library())
    add("uPlot, in the page of usagectl local", open(UPLOT, encoding="utf-8").read().strip())

    print("Licenses of what usage-aggregator, usage-compact, and usagectl contain\n")
    print("The programs themselves have the Apache License 2.0; see LICENSE. Where a crate has a choice of licenses, all texts are below.\n")
    for name, version in crates:
        package = packages[name, version]
        print(f"{name} {version}: {package['license'] or 'see below'} {package['repository'] or ''}".rstrip())
    for key in sorted(texts, key=lambda key: (-len(covers[key]), covers[key][0], key)):
        print(f"\n{'=' * 100}\n{', '.join(covers[key])}\n{'-' * 100}\n\n{texts[key]}")


main()
