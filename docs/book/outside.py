#!/usr/bin/env python3
"""A preprocessor of mdBook: brings the pages that stand at the top of the repository into the book, and has links to its other
files lead to the repository."""

import json
import pathlib
import posixpath
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = "https://github.com/butterfly-gossip/butterfly/blob/main/"
PAGES = {"SECURITY.md": "Security", "CONTRIBUTING.md": "Contribute", "CHANGELOG.md": "Changes"}
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def rewrite(text, folder):
    """The text of a page of this folder, seen from the top of the repository, with links as the book has them."""

    def target(link):
        path, anchor = link.group(1), link.group(2) or ""
        meant = posixpath.normpath(posixpath.join(folder, path))
        if meant in PAGES:
            place = posixpath.join("docs", meant)
        elif meant.startswith("docs/"):
            place = meant
        else:
            return f"]({REPOSITORY}{meant}{anchor})"
        here = "docs" if folder == "." else folder
        return f"]({posixpath.relpath(place, here)}{anchor})"

    return LINK.sub(target, text)


def walk(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            chapter = item["Chapter"]
            yield chapter
            yield from walk(chapter["sub_items"])


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "supports":
        return
    _, book = json.load(sys.stdin)
    items = book["items"] if "items" in book else book["sections"]
    for chapter in walk(items):
        if chapter["path"]:
            folder = posixpath.normpath(posixpath.join("docs", posixpath.dirname(chapter["path"])))
            chapter["content"] = rewrite(chapter["content"], folder)
    for file, title in PAGES.items():
        text = (DOCS.parent / file).read_text()
        items.append({"Chapter": {"name": title, "content": rewrite(text, "."), "number": None, "sub_items": [],
                                  "path": file, "source_path": None, "parent_names": []}})
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
